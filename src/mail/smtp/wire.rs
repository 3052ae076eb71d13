//! The wire: what lettre reads from and writes to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::sync::watch;

/// A socket, or TLS over one, that hands lettre at most one line at a time.
///
/// lettre reads into a buffer that survives STARTTLS: whatever an attacker appends to the
/// plaintext `220` would be read as the first encrypted answer. Here such bytes stay behind, go
/// to the TLS handshake and fail it. It also shows whether a kept connection is quiet: an answer
/// that nobody asked for would make every later one be taken for the answer before it.
#[derive(Clone)]
pub(super) struct Wire {
    stream: Arc<Mutex<BufReader<Box<dyn Stream>>>>,
    /// Whether what lettre wrote is out: it flushes at the end of each write.
    is_flushed: Arc<watch::Sender<bool>>,
    peer: SocketAddr,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Wire {
    pub(super) fn new(stream: impl Stream + 'static, peer: SocketAddr) -> Self {
        Self {
            stream: Arc::new(Mutex::new(BufReader::new(Box::new(stream)))),
            is_flushed: Arc::default(),
            peer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufReader<Box<dyn Stream>>> {
        // Only one future uses a connection; a panic in the stream ends that connection.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was flushed before.
    pub(super) fn expect_flush(&self) {
        self.is_flushed.send_replace(false);
    }

    /// Whether all that was written since has been handed to the operating system.
    pub(super) fn has_flushed(&self) -> bool {
        *self.is_flushed.borrow()
    }

    /// Waits for that.
    pub(super) async fn flushed(&self) {
        // The sender lives as long as `self`.
        let _ = self
            .is_flushed
            .subscribe()
            .wait_for(|flushed| *flushed)
            .await;
    }

    /// Whether nothing has arrived, not even the end or an error.
    pub(super) fn is_quiet(&self) -> bool {
        let mut stream = self.lock();
        // Nobody waits: the next read registers its own waker.
        let mut nobody = Context::from_waker(Waker::noop());
        Pin::new(&mut *stream)
            .poll_fill_buf(&mut nobody)
            .is_pending()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = self.lock();
        let available = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))?;
        let line = match available.iter().position(|&byte| byte == b'\n') {
            Some(end) => &available[..=end],
            None => available,
        };
        let taken = line.len().min(buf.remaining());
        buf.put_slice(&line[..taken]);
        Pin::new(&mut *stream).consume(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut *self.lock()).poll_flush(cx))?;
        self.is_flushed.send_replace(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }
}
