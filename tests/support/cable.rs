//! A cable between a service and its database that can go dead without a word: what is sent then arrives nowhere, nobody is
//! told, and whoever connects is kept waiting.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::db::TestDb;

/// What is to be cut off at its COMMIT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The database gets it, and its answer does not arrive.
    Arrives,
    /// The database does not get it before the cable is mended.
    IsLost,
}

#[derive(Default)]
struct State {
    is_dead: AtomicBool,
    /// Goes dead at the COMMIT of the connection that said this before.
    dies_at: Mutex<Option<(String, Commit)>>,
    /// Goes dead when somebody says this.
    dies_of: Mutex<Option<&'static str>>,
}

/// A cable to the test server. It lies there until the process ends.
pub struct Cable {
    port: u16,
    state: Arc<State>,
}

impl Cable {
    pub fn to(db: &TestDb) -> Self {
        let (_, folder) = db.url.split_once("host=").unwrap();
        let folder = folder.split('&').next().unwrap();
        let socket = format!("{folder}/.s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, state) = (
            listener.local_addr().unwrap().port(),
            Arc::new(State::default()),
        );
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, state, socket) =
                    (client.unwrap(), Arc::clone(&shared), socket.clone());
                thread::spawn(move || carry(client, &socket, &state));
            }
        });
        Self { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database's URL at the other end.
    pub fn url(&self, db: &TestDb) -> String {
        let user = db.service_url();
        let (_, user) = user.split_once("user=").unwrap();
        let user = user.split('&').next().unwrap();
        format!("postgres://{user}@127.0.0.1:{}/{}", self.port, db.name())
    }

    pub fn cut(&self) {
        self.state.is_dead.store(true, Ordering::SeqCst);
    }

    /// What was held back arrives, as from a machine that was frozen.
    pub fn mend(&self) {
        self.state.is_dead.store(false, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.state.is_dead.load(Ordering::SeqCst)
    }

    /// Goes dead when somebody says `words`, which do not arrive.
    pub fn cut_at(&self, words: &'static str) {
        *self.state.dies_of.lock().unwrap() = Some(words);
    }

    /// Goes dead when the connection that has said `words` commits.
    pub fn cut_at_commit_of(&self, words: &str, commit: Commit) {
        *self.state.dies_at.lock().unwrap() = Some((words.to_owned(), commit));
    }
}

fn carry(client: TcpStream, socket: &str, state: &Arc<State>) {
    wait(state);
    let Ok(server) = UnixStream::connect(socket) else {
        return;
    };
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    let shared = Arc::clone(state);
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(read @ 1..) = from_server.read(&mut bytes) {
            wait(&shared);
            if to_client.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        wait(&shared);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let (mut client, mut server) = (client, server);
    let mut bytes = [0; 65_536];
    let mut is_meant = false;
    while let Ok(read @ 1..) = client.read(&mut bytes) {
        let sent = &bytes[..read];
        wait(state);
        let has = |words: &[u8]| sent.windows(words.len()).any(|part| part == words);
        let mut dies_at = state.dies_at.lock().unwrap();
        let mut lost = false;
        if let Some((words, commit)) = &*dies_at {
            is_meant |= has(words.as_bytes());
            if is_meant && has(b"COMMIT\0") {
                lost = *commit == Commit::IsLost;
                state.is_dead.store(true, Ordering::SeqCst);
                *dies_at = None;
            }
        }
        drop(dies_at);
        let mut dies_of = state.dies_of.lock().unwrap();
        if dies_of.is_some_and(|words| has(words.as_bytes())) {
            lost = true;
            state.is_dead.store(true, Ordering::SeqCst);
            *dies_of = None;
        }
        drop(dies_of);
        if lost {
            wait(state);
        }
        if server.write_all(sent).is_err() {
            break;
        }
    }
    wait(state);
    let _ = server.shutdown(std::net::Shutdown::Both);
}

/// Waits while the cable is dead.
fn wait(state: &State) {
    while state.is_dead.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(5));
    }
}
