//! Queries and answers as dnstap, over Frame Streams on a Unix socket: for what is made to read those.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::UnixStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Observer, Seen};
use crate::answer::Transport;

/// What the frames hold.
const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";
const CONTROL_ACCEPT: u32 = 1;
const CONTROL_START: u32 = 2;
const CONTROL_STOP: u32 = 3;
const CONTROL_READY: u32 = 4;
const FIELD_CONTENT_TYPE: u32 = 1;
/// Largest control frame (of the specification of Frame Streams).
const CONTROL_BYTES_MAX: u32 = 512;
/// For the other side to take what is sent, and before the next attempt.
const PATIENCE: Duration = Duration::from_secs(5);
/// dnstap.Dnstap.Type.MESSAGE
const TYPE_MESSAGE: i32 = 1;
/// dnstap.Message.Type: a query of a client, for which another server is asked; and an answer to one.
const CLIENT_QUERY: i32 = 5;
const CLIENT_RESPONSE: i32 = 6;

/// dnstap.Dnstap
#[derive(Clone, PartialEq, Message)]
struct Dnstap {
    #[prost(bytes = "vec", optional, tag = "1")]
    identity: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    version: Option<Vec<u8>>,
    #[prost(message, optional, tag = "14")]
    message: Option<Told>,
    #[prost(int32, required, tag = "15")]
    kind: i32,
}

/// dnstap.Message, as far as it is filled.
#[derive(Clone, PartialEq, Message)]
struct Told {
    #[prost(int32, required, tag = "1")]
    kind: i32,
    #[prost(int32, optional, tag = "2")]
    socket_family: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    socket_protocol: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    query_address: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "8")]
    query_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "9")]
    query_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "10")]
    query_message: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "12")]
    response_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "13")]
    response_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "14")]
    response_message: Option<Vec<u8>>,
}

