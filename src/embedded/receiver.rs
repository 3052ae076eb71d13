//! The mail server of `enlist dev`: takes what the worker sends over real SMTP (RFC 5321) and puts
//! it into the mailbox. It listens on loopback, relays nothing, and bounds all that it is given.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::mailbox::{Envelope, Mailbox};

/// The largest mail, in bytes: pictures included, Enlist's own have a tenth of it.
const LARGEST: usize = 4 * 1024 * 1024;
/// The longest command, in bytes with its line end: an address may be long (RFC 5321 §4.5.3.1.4,
/// and RFC 6531 §3.7 for those beyond ASCII).
const LONGEST_COMMAND: usize = 2_048;
/// The longest line of a mail, in bytes with its line end; RFC 5321 §4.5.3.1.6 allows 1,000.
const LONGEST_LINE: usize = 8_192;
/// Recipients of one mail (RFC 5321 §4.5.3.1.8).
const RECIPIENTS: usize = 100;
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// Commands of one connection that make no sense, before it is closed.
const MISTAKES: usize = 10;
/// How long a client may be silent, and how long a mail may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long mails that are on their way may still take when the receiver is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// The running mail server. Dropping it stops it without waiting.
pub struct Receiver {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub async fn start(mailbox: Mailbox) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        Ok(Self {
            address,
            stop,
            running: tokio::spawn(serve(listener, mailbox, stopped)),
        })
    }

    /// What `ENLIST_SMTP_URL` would say.
    pub fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    /// Takes no more mail, lets what is on its way arrive, and waits for that.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the mailbox's mail server failed");
        }
    }
}

async fn serve(listener: TcpListener, mailbox: Mailbox, mut stopped: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if sessions.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let session = Session::new(stream, mailbox.clone());
                    let stopped = stopped.clone();
                    // How a connection ends is its client's affair, who tries again.
                    sessions.spawn(async move { let _ = session.run(stopped).await; });
                }
                Err(error) => {
                    tracing::warn!(%error, "the mailbox cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = sessions.join_next() => {}
            () = is_set(&mut stopped) => break,
        }
    }
    drop(listener);
    let rest = async { while sessions.join_next().await.is_some() {} };
    // What is still on its way then is cut off, and sent again when there is a receiver.
    let _ = timeout(GRACE, rest).await;
}

