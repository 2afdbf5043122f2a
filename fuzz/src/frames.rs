//! The body of a call, as bytes; and what must hold however the network cuts them: the same requests are read, in the same order, the
//! same end is told in words, and nothing panics.
//!
//! The first byte says how the rest is cut: all in one, or in pieces of so many bytes. The fuzz target plays it, and the tests of
//! `rollcall-xds` the corpus.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use http_body::Frame;
use prost::Message as _;
use rollcall_xds::{
    framed::{Limit, Messages},
    proto::discovery::DeltaDiscoveryRequest,
};
use tonic::{Code, Status, body::Body};

/// A body that comes in these pieces.
struct Pieces(std::vec::IntoIter<Bytes>);

/// Messages are no larger.
const LIMIT: Limit = Limit { bytes: 4_096, remedy: "ask for less" };

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

pub(crate) fn play(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else { return };
    let whole = read(data, data.len());
    let cut = read(data, usize::from(*cut));
    assert_eq!(cut, whole, "what is read depends on how it was cut");
    let (requests, end) = whole;
    assert!(requests.len() <= data.len() / 5, "a request has a head of five bytes");
    if let Some((code, words)) = end {
        assert!(code != Code::Ok && words.len() > 10, "{code:?} {words:?} says nothing");
    }
}

/// A request, as far as two of them can be compared: the metadata of a node may have numbers that are none.
type Read = (DeltaDiscoveryRequest, usize);

/// Messages, and how the stream ended if not well.
fn read(data: &[u8], piece: usize) -> (Vec<Read>, Option<(Code, String)>) {
    let pieces: Vec<_> = data.chunks(piece.max(1)).map(Bytes::copy_from_slice).collect();
    let mut stream = Messages::<DeltaDiscoveryRequest>::of(Body::new(Pieces(pieces.into_iter())), LIMIT);
    let mut requests = Vec::new();
    loop {
        match stream.next().now_or_never().expect("all of it is there") {
            Some(Ok(request)) => {
                let len = request.encoded_len();
                requests.push((DeltaDiscoveryRequest { node: None, ..request }, len));
            }
            Some(Err(status)) => {
                let over = stream.next().now_or_never().expect("it has ended");
                assert!(over.is_none(), "something comes after the end");
                return (requests, Some((status.code(), status.message().to_owned())));
            }
            None => return (requests, None),
        }
    }
}