/// Sends what is seen to the socket at `path` until `stop`; tries again when there is nobody.
pub async fn send(
    path: PathBuf,
    mut each: Receiver<Arc<Seen>>,
    identity: String,
    observer: Arc<Observer>,
    stop: CancellationToken,
) {
    let mut said = false;
    loop {
        let sending = send_to(&path, &mut each, &identity, &observer);
        match stop.run_until_cancelled(sending).await {
            None | Some(Ok(())) => return,
            Some(Err(error)) => {
                if !said {
                    tracing::warn!(%error, path = %path.display(), "dnstap is not taken; trying again every 5 s");
                }
                said = true;
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(PATIENCE)).await.is_none() {
            return;
        }
        // What nobody took meanwhile.
        loop {
            match each.try_recv() {
                Ok(_) => observer.left_out(1),
                Err(TryRecvError::Lagged(number)) => observer.left_out(number),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }
}

async fn send_to(
    path: &PathBuf,
    each: &mut Receiver<Arc<Seen>>,
    identity: &str,
    observer: &Observer,
) -> io::Result<()> {
    let stream = UnixStream::connect(path).await?;
    let (mut read, write) = stream.into_split();
    let mut out = BufWriter::new(write);
    in_time(async {
        out.write_all(&control(CONTROL_READY)).await?;
        out.flush().await?;
        accepted(&mut read).await?;
        out.write_all(&control(CONTROL_START)).await?;
        out.flush().await
    })
    .await?;
    loop {
        match each.recv().await {
            Ok(seen) => in_time(frame(&mut out, &seen, identity)).await?,
            Err(RecvError::Lagged(number)) => observer.left_out(number),
            Err(RecvError::Closed) => break,
        }
        if each.is_empty() {
            in_time(out.flush()).await?;
        }
    }
    in_time(async {
        out.write_all(&control_of(CONTROL_STOP, &[])).await?;
        out.flush().await
    })
    .await
}

async fn frame(out: &mut (impl AsyncWriteExt + Unpin), seen: &Seen, identity: &str) -> io::Result<()> {
    let bytes = tapped(seen, identity).encode_to_vec();
    // Two messages of DNS and little else.
    out.write_u32(bytes.len() as u32).await?;
    out.write_all(&bytes).await
}

fn tapped(seen: &Seen, identity: &str) -> Dnstap {
    let (seconds, nanos) = (seen.at.as_secs(), seen.at.subsec_nanos());
    let (family, address) = match seen.from.to_canonical() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let protocol = match seen.transport {
        Transport::Udp => 1,
        Transport::Tcp => 2,
    };
    let answer = seen.answer.as_deref().map(<[u8]>::to_vec);
    let message = Told {
        kind: if answer.is_some() { CLIENT_RESPONSE } else { CLIENT_QUERY },
        socket_family: Some(family),
        socket_protocol: Some(protocol),
        query_address: Some(address),
        query_time_sec: Some(seconds),
        query_time_nsec: Some(nanos),
        query_message: Some(seen.query.to_vec()),
        response_time_sec: answer.is_some().then_some(seconds),
        response_time_nsec: answer.is_some().then_some(nanos),
        response_message: answer,
    };
    let version = concat!("rollcall-dns ", env!("CARGO_PKG_VERSION"));
    Dnstap {
        identity: Some(identity.as_bytes().to_vec()),
        version: Some(version.into()),
        message: Some(message),
        kind: TYPE_MESSAGE,
    }
}

fn control(kind: u32) -> Vec<u8> {
    // A short constant.
    let field =
        [&FIELD_CONTENT_TYPE.to_be_bytes()[..], &(CONTENT_TYPE.len() as u32).to_be_bytes(), CONTENT_TYPE].concat();
    control_of(kind, &field)
}

/// An escape, the length, and the frame.
fn control_of(kind: u32, fields: &[u8]) -> Vec<u8> {
    [&0_u32.to_be_bytes()[..], &(4 + fields.len() as u32).to_be_bytes(), &kind.to_be_bytes(), fields].concat()
}

async fn accepted(read: &mut (impl AsyncReadExt + Unpin)) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it does not speak Frame Streams with dnstap");
    let (escape, length) = (read.read_u32().await?, read.read_u32().await?);
    if escape != 0 || !(4..=CONTROL_BYTES_MAX).contains(&length) {
        return Err(wrong());
    }
    let mut rest = vec![0; length as usize];
    read.read_exact(&mut rest).await?;
    let is_ours = rest.windows(CONTENT_TYPE.len()).any(|part| part == CONTENT_TYPE);
    let accepts = rest.first_chunk() == Some(&CONTROL_ACCEPT.to_be_bytes()) && is_ours;
    if accepts { Ok(()) } else { Err(wrong()) }
}

async fn in_time<T>(sending: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;
    use crate::answer::Asker;

    #[tokio::test]
    async fn what_reads_dnstap_is_sent_queries_and_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tap.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let observer = Arc::new(Observer::new(true));
        let stop = CancellationToken::new();
        let each = observer.listen().unwrap();
        let sending = tokio::spawn(send(path, each, "dns-0".to_owned(), Arc::clone(&observer), stop.clone()));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut control_frame = async |kind: u32| {
            assert_eq!(stream.read_u32().await.unwrap(), 0);
            let mut rest = vec![0; stream.read_u32().await.unwrap() as usize];
            stream.read_exact(&mut rest).await.unwrap();
            assert_eq!(rest, control(kind)[8..]);
            if kind == CONTROL_READY {
                stream.write_all(&control(CONTROL_ACCEPT)).await.unwrap();
            }
        };
        control_frame(CONTROL_READY).await;
        control_frame(CONTROL_START).await;
        for answer in [Some(&b"answer"[..]), None] {
            observer.saw(b"query", answer, &Asker::from(Transport::Udp), 1);
            let mut bytes = vec![0; stream.read_u32().await.unwrap() as usize];
            stream.read_exact(&mut bytes).await.unwrap();
            let tapped = Dnstap::decode(&*bytes).unwrap();
            let message = tapped.message.unwrap();
            assert_eq!(
                (tapped.identity.unwrap(), message.query_message.unwrap()),
                (b"dns-0".to_vec(), b"query".to_vec())
            );
            assert_eq!(message.response_message.as_deref(), answer);
            assert_eq!(message.kind, if answer.is_some() { CLIENT_RESPONSE } else { CLIENT_QUERY });
        }
        stop.cancel();
        sending.await.unwrap();
    }
}
