//! Messages out of the body of a request or an answer (gRPC over HTTP/2, "Length-Prefixed-Message").
//!
//! tonic's own reader keeps the buffer of the largest message for as long as the stream lives: a client that comes back with
//! versions of ten thousand resources says half a megabyte once, and whoever reads a catalog is told megabytes at the beginning.
//! Here a message has memory of its own, which goes with it; one that came in one piece is read where it lies.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::Stream;
use http_body::Body as _;
use prost::Message;
use tonic::{Code, Status, body::Body, codegen::http::HeaderMap};

use super::HEAD_BYTES;

/// What one half of a call says, until it is closed.
#[derive(Debug)]
pub struct Messages<M> {
    body: Body,
    /// What came last, as far as it was not looked at.
    arrived: Bytes,
    /// The beginning of a message that came by half, with its head.
    begun: BytesMut,
    limit: Limit,
    ended: bool,
    message: PhantomData<fn() -> M>,
}

/// The largest message.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its bytes.
    pub bytes: usize,
    /// What whoever sent a larger one is to do.
    pub remedy: &'static str,
}

// === impl Messages ===

impl<M: Message + Default> Messages<M> {
    /// Of `body`, none larger than `limit`.
    pub fn of(body: Body, limit: Limit) -> Self {
        Self { body, arrived: Bytes::new(), begun: BytesMut::new(), limit, ended: false, message: PhantomData }
    }

    /// The next message, if all of it is there.
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

    /// Moves what has arrived to the message that has begun, up to so many bytes of it.
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

    /// The length of a message that begins like this, once that is known.
    fn whole(&self, bytes: &[u8]) -> Result<Option<usize>, Status> {
        let Some([compressed, len @ ..]) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        if *compressed != 0 {
            return Err(Status::internal("the message is compressed, and its call does not say how"));
        }
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let Limit { bytes: limit, remedy } = self.limit;
        if len > limit {
            return Err(Status::out_of_range(format!("the message has {len} bytes, the limit is {limit}; {remedy}")));
        }
        Ok(Some(len))
    }
}

/// How an answer ends, unless all went well. The trailers of a request say nothing of the kind.
fn refusal(trailers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(trailers).filter(|status| status.code() != Code::Ok)
}

fn read<M: Message + Default>(bytes: Bytes) -> Result<M, Status> {
    M::decode(bytes).map_err(|error| Status::internal(format!("the message cannot be read: {error}")))
}

impl<M: Message + Default> Stream for Messages<M> {
    type Item = Result<M, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            match this.take() {
                Ok(None) => {}
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Err(status) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.arrived = data,
                    Err(frame) => {
                        if let Some(status) = frame.trailers_ref().and_then(refusal) {
                            this.ended = true;
                            return Poll::Ready(Some(Err(status)));
                        }
                    }
                },
                // Whoever speaks has reset the stream.
                Some(Err(status)) if status.code() == Code::Cancelled => this.ended = true,
                Some(Err(status)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
                None => {
                    this.ended = true;
                    if !this.begun.is_empty() {
                        return Poll::Ready(Some(Err(Status::internal("the stream ends within a message"))));
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

    /// A body of these pieces, and of trailers with this code.
    struct Pieces(std::vec::IntoIter<Bytes>, Option<Code>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let piece = self.0.next().map(Frame::data);
            let trailers = || self.1.take().and_then(|code| Some(Frame::trailers(ended(code)?)));
            Poll::Ready(piece.or_else(trailers).map(Ok))
        }
    }

    fn ended(code: Code) -> Option<HeaderMap> {
        let mut trailers = HeaderMap::new();
        Status::new(code, "the server restarts").add_header(&mut trailers).ok()?;
        Some(trailers)
    }

    const LIMIT: Limit = Limit { bytes: 1_000, remedy: "ask for less" };

    fn messages(pieces: impl Iterator<Item = Bytes>) -> Messages<DiscoveryRequest> {
        let pieces: Vec<_> = pieces.collect();
        Messages::of(Body::new(Pieces(pieces.into_iter(), None)), LIMIT)
    }

    fn framed(names: usize) -> Vec<u8> {
        let resource_names = (0..names).map(|name| name.to_string()).collect();
        let request = DiscoveryRequest { resource_names, ..DiscoveryRequest::default() };
        let len = u32::try_from(request.encoded_len()).expect("short").to_be_bytes();
        [&[0][..], &len, &request.encode_to_vec()].concat()
    }

    #[tokio::test]
    async fn messages_are_read_however_their_bytes_are_cut_and_leave_no_memory_behind() {
        let bytes = Bytes::from([framed(3), framed(0), framed(100)].concat());
        for cut in 1..=bytes.len() {
            let pieces = (0..bytes.len()).step_by(cut).map(|at| bytes.slice(at..bytes.len().min(at + cut)));
            let mut messages = messages(pieces);
            let mut names = Vec::new();
            while let Some(message) = messages.next().await {
                names.push(message.expect("a message").resource_names.len());
            }
            assert_eq!(names, [3, 0, 100], "cut at {cut}");
            assert_eq!((messages.begun.capacity(), messages.arrived.len()), (0, 0), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_stream_in_words() {
        let too_long = [&[0][..], &1_001_u32.to_be_bytes()].concat();
        let compressed = [&[1][..], &framed(1)[1..]].concat();
        let garbage = [&[0, 0, 0, 0, 2][..], &[0x0a, 0x7f]].concat();
        let half = framed(1)[..6].to_vec();
        for (bytes, code, words) in [
            (too_long, Code::OutOfRange, "the limit is 1000; ask for less"),
            (compressed, Code::Internal, "compressed"),
            (garbage, Code::Internal, "cannot be read"),
            (half, Code::Internal, "within a message"),
        ] {
            let mut messages = messages([Bytes::from(bytes)].into_iter());
            let status = messages.next().await.expect("an answer").expect_err("no message");
            assert!(status.code() == code && status.message().contains(words), "{status}");
            assert!(messages.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn an_answer_ends_as_its_trailers_say() {
        for (code, told) in [(Code::Ok, None), (Code::Unavailable, Some(Code::Unavailable))] {
            let pieces = vec![Bytes::from(framed(2))].into_iter();
            let mut messages = Messages::<DiscoveryRequest>::of(Body::new(Pieces(pieces, Some(code))), LIMIT);
            messages.next().await.expect("an answer").expect("a message");
            let end = messages.next().await.map(|end| end.expect_err("no message"));
            assert_eq!(end.as_ref().map(Status::code), told);
            assert!(end.is_none_or(|end| end.message() == "the server restarts"));
            assert!(messages.next().await.is_none());
        }
    }
}
