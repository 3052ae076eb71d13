//! A scriptable SMTP server on a real socket: what it is told to do wrong, it does wrong.
//!
//! It follows RFC 5321 as far as the pool under test speaks it, keeps every accepted message and
//! every command, and lets a test wait for a condition instead of sleeping.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

/// Where in the dialogue a script takes effect: at the command, or at what is answered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The dot at the end of the content.
    Final,
    Rset,
    Quit,
}

/// What the server offers and wants. Nothing of it by default.
#[derive(Clone, Default)]
pub struct Options {
    /// Offer STARTTLS (and AUTH only after it).
    pub starttls: bool,
    /// Speak TLS from the first byte.
    pub implicit_tls: bool,
    /// The name in the self-signed certificate, instead of `localhost` and `127.0.0.1`.
    pub certificate_for: Option<&'static str>,
    /// Show a certificate of X.509 version 1, as old appliances do.
    pub old_certificate: bool,
    /// Refuse mail without this user and password.
    pub login: Option<(&'static str, &'static str)>,
    /// Offer AUTH LOGIN only, not PLAIN.
    pub only_auth_login: bool,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    /// Keep envelope ids for reports (RFC 3461).
    pub dsn: bool,
    /// Say how large a mail may be (RFC 1870).
    pub size: Option<usize>,
    /// Do not offer PIPELINING.
    pub one_by_one: bool,
    /// Greet so many connections at once, and send others away.
    pub most_connections: Option<usize>,
    /// Ask for the content even when all recipients were refused.
    pub asks_anyway: bool,
}

/// A message that the server answered with 2yz, or kept in spite of what it answered.
#[derive(Clone, Debug)]
pub struct Received {
    /// The sender's address, empty for the null reverse-path.
    pub from: String,
    pub rcpt: Vec<String>,
    /// The content, dots unescaped.
    pub data: Vec<u8>,
    /// The connection it came on, counted from 1.
    pub connection: usize,
    pub tls: bool,
    pub authenticated_as: Option<String>,
    /// When that connection was made.
    pub connected_at: Instant,
    /// When it was taken.
    pub at: Instant,
    /// Whether the server answered; whether anybody heard it is another matter.
    pub answered: bool,
}

/// What the server does once at a stage instead of the usual.
enum Act {
    Reply(String),
    /// Closes the connection without an answer; a message is kept if it says so.
    Close {
        keep: bool,
    },
    /// Says nothing more on this connection, but listens until the client closes it.
    Hang,
    /// Gives the usual answer, and then neither speaks nor listens.
    Stall,
}

