//! Speaking with a server: a command goes out, a reply comes in, each within its time.
//!
//! Ours and not a library's: what servers really answer (no text, no UTF-8, no end of a line) has to be read here, and
//! every wait has its own limit.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::{
    fault::Fault,
    reply::{Reader, Reply},
};

/// How long a server that stopped reading is listened to: most say why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A socket, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One side of the conversation. It is in step only while every command has had its reply.
pub(super) struct Dialogue {
    stream: BufReader<Box<dyn Stream>>,
}

impl Dialogue {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
        }
    }

    /// The stream below, for TLS over it.
    ///
    /// # Errors
    /// When something has arrived that is not read yet: an attacker on the way could have put it there, to be taken
    /// for the first encrypted answer (CVE-2011-0411 is the same fault of servers).
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, Fault> {
        if self.stream.buffer().is_empty() {
            Ok(self.stream.into_inner())
        } else {
            let reason = "the server went on in clear after its go-ahead";
            Err(Fault::Broken(reason.into()))
        }
    }

    /// Sends a command, or several, each with its line end, and reads the reply to the first.
    pub(super) async fn command(&mut self, line: &str, limit: Duration) -> Result<Reply, Fault> {
        in_time(limit, async {
            let written = self.write(line.as_bytes()).await;
            let reply = self.read().await;
            // A server that hangs up may have said why before.
            match (written, reply) {
                (_, Ok(reply)) => Ok(reply),
                (Err(error), Err(_)) => Err(Fault::from(error)),
                (Ok(()), Err(fault)) => Err(fault),
            }
        })
        .await
    }

    /// Reads one reply.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, Fault> {
        in_time(limit, self.read()).await
    }

    /// Writes a message's content with the final dot. Gives what the server said instead of reading on, if it did.
    pub(super) async fn content(&mut self, content: &str, limit: Duration) -> Result<(), Fault> {
        let written = in_time(limit, async {
            self.write(content.as_bytes()).await.map_err(Fault::from)
        })
        .await;
        let Err(fault) = written else {
            return Ok(());
        };
        match timeout(LAST_WORDS, self.read()).await {
            Ok(Ok(reply)) if reply.code >= 400 => Err(Fault::Reply(reply)),
            _ => Err(fault),
        }
    }

    /// Whether nothing has arrived, not even the end or an error: an answer that nobody asked for would make every
    /// later one be taken for the answer before it.
    pub(super) fn is_quiet(&mut self) -> bool {
        // Nobody waits: the next read registers its own waker.
        let mut nobody = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream)
            .poll_fill_buf(&mut nobody)
            .is_pending()
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn read(&mut self) -> Result<Reply, Fault> {
        let mut reader = Reader::default();
        loop {
            let bytes = self.stream.fill_buf().await?;
            if bytes.is_empty() {
                return Err(Fault::Broken("the server closed the connection".into()));
            }
            let (taken, reply) = reader
                .take(bytes)
                .map_err(|no| Fault::Broken(no.to_string()))?;
            self.stream.consume(taken);
            if let Some(reply) = reply {
                return Ok(reply);
            }
        }
    }
}

/// Waits for a stage, and no longer than its limit.
pub(super) async fn in_time<T>(
    limit: Duration,
    stage: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(limit, stage)
        .await
        .unwrap_or(Err(Fault::Timeout(limit)))
}
