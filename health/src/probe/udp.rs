//! A datagram that has to be answered.

use super::dial::Dial;
use super::fault::{Failed, connecting};
use super::stream::Opener;
use super::words::quoted;
use super::{Seen, contains};
use crate::definition::Udp;

/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// Sends, and waits for what is expected.
pub(super) async fn ask<D: Dial>(opener: &Opener<'_, D>, udp: &Udp) -> Result<Seen, Failed> {
    let socket = opener.dialer.datagrams(opener.target).await.map_err(connecting)?;
    // An empty datagram is one, too.
    socket.send(udp.exchange.send.as_deref().unwrap_or_default()).await.map_err(connecting)?;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    let length = socket.recv(&mut datagram).await.map_err(connecting)?;
    let answer = &datagram[..length];
    match &udp.exchange.expect {
        Some(expect) if !contains(answer, expect) => {
            let words = format!("answered {}, which does not contain {}", quoted(answer), quoted(expect));
            Err(Failed::Target(words))
        }
        _ => Ok(Seen::Well(format!("answered {}", quoted(answer)))),
    }
}
