//! Requests out of the body of a call (gRPC over HTTP/2, "Length-Prefixed-Message").
//!
//! tonic's own reader keeps the buffer of the largest request for as long as the stream lives, and a client that comes back with
//! versions of ten thousand resources says half a megabyte once. Here a request has memory of its own, which goes with it; a
//! request that came in one piece is read where it lies.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::Stream;
use http_body::Body as _;
use prost::Message;
use tonic::{Code, Status, body::Body};

use super::HEAD_BYTES;

/// The requests of a call, until its client closes its half.
#[derive(Debug)]
pub struct Requests<M> {
    body: Body,
    /// What came last, as far as it was not looked at.
    arrived: Bytes,
    /// The beginning of a request that came by half, with its head.
    begun: BytesMut,
    limit: Limit,
    ended: bool,
    message: PhantomData<fn() -> M>,
}

/// The largest request.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its bytes.
    pub bytes: usize,
    /// What whoever sent a larger one is to do.
    pub remedy: &'static str,
}

// === impl Requests ===

impl<M: Message + Default> Requests<M> {
    /// Of `body`, none larger than `limit`.
    pub fn of(body: Body, limit: Limit) -> Self {
        Self { body, arrived: Bytes::new(), begun: BytesMut::new(), limit, ended: false, message: PhantomData }
    }

    /// The next request, if all of it is there.
    fn take(&mut self) -> Result<Option<M>, Status> {
        let first = if self.begun.is_empty() { self.whole(&self.arrived)? } else { None };
        if let Some(len) = first.filter(|len| self.arrived.len() >= HEAD_BYTES + len) {
            self.arrived.advance(HEAD_BYTES);
            return read(self.arrived.split_to(len)).map(Some);
        }
        self.gather(HEAD_BYTES);
        let Some(len) = self.whole(&self.begun)? else { return Ok(None) };
        self.gather(HEAD_BYTES + len);
        if self.begun.len() < HEAD_BYTES + len {
            return Ok(None);
        }
        let mut whole = std::mem::take(&mut self.begun).freeze();
        whole.advance(HEAD_BYTES);
        read(whole).map(Some)
    }

    /// Moves what has arrived to the request that has begun, up to so many bytes of it.
    fn gather(&mut self, bytes: usize) {
        let missing = bytes.saturating_sub(self.begun.len());
        let part = self.arrived.split_to(missing.min(self.arrived.len()));
        if !part.is_empty() {
            self.begun.reserve(missing);
            self.begun.extend_from_slice(&part);
        }
        if self.arrived.is_empty() {
            self.arrived = Bytes::new(); // it may be a part of a larger one
        }
    }

    /// The length of a request that begins like this, once that is known.
    fn whole(&self, bytes: &[u8]) -> Result<Option<usize>, Status> {
        let Some([compressed, len @ ..]) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        if *compressed != 0 {
            return Err(Status::internal("the request is compressed, and its call does not say how"));
        }
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let Limit { bytes: limit, remedy } = self.limit;
        if len > limit {
            return Err(Status::out_of_range(format!("the request has {len} bytes, the limit is {limit}; {remedy}")));
        }
        Ok(Some(len))
    }
}

fn read<M: Message + Default>(bytes: Bytes) -> Result<M, Status> {
    M::decode(bytes).map_err(|error| Status::internal(format!("the request cannot be read: {error}")))
}

impl<M: Message + Default> Stream for Requests<M> {
    type Item = Result<M, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            match this.take() {
                Ok(None) => {}
                Ok(Some(request)) => return Poll::Ready(Some(Ok(request))),
                Err(status) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                // Trailers of a request say nothing to us.
                Some(Ok(frame)) => this.arrived = frame.into_data().unwrap_or_default(),
                // The client has reset the stream.
                Some(Err(status)) if status.code() == Code::Cancelled => this.ended = true,
                Some(Err(status)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
                None => {
                    this.ended = true;
                    if !this.begun.is_empty() {
                        return Poll::Ready(Some(Err(Status::internal("the stream ends within a request"))));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use http_body::Frame;

    use super::*;
    use crate::proto::discovery::DiscoveryRequest;

    /// A body of these pieces.
    struct Pieces(std::vec::IntoIter<Bytes>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
        }
    }

    const LIMIT: Limit = Limit { bytes: 1_000, remedy: "ask for less" };

    fn requests(pieces: impl Iterator<Item = Bytes>) -> Requests<DiscoveryRequest> {
        let pieces: Vec<_> = pieces.collect();
        Requests::of(Body::new(Pieces(pieces.into_iter())), LIMIT)
    }

    fn framed(names: usize) -> Vec<u8> {
        let resource_names = (0..names).map(|name| name.to_string()).collect();
        let request = DiscoveryRequest { resource_names, ..DiscoveryRequest::default() };
        let len = u32::try_from(request.encoded_len()).expect("short").to_be_bytes();
        [&[0][..], &len, &request.encode_to_vec()].concat()
    }

    #[tokio::test]
    async fn requests_are_read_however_their_bytes_are_cut_and_leave_no_memory_behind() {
        let bytes = Bytes::from([framed(3), framed(0), framed(100)].concat());
        for cut in 1..=bytes.len() {
            let pieces = (0..bytes.len()).step_by(cut).map(|at| bytes.slice(at..bytes.len().min(at + cut)));
            let mut requests = requests(pieces);
            let mut names = Vec::new();
            while let Some(request) = requests.next().await {
                names.push(request.expect("a request").resource_names.len());
            }
            assert_eq!(names, [3, 0, 100], "cut at {cut}");
            assert_eq!((requests.begun.capacity(), requests.arrived.len()), (0, 0), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn what_is_no_request_ends_the_stream_in_words() {
        let too_long = [&[0][..], &1_001_u32.to_be_bytes()].concat();
        let compressed = [&[1][..], &framed(1)[1..]].concat();
        let garbage = [&[0, 0, 0, 0, 2][..], &[0x0a, 0x7f]].concat();
        let half = framed(1)[..6].to_vec();
        for (bytes, code, words) in [
            (too_long, Code::OutOfRange, "the limit is 1000; ask for less"),
            (compressed, Code::Internal, "compressed"),
            (garbage, Code::Internal, "cannot be read"),
            (half, Code::Internal, "within a request"),
        ] {
            let mut requests = requests([Bytes::from(bytes)].into_iter());
            let status = requests.next().await.expect("an answer").expect_err("no request");
            assert!(status.code() == code && status.message().contains(words), "{status}");
            assert!(requests.next().await.is_none());
        }
    }
}