/// What a rule does with a message whose content has come, instead of taking it.
pub enum Ending {
    /// Answers this.
    Reply(&'static str),
    /// Closes the connection without an answer; the message is kept or not.
    Drop { keep: bool },
}

type RcptRule = Box<dyn Fn(&str) -> Option<String> + Send>;
type FinalRule = Box<dyn FnMut(&Received) -> Option<Ending> + Send>;

#[derive(Default)]
struct State {
    messages: Vec<Received>,
    commands: Vec<(usize, String)>,
    script: HashMap<Stage, VecDeque<Act>>,
    delays: HashMap<Stage, Duration>,
    on_rcpt: Option<RcptRule>,
    on_final: Option<FinalRule>,
    connections: usize,
    open: usize,
    peak: usize,
    hung: usize,
}

struct Shared {
    options: Options,
    tls: TlsAcceptor,
    state: Mutex<State>,
    /// Something in the state has changed.
    changed: Notify,
    /// Raised to close the connections that wait for a command.
    closings: watch::Sender<usize>,
}

pub struct SmtpSink {
    port: u16,
    certificate: CertificateDer<'static>,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// Of version 1, for `localhost`, signed by itself; good for a hundred years.
fn old_certificate() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    const CERTIFICATE: &str = "MIIBJTCBywIUM+HJINlpR/vYRkygxaMfWYSmEAswCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODAyMjExMFoYDz\
     IxMjYxMTA0MDIyMTEwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQybMFeSwESLeG+Sv5sCTz5mS34\
     rQeFImmdo3KPgIhjokmha5SrVeL3kK9zPjiWMB4kHOayEsaUmnFJbx19KV9IMAoGCCqGSM49BAMCA0kAMEYCIQCIBL5dPknOSYlIQxeJQF4CvV\
     TrSntFGiBJJVXj2jBHAgIhAJEXWShKSdgqvGPr9zKmTqFDpTnVN/cPo9gKg6aLpmXm";
    const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggIQfmKoyQbLhYWznP72RxrRO22KSFsAC12UN7qqOXJahRANCAAQybMFeSwESLe\
     G+Sv5sCTz5mS34rQeFImmdo3KPgIhjokmha5SrVeL3kK9zPjiWMB4kHOayEsaUmnFJbx19KV9I";
    let der = |text| BASE64_STANDARD.decode(text).unwrap();
    let key = PrivateKeyDer::try_from(der(KEY)).unwrap();
    (der(CERTIFICATE).into(), key)
}

impl SmtpSink {
    /// A plain server without extensions, on a port of its own.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub fn start_with(options: Options) -> Self {
        let names = match options.certificate_for {
            Some(name) => vec![name.to_owned()],
            None => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let (certificate, key) = match options.old_certificate {
            true => old_certificate(),
            false => (certificate, key),
        };
        let shown = CertifiedKey::new(
            vec![certificate.clone()],
            ring::sign::any_supported_type(&key).unwrap(),
        );
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            options,
            tls: TlsAcceptor::from(Arc::new(config)),
            state: Mutex::default(),
            changed: Notify::new(),
            closings: watch::Sender::new(0),
        });
        let listener = TcpListener::from_std(listener).unwrap();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Self {
            port,
            certificate,
            shared,
            accepting,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `smtp://127.0.0.1:port`, or `smtps://…` where TLS is implicit.
    pub fn url(&self) -> String {
        let scheme = match self.shared.options.implicit_tls {
            true => "smtps",
            false => "smtp",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The self-signed certificate, to be trusted as a root.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub fn messages(&self) -> Vec<Received> {
        self.shared.lock().messages.clone()
    }

    /// Every command line so far with its connection, AUTH's answers included.
    pub fn commands(&self) -> Vec<(usize, String)> {
        self.shared.lock().commands.clone()
    }

    /// How often a command beginning with `verb` has come.
    pub fn count(&self, verb: &str) -> usize {
        let state = self.shared.lock();
        let commands = state.commands.iter();
        commands.filter(|(_, line)| line.starts_with(verb)).count()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Connections open now.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open
    }

    /// How often a connection has gone silent, as the script has it.
    pub fn hung(&self) -> usize {
        self.shared.lock().hung
    }

    /// The most connections that were open at one time.
    pub fn peak_connections(&self) -> usize {
        self.shared.lock().peak
    }

    /// Waits until `n` messages are there and returns them all.
    pub async fn wait_for(&self, n: usize, limit: Duration) -> Vec<Received> {
        let what = format!("{n} messages");
        self.wait_until(&what, limit, |sink| sink.shared.lock().messages.len() >= n)
            .await;
        self.messages()
    }

    /// Waits until `condition` holds; checks it at every change.
    pub async fn wait_until(&self, what: &str, limit: Duration, condition: impl Fn(&Self) -> bool) {
        let holds = async {
            loop {
                let mut changed = std::pin::pin!(self.shared.changed.notified());
                changed.as_mut().enable();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(limit, holds).await.is_err() {
            panic!("not within {limit:?}: {what}; seen: {:?}", self.commands());
        }
    }

    /// Refuses recipients for which `rule` gives a reply.
    pub fn on_rcpt(&self, rule: impl Fn(&str) -> Option<String> + Send + 'static) -> &Self {
        self.shared.lock().on_rcpt = Some(Box::new(rule));
        self
    }

    /// Does with a message what `rule` says; where it says nothing, the message is taken.
    pub fn on_final(
        &self,
        rule: impl FnMut(&Received) -> Option<Ending> + Send + 'static,
    ) -> &Self {
        self.shared.lock().on_final = Some(Box::new(rule));
        self
    }

    /// The next answers at `stage`, written as they are (lines joined with CRLF, or nonsense).
    /// Those that begin with 2 or 3 have their usual effect. A 421 leaves the connection open: a
    /// test sees whether the client closes it.
    pub fn next_replies<const N: usize>(&self, stage: Stage, replies: [&str; N]) -> &Self {
        for reply in replies {
            self.act(stage, Act::Reply(reply.to_owned()));
        }
        self
    }

    /// From now on everything is as usual.
    pub fn forget_script(&self) {
        self.shared.lock().script.clear();
    }

    /// Closes the connection at the next `stage`, without an answer.
    pub fn close_at(&self, stage: Stage) -> &Self {
        self.act(stage, Act::Close { keep: false });
        self
    }

    /// Closes the connection after the final dot of the next `n` messages, which are kept or not.
    pub fn drop_after_data(&self, n: usize, keep: bool) -> &Self {
        for _ in 0..n {
            self.act(Stage::Final, Act::Close { keep });
        }
        self
    }

    /// Goes silent at the next `stage`, for the rest of that connection.
    pub fn hang_at(&self, stage: Stage) -> &Self {
        self.act(stage, Act::Hang);
        self
    }

    /// Says 354 to the next DATA and then reads nothing of what follows.
    pub fn hang_before_content(&self) -> &Self {
        self.act(Stage::Data, Act::Stall);
        self
    }

    /// Waits before every answer at `stage`.
    pub fn delay(&self, stage: Stage, delay: Duration) -> &Self {
        self.shared.lock().delays.insert(stage, delay);
        self
    }

    /// Closes all connections that wait for a command, and returns when they are closed.
    pub async fn close_idle(&self) {
        self.shared.closings.send_modify(|n| *n += 1);
        let limit = Duration::from_secs(5);
        self.wait_until("no open connection", limit, |sink| {
            sink.open_connections() == 0
        })
        .await;
    }

    fn act(&self, stage: Stage, act: Act) {
        let mut state = self.shared.lock();
        state.script.entry(stage).or_default().push_back(act);
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = shared.update(|state| {
            state.connections += 1;
            state.open += 1;
            state.peak = state.peak.max(state.open);
            state.connections
        });
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // An I/O error is the client's way to leave without a word.
            if serve(stream, number, &shared).await.is_err() {
                shared.update(|state| state.open -= 1);
            }
        });
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection.
struct Talk<'a> {
    stream: BufReader<Box<dyn Stream>>,
    number: usize,
    shared: &'a Shared,
    tls: bool,
    user: Option<String>,
}

/// The connection is over, by script.
fn over() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// The dialogue. It ends well with a QUIT, after which the connection does not count as open.
async fn serve(tcp: TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let connected_at = Instant::now();
    tcp.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match shared.options.implicit_tls {
        true => Box::new(shared.tls.accept(tcp).await?),
        false => Box::new(tcp),
    };
    let mut talk = Talk {
        stream: BufReader::new(stream),
        number,
        shared,
        tls: shared.options.implicit_tls,
        user: None,
    };
    let most = shared.options.most_connections;
    if most.is_some_and(|most| shared.lock().open > most) {
        let reply = "421 4.7.0 sink.test Error: too many connections from 127.0.0.1";
        talk.write(reply).await?;
        return Err(over());
    }
    talk.answer(Stage::Greeting, "220 sink.test ESMTP").await?;
    let mut from = None::<String>;
    let mut rcpt = Vec::new();
    loop {
        let line = talk.next_command().await?;
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                let reply = talk.ehlo_reply();
                talk.answer(Stage::Ehlo, &reply).await?;
                (from, rcpt) = (None, Vec::new());
            }
            "HELO" => talk.write("250 sink.test").await?,
            "STARTTLS" if shared.options.starttls && !talk.tls => {
                if talk.answer(Stage::StartTls, "220 2.0.0 Go ahead").await? {
                    talk = talk.encrypt().await?;
                }
            }
            "AUTH" => talk.auth(&line).await?,
            "MAIL" if talk.user.is_none() && shared.options.login.is_some() => {
                let reply = "530 5.7.0 Authentication required";
                talk.answer(Stage::Mail, reply).await?;
            }
            "MAIL" if from.is_some() => {
                let reply = "503 5.5.1 Nested MAIL command";
                talk.answer(Stage::Mail, reply).await?;
            }
            "MAIL" => {
                if talk.answer(Stage::Mail, "250 2.1.0 Ok").await? {
                    from = Some(address_in(&line));
                }
            }
            "RCPT" if from.is_some() => {
                let address = address_in(&line);
                let rule = {
                    let state = shared.lock();
                    state.on_rcpt.as_ref().and_then(|rule| rule(&address))
                };
                let reply = rule.as_deref().unwrap_or("250 2.1.5 Ok");
                if talk.answer(Stage::Rcpt, reply).await? {
                    rcpt.push(address);
                }
            }
            "DATA" if !rcpt.is_empty() || shared.options.asks_anyway => {
                let go_on = "354 End data with <CR><LF>.<CR><LF>";
                if talk.answer(Stage::Data, go_on).await? {
                    let received = Received {
                        from: from.take().unwrap_or_default(),
                        rcpt: std::mem::take(&mut rcpt),
                        data: talk.content().await?,
                        connection: number,
                        tls: talk.tls,
                        authenticated_as: talk.user.clone(),
                        connected_at,
                        at: Instant::now(),
                        answered: true,
                    };
                    talk.finish(received).await?;
                }
            }
            "RSET" => {
                talk.answer(Stage::Rset, "250 2.0.0 Ok").await?;
                (from, rcpt) = (None, Vec::new());
            }
            "QUIT" => {
                // Not counted any more when the client hears of it, and opens another.
                shared.update(|state| state.open -= 1);
                let _ = talk.answer(Stage::Quit, "221 2.0.0 Bye").await;
                return Ok(());
            }
            "RCPT" | "DATA" => talk.write("503 5.5.1 Bad sequence").await?,
            _ => talk.write("500 5.5.2 Command not recognized").await?,
        }
    }
}

impl Talk<'_> {
    async fn next_command(&mut self) -> io::Result<String> {
        let mut closings = self.shared.closings.subscribe();
        let mut line = String::new();
        let read = tokio::select! {
            biased;
            read = self.stream.read_line(&mut line) => read?,
            _ = closings.changed() => return Err(over()),
        };
        if read == 0 {
            return Err(over());
        }
        let line = line.trim_end().to_owned();
        let entry = (self.number, line.clone());
        self.shared.update(|state| state.commands.push(entry));
        Ok(line)
    }

    async fn write(&mut self, reply: &str) -> io::Result<()> {
        self.stream
            .write_all(format!("{reply}\r\n").as_bytes())
            .await?;
        self.stream.flush().await
    }

    /// What the script has for this stage, after the stage's delay.
    async fn scripted(&mut self, stage: Stage) -> Option<Act> {
        let (delay, act) = {
            let mut state = self.shared.lock();
            let act = state.script.get_mut(&stage).and_then(VecDeque::pop_front);
            (state.delays.get(&stage).copied(), act)
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        act
    }

    /// Answers with `usual` or by the script; says whether the answer was a positive one.
    async fn answer(&mut self, stage: Stage, usual: &str) -> io::Result<bool> {
        match self.scripted(stage).await {
            None => {
                self.write(usual).await?;
                Ok(usual.starts_with(['2', '3']))
            }
            Some(Act::Reply(reply)) => {
                self.write(&reply).await?;
                Ok(reply.starts_with(['2', '3']))
            }
            Some(Act::Close { .. }) => Err(over()),
            Some(Act::Hang) => self.hang().await,
            Some(Act::Stall) => {
                self.write(usual).await?;
                std::future::pending().await
            }
        }
    }

    async fn hang<T>(&mut self) -> io::Result<T> {
        self.shared.update(|state| state.hung += 1);
        let mut ignored = [0; 4096];
        while self.stream.read(&mut ignored).await? > 0 {}
        Err(over())
    }

    fn ehlo_reply(&self) -> String {
        let options = &self.shared.options;
        let mut lines = vec!["sink.test", "ENHANCEDSTATUSCODES"];
        if !options.one_by_one {
            // In any case of letters (RFC 5321, section 2.4).
            lines.push("Pipelining");
        }
        if options.starttls && !self.tls {
            lines.push("STARTTLS");
        }
        if options.login.is_some() && (self.tls || !options.starttls) {
            lines.push(match options.only_auth_login {
                true => "AUTH LOGIN",
                false => "AUTH PLAIN LOGIN",
            });
        }
        if options.eight_bit_mime {
            lines.push("8BITMIME");
        }
        if options.dsn {
            lines.push("DSN");
        }
        if options.smtputf8 {
            lines.push("SMTPUTF8");
        }
        let size = options.size.map(|size| format!("SIZE {size}"));
        lines.extend(size.as_deref());
        let (last, others) = lines.split_last().unwrap();
        let mut reply: String = others
            .iter()
            .map(|line| format!("250-{line}\r\n"))
            .collect();
        reply.push_str("250 ");
        reply.push_str(last);
        reply
    }

    async fn encrypt(self) -> io::Result<Self> {
        let stream = self.shared.tls.accept(self.stream.into_inner()).await?;
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
            tls: true,
            ..self
        })
    }

