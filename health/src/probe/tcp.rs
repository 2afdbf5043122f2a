//! A TCP connection, encrypted if asked; a word is sent and one expected if asked.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dial::{Close, Dial};
use super::fault::{Failed, local_in};
use super::progress::Progress;
use super::stream::{Opener, Stream};
use super::tls::{self, Alpn};
use super::words::quoted;
use super::{Seen, contains};
use crate::definition::{Exchange, Tcp, TlsHandshake};

/// As much is read in search of what is expected.
const ANSWER_BYTES_MAX: usize = 10 * 1024;

/// Connects, and asks if it is to.
pub(super) async fn connect<D: Dial>(opener: &Opener<'_, D>, tcp: &Tcp, progress: &Progress) -> Result<Seen, Failed> {
    let Exchange { send, expect } = &tcp.exchange;
    // Somebody who sends without end is to stop.
    let close = if expect.is_some() { Close::Reset } else { Close::Gracefully };
    let mut stream = opener.open(close, ANSWER_BYTES_MAX, tcp.tls.as_ref(), Alpn::None, None).await?;
    if let Some(send) = send {
        let sent = async {
            stream.write_all(send).await?;
            stream.flush().await
        };
        sent.await.map_err(|error| broken(&error))?;
    }
    match expect {
        Some(expect) => answer(&mut stream, expect, progress).await,
        None => Ok(Seen::Well(if tcp.tls.is_some() { "was accepted, with TLS" } else { "was accepted" }.to_owned())),
    }
}

async fn answer<S>(stream: &mut Stream<S>, expect: &Arc<[u8]>, progress: &Progress) -> Result<Seen, Failed>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut read = Vec::with_capacity(1024);
    while read.len() < ANSWER_BYTES_MAX {
        let mut chunk = [0; 1024];
        let length = match stream.read(&mut chunk).await {
            Ok(0) => break,
            Ok(length) => length,
            // What came before it counts.
            Err(_) if !read.is_empty() => break,
            Err(error) => return Err(broken(&error)),
        };
        read.extend_from_slice(&chunk[..length]);
        if contains(&read, expect) {
            return Ok(Seen::Well(format!("answered {}", quoted(&read))));
        }
        progress.saw(format!("answered {}, which does not contain {}", quoted(&read), quoted(expect)));
    }
    Err(Failed::Target(progress.take().unwrap_or_else(|| "was closed without an answer".to_owned())))
}

/// Shakes hands, and looks at how long the certificate lasts.
pub(super) async fn handshake<D: Dial>(opener: &Opener<'_, D>, check: &TlsHandshake) -> Result<Seen, Failed> {
    let stream = opener.open(Close::Reset, 0, Some(&check.tls), Alpn::None, None).await?;
    let Stream::Encrypted(stream) = stream else {
        return Err(Failed::Target("got no TLS".to_owned()));
    };
    tls::judge(check, stream.get_ref().1.peer_certificates().unwrap_or_default())
}

fn broken(error: &std::io::Error) -> Failed {
    match local_in(error) {
        Some(fault) => Failed::Local(fault, None),
        None => Failed::Target(format!("broke off: {error}")),
    }
}
