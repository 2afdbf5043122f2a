//! A connection to a server that may answer before it was asked, or without hearing the question out.
//!
//! A script behind `nc -l` writes its answer when somebody connects; a server that refuses a body answers and closes while
//! the body is still on its way. Their answers count as any other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of which nothing is read before something was written, and on which a write that nobody takes any more is no
/// failure: what can still be read tells what came of it.
#[derive(Debug)]
pub(super) struct Asking<S> {
    stream: S,
    said: Said,
}

#[derive(Debug)]
enum Said {
    /// Nothing yet; who wants to read.
    Nothing(Option<Waker>),
    /// Something.
    Something,
    /// Something that the other end does not take any more, and whether anything was read of it since.
    Unheard(Option<io::ErrorKind>),
}

// === impl Asking ===

impl<S> Asking<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, said: Said::Nothing(None) }
    }

    fn says(&mut self, said: Said) {
        if let Said::Nothing(Some(reader)) = std::mem::replace(&mut self.said, said) {
            reader.wake();
        }
    }

    /// What came of an attempt to say something, of which `unheard` is told when the other end does not listen any more.
    fn spoke<T>(&mut self, result: io::Result<T>, unheard: T) -> io::Result<T> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
        match result {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected) => {
                if !matches!(self.said, Said::Unheard(_)) {
                    self.says(Said::Unheard(Some(error.kind())));
                }
                Ok(unheard)
            }
            other => other,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Asking<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Said::Nothing(reader) = &mut self.said {
            *reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let ended = buffer.filled().len() == before;
        match &mut self.said {
            // Nothing was said to us either: it is the failed write that tells why.
            Said::Unheard(why) => match why.take() {
                Some(why) if ended => Poll::Ready(Err(why.into())),
                _ => Poll::Ready(Ok(())),
            },
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Asking<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        if result.is_ok() && matches!(self.said, Said::Nothing(_)) {
            self.says(Said::Something);
        }
        Poll::Ready(self.spoke(result, bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(self.spoke(result, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(self.spoke(result, ()))
    }
}