    /// AUTH PLAIN (RFC 4616) and LOGIN.
    async fn auth(&mut self, line: &str) -> io::Result<()> {
        let decode = |text: &str| {
            let bytes = BASE64_STANDARD.decode(text.trim()).unwrap_or_default();
            String::from_utf8(bytes).unwrap_or_default()
        };
        let (user, password) = if let Some(initial) = line.strip_prefix("AUTH PLAIN ") {
            let plain = decode(initial);
            let mut parts = plain.split('\0').skip(1).map(str::to_owned);
            (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            )
        } else {
            self.write("334 VXNlcm5hbWU6").await?;
            let user = decode(&self.next_command().await?);
            self.write("334 UGFzc3dvcmQ6").await?;
            (user, decode(&self.next_command().await?))
        };
        if self.shared.options.login == Some((user.as_str(), password.as_str())) {
            if self.answer(Stage::Auth, "235 2.7.0 Welcome").await? {
                self.user = Some(user);
            }
        } else {
            let reply = "535 5.7.8 Credentials invalid";
            self.answer(Stage::Auth, reply).await?;
        }
        Ok(())
    }

    async fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let start = content.len();
            if self.stream.read_until(b'\n', &mut content).await? == 0 {
                return Err(over());
            }
            if &content[start..] == b".\r\n" {
                content.truncate(start);
                return Ok(content);
            }
            if content[start] == b'.' {
                content.remove(start);
            }
        }
    }

    async fn finish(&mut self, received: Received) -> io::Result<()> {
        let usual = format!("250 2.0.0 Ok: queued for {}", received.rcpt.join(","));
        let shared = self.shared;
        let store = |received| {
            let received = Received {
                at: Instant::now(),
                ..received
            };
            shared.update(|state| state.messages.push(received));
        };
        let act = self.scripted(Stage::Final).await.or_else(|| {
            let ending = shared.lock().on_final.as_mut()?(&received)?;
            Some(match ending {
                Ending::Reply(reply) => Act::Reply(reply.to_owned()),
                Ending::Drop { keep } => Act::Close { keep },
            })
        });
        match act {
            None => {
                // Stored first: whoever has the answer finds the message.
                store(received);
                self.write(&usual).await
            }
            Some(Act::Reply(reply)) => {
                if reply.starts_with('2') {
                    store(received);
                }
                self.write(&reply).await
            }
            Some(Act::Close { keep }) => {
                if keep {
                    store(Received {
                        answered: false,
                        ..received
                    });
                }
                Err(over())
            }
            Some(Act::Hang) => self.hang().await,
            Some(Act::Stall) => std::future::pending().await,
        }
    }
}

/// The address between `<` and `>`.
fn address_in(line: &str) -> String {
    let start = line.find('<').map_or(0, |at| at + 1);
    let end = line.rfind('>').unwrap_or(line.len());
    line[start..end].to_owned()
}
