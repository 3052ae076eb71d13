//! A token server (RFC 6749) on a real socket that gives `acc3ss-1`, `acc3ss-2`, …, and does wrong what it is told to.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};
use url::form_urlencoded;

/// What is answered once instead of the next token.
pub enum Act {
    /// This status, these header lines, this body.
    Say(u16, &'static str, String),
    /// A token with these members besides.
    Grant(&'static str),
    /// The next token, once [`TokenServer::release`] is called.
    Hold,
    /// A 200 that never ends.
    Endless,
    /// Nothing, with the connection open.
    Silence,
    /// Half an answer, and the connection is closed.
    Half,
}

#[derive(Default)]
struct State {
    requests: Vec<HashMap<String, String>>,
    script: VecDeque<Act>,
    given: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    released: Notify,
}

pub struct TokenServer {
    port: u16,
    scheme: &'static str,
    certificate: CertificateDer<'static>,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl TokenServer {
    pub async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), false)
    }

    pub async fn start_with_tls() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), true)
    }

    fn on(listener: TcpListener, tls: bool) -> Self {
        let names = vec!["127.0.0.1".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let accepting = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                    // A client that goes away in the middle is none of the server's business.
                    tokio::spawn(async move {
                        if tls {
                            answer(acceptor.accept(socket).await?, &shared).await
                        } else {
                            answer(socket, &shared).await
                        }
                    });
                }
            })
        };
        Self {
            port,
            scheme: if tls { "https" } else { "http" },
            certificate,
            shared,
            accepting: accepting.abort_handle(),
        }
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/token", self.scheme, self.port)
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// What comes next, once.
    pub fn next(&self, act: Act) {
        self.lock().script.push_back(act);
    }

    /// The members of every request so far.
    pub fn requests(&self) -> Vec<HashMap<String, String>> {
        self.lock().requests.clone()
    }

    /// Waits until so many requests have come.
    pub async fn asked(&self, times: usize) {
        let enough = async {
            loop {
                let changed = self.shared.changed.notified();
                if self.lock().requests.len() >= times {
                    return;
                }
                changed.await;
            }
        };
        let asked = tokio::time::timeout(Duration::from_secs(10), enough).await;
        asked.expect("the token server was not asked");
    }

    /// Answers the request that is held.
    pub fn release(&self) {
        self.shared.released.notify_one();
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(socket: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let lower = head.to_lowercase();
    let header = |name: &str| {
        let line = lower
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };
    assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
    assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(header("authorization"), "");
    let mut body = vec![0; header("content-length").parse().unwrap()];
    socket.read_exact(&mut body).await?;
    let request = form_urlencoded::parse(&body).into_owned().collect();
    let act = {
        let mut state = shared.state.lock().unwrap();
        state.requests.push(request);
        state.script.pop_front()
    };
    shared.changed.notify_waiters();
    let (status, headers, body) = match act {
        Some(Act::Say(status, headers, body)) => (status, headers, body),
        Some(Act::Grant(members)) => (200, "", grant(shared, members)),
        Some(Act::Hold) => {
            shared.released.notified().await;
            (200, "", grant(shared, ""))
        }
        Some(Act::Endless) => {
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                socket.write_all(&[b' '; 4096]).await?;
            }
        }
        Some(Act::Silence) => {
            // Until the client has enough of it.
            socket.read_u8().await?;
            return Ok(());
        }
        Some(Act::Half) => {
            let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"access_token\":\"half";
            return socket.write_all(half).await;
        }
        None => (200, "", grant(shared, "")),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await
}

fn grant(shared: &Shared, members: &str) -> String {
    let mut state = shared.state.lock().unwrap();
    state.given += 1;
    let given = state.given;
    format!(
        r#"{{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600{members},"access_token":"acc3ss-{given}"}}"#
    )
}