/// Until stopped, or until nobody is there to stop us.
async fn is_set(stopped: &mut watch::Receiver<bool>) {
    // An error is the latter.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

struct Session {
    stream: BufReader<TcpStream>,
    mailbox: Mailbox,
    greeted: bool,
    /// The transaction that is open: its sender and recipients.
    open: Option<Envelope>,
    mistakes: usize,
}

/// What follows a command's answer.
#[derive(PartialEq, Eq)]
enum Then {
    Continue,
    Data,
    Close,
}

impl Session {
    fn new(stream: TcpStream, mailbox: Mailbox) -> Self {
        // Without it, answers are only slower.
        let _ = stream.set_nodelay(true);
        Self {
            stream: BufReader::new(stream),
            mailbox,
            greeted: false,
            open: None,
            mistakes: 0,
        }
    }

    async fn run(mut self, mut stopped: watch::Receiver<bool>) -> io::Result<()> {
        self.reply("220 localhost ESMTP Enlist mailbox").await?;
        loop {
            let is_idle = self.open.is_none();
            let line = tokio::select! {
                line = timeout(PATIENCE, self.command_line()) => line,
                () = is_set(&mut stopped), if is_idle => {
                    return self.reply("421 4.3.2 The mailbox is closing").await;
                }
            };
            let Ok(line) = line else {
                return self.reply("421 4.4.2 Silent for too long").await;
            };
            let Some(line) = line? else {
                return self.reply("500 5.5.6 That line is too long").await;
            };
            let (answer, then) = self.obey(&line);
            self.reply(&answer).await?;
            match then {
                Then::Close => return Ok(()),
                Then::Continue => {}
                Then::Data => {
                    let content = timeout(PATIENCE, self.content())
                        .await
                        .map_err(|_| io::ErrorKind::TimedOut)??;
                    let answer = self.keep(content).await;
                    self.reply(&answer).await?;
                }
            }
        }
    }

    async fn reply(&mut self, reply: &str) -> io::Result<()> {
        let reply = format!("{reply}\r\n");
        timeout(PATIENCE, self.stream.write_all(reply.as_bytes())).await?
    }

    /// One command without its line end; `None` if it is too long.
    async fn command_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.line(LONGEST_COMMAND, &mut line).await?;
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Adds a line, or as much of it as is allowed.
    async fn line(&mut self, longest: usize, line: &mut Vec<u8>) -> io::Result<()> {
        let longest = u64::try_from(longest).unwrap_or(u64::MAX);
        let mut bounded = (&mut self.stream).take(longest);
        match bounded.read_until(b'\n', line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn obey(&mut self, line: &str) -> (String, Then) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => {
                self.greet();
                format!(
                    "250-localhost\r\n250-SIZE {LARGEST}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                     250-PIPELINING\r\n250 ENHANCEDSTATUSCODES"
                )
            }
            "HELO" => {
                self.greet();
                "250 localhost".to_owned()
            }
            "NOOP" => "250 2.0.0 Ok".to_owned(),
            "RSET" => {
                self.open = None;
                "250 2.0.0 Ok".to_owned()
            }
            "QUIT" => return ("221 2.0.0 Goodbye".to_owned(), Then::Close),
            "MAIL" | "RCPT" | "DATA" if !self.greeted => self.mistake("503 5.5.1 Say EHLO first"),
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest),
            "DATA" => match &self.open {
                Some(envelope) if !envelope.to.is_empty() => {
                    let answer = "354 End with a dot on a line of its own".to_owned();
                    return (answer, Then::Data);
                }
                _ => self.mistake("503 5.5.1 MAIL and RCPT come first"),
            },
            // Not a mail client: a browser that was sent here, say. Whatever follows is no mail.
            _ if !self.greeted => self.mistakes_end("500 5.5.1 This is a mail server"),
            _ => self.mistake("502 5.5.1 There is no such command here"),
        };
        let then = if self.mistakes >= MISTAKES {
            Then::Close
        } else {
            Then::Continue
        };
        (answer, then)
    }

    fn greet(&mut self) {
        self.greeted = true;
        self.open = None;
    }

    fn mistake(&mut self, answer: &str) -> String {
        self.mistakes += 1;
        answer.to_owned()
    }

    fn mistakes_end(&mut self, answer: &str) -> String {
        self.mistakes = MISTAKES;
        answer.to_owned()
    }

    fn mail(&mut self, rest: &str) -> String {
        if self.open.is_some() {
            return self.mistake("503 5.5.1 A mail is begun already");
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return self.mistake("501 5.5.4 MAIL FROM:<address>");
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" if value.parse::<usize>().is_ok_and(|size| size > LARGEST) => {
                    return "552 5.3.4 The mail is too large".to_owned();
                }
                "SIZE" | "BODY" | "SMTPUTF8" => {}
                _ => return self.mistake("555 5.5.4 There is no such parameter here"),
            }
        }
        self.open = Some(Envelope {
            from: from.to_owned(),
            to: Vec::new(),
        });
        "250 2.1.0 Ok".to_owned()
    }

    fn rcpt(&mut self, rest: &str) -> String {
        let Some(envelope) = &mut self.open else {
            return self.mistake("503 5.5.1 MAIL comes first");
        };
        match path(rest, "TO:") {
            Some((_, "")) if envelope.to.len() >= RECIPIENTS => {
                "452 4.5.3 Too many recipients".to_owned()
            }
            Some((address, "")) if !address.is_empty() => {
                envelope.to.push(address.to_owned());
                "250 2.1.5 Ok".to_owned()
            }
            _ => self.mistake("501 5.5.4 RCPT TO:<address>"),
        }
    }

    /// The mail up to the dot, unstuffed (RFC 5321 §4.5.2); or why it is refused, once it is all
    /// there.
    async fn content(&mut self) -> io::Result<Result<Vec<u8>, &'static str>> {
        let mut content = Vec::new();
        let mut refused = None;
        let mut line = Vec::new();
        let mut is_start = true;
        loop {
            line.clear();
            self.line(LONGEST_LINE, &mut line).await?;
            if is_start && line == b".\r\n" {
                break;
            }
            let is_stuffed = is_start && line.starts_with(b".");
            let piece = &line[usize::from(is_stuffed)..];
            is_start = line.ends_with(b"\n");
            let flaw = if !is_start {
                Some("554 5.6.0 A line is too long")
            } else if !line.ends_with(b"\r\n") {
                // Where such a line ends is in the eye of the beholder (RFC 5321 §2.3.8).
                Some("554 5.6.0 A line does not end with CRLF")
            } else if content.len() + piece.len() > LARGEST {
                Some("552 5.3.4 The mail is too large")
            } else {
                None
            };
            refused = refused.or(flaw);
            if refused.is_none() {
                content.extend_from_slice(piece);
            } else {
                content = Vec::new();
            }
        }
        Ok(refused.map_or(Ok(content), Err))
    }

    async fn keep(&mut self, content: Result<Vec<u8>, &'static str>) -> String {
        let envelope = self.open.take().unwrap_or_default();
        let content = match content {
            Ok(content) => content,
            Err(reason) => return reason.to_owned(),
        };
        let mailbox = self.mailbox.clone();
        let added = tokio::task::spawn_blocking(move || mailbox.add(&envelope, &content)).await;
        match added.map_err(io::Error::from).flatten() {
            Ok(id) => format!("250 2.0.0 Ok: kept as {id}"),
            Err(error) => {
                tracing::error!(%error, "a mail cannot be kept");
                "451 4.3.0 The mail cannot be kept now".to_owned()
            }
        }
    }
}

/// The address and the parameters behind it: `FROM:<ada@example.com> SIZE=812`.
fn path<'a>(text: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let given = text.get(..keyword.len())?;
    let rest = text[keyword.len()..].trim_start().strip_prefix('<')?;
    if !given.eq_ignore_ascii_case(keyword) {
        return None;
    }
    // A quoted local part may hold what would end the path.
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in rest.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '>' if !is_quoted => return Some((&rest[..at], rest[at + 1..].trim())),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_whatever_its_quotes_hold() {
        let parse = |text| path(text, "FROM:");
        assert_eq!(
            parse("FROM:<ada@example.com>"),
            Some(("ada@example.com", ""))
        );
        assert_eq!(
            parse("from: <a@b> SIZE=1 BODY=8BITMIME"),
            Some(("a@b", "SIZE=1 BODY=8BITMIME"))
        );
        assert_eq!(
            parse(r#"FROM:<"a>\" <b"@c> SIZE=1"#),
            Some((r#""a>\" <b"@c"#, "SIZE=1"))
        );
        assert_eq!(parse("FROM:<>"), Some(("", "")));
        for bad in ["", "FROM:", "FROM:a@b", "FROM:<a@b", "TO:<a@b>", "frömm<a>"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
