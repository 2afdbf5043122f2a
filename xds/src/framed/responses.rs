//! The body of an answer: responses in frames of bounded size, whose resources are the bytes that all streams share.
//!
//! tonic's own writer has each response in one buffer, which a stream keeps for as long as it lives: one that was sent ten
//! thousand clusters once would hold as many bytes ever after. Here a response is cut into frames as the client reads them, and
//! what is idle holds nothing.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use http_body::{Body, Frame};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};
use tonic::{Status, codegen::http::HeaderMap};

use super::HEAD_BYTES;

/// A response on its way: its own fields, and the bytes of its resources.
#[derive(Debug)]
pub struct Parcel {
    /// Bytes of the message that were not written yet, its head among them.
    left: usize,
    /// What is being written: at first the head of the message and what is in it beside resources.
    part: Bytes,
    resources: Arc<[Bytes]>,
    /// How many of them have been begun.
    begun: usize,
}

/// The body of an answer.
#[derive(Debug)]
pub struct Responses<S> {
    parcels: S,
    parcel: Option<Parcel>,
    /// The stream has ended like this.
    end: Option<Status>,
    /// And its client was told so.
    told: bool,
}

/// The number of the field that bears resources, in both variants.
const RESOURCES: u32 = 2;

/// What a frame of HTTP/2 may bear, unless its reader says something else (RFC 9113 §6.5.2).
const FRAME_BYTES: usize = 16_384;

/// From this size on bytes are a frame of their own, and are not copied.
const LARGE: usize = FRAME_BYTES / 2;

/// What is written before a resource, at most: its field's key and its length.
const ANNOUNCEMENT_BYTES: usize = 6;

// === impl Parcel ===

impl Parcel {
    /// A message that is whole.
    pub fn of(message: &impl Message) -> Self {
        Self::with(message, Arc::default())
    }

    /// A message of the discovery protocol without its resources, and these: the bytes that all streams share.
    pub fn with(response: &impl Message, resources: Arc<[Bytes]>) -> Self {
        let framed = |resource: &Bytes| key_len(RESOURCES) + encoded_len_varint(resource.len() as u64) + resource.len();
        let fields = response.encoded_len();
        let len = fields + resources.iter().map(framed).sum::<usize>();
        let mut part = BytesMut::with_capacity(HEAD_BYTES + fields);
        part.put_u8(0); // not compressed
        part.put_u32(u32::try_from(len).unwrap_or(u32::MAX)); // responses are bounded far below that
        _ = response.encode(&mut part); // which is large enough
        Self { left: HEAD_BYTES + len, part: part.freeze(), resources, begun: 0 }
    }

    /// Bytes that were not written yet.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Fills up a frame, as far as there is something that is to be copied.
    fn fill(&mut self, frame: &mut BytesMut) {
        let before = frame.len();
        frame.reserve(self.left.min(FRAME_BYTES.saturating_sub(before)));
        while self.part.len() < LARGE && frame.len() + ANNOUNCEMENT_BYTES <= FRAME_BYTES {
            if self.part.is_empty() {
                let Some(resource) = self.resources.get(self.begun) else { break };
                self.begun += 1;
                encode_key(RESOURCES, WireType::LengthDelimited, frame);
                encode_varint(resource.len() as u64, frame);
                if resource.len() < LARGE && frame.len() + resource.len() <= FRAME_BYTES {
                    frame.extend_from_slice(resource);
                } else {
                    self.part = resource.clone();
                }
            } else {
                let fits = FRAME_BYTES - frame.len();
                frame.extend_from_slice(&self.part.split_to(fits.min(self.part.len())));
            }
        }
        self.left -= frame.len() - before;
    }

    /// What goes as it is, if that is next.
    fn take_large(&mut self) -> Option<Bytes> {
        let large = Some(&mut self.part).filter(|part| part.len() >= LARGE).map(std::mem::take)?;
        self.left -= large.len();
        Some(large)
    }
}

// === impl Responses ===

impl<S> Responses<S>
where
    S: Stream<Item = Result<Parcel, Status>> + Unpin,
{
    /// Of these.
    pub fn of(parcels: S) -> Self {
        Self { parcels, parcel: None, end: None, told: false }
    }

    /// The next bytes, as many as there are and fit; none when the stream has ended.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut frame = BytesMut::new();
        while self.end.is_none() {
            if let Some(parcel) = &mut self.parcel {
                if let Some(large) = Some(&mut *parcel).filter(|_| frame.is_empty()).and_then(Parcel::take_large) {
                    return Poll::Ready(large);
                }
                parcel.fill(&mut frame);
                if parcel.left > 0 {
                    break;
                }
            }
            self.parcel = None;
            match Pin::new(&mut self.parcels).poll_next(cx) {
                Poll::Ready(Some(Ok(parcel))) => self.parcel = Some(parcel),
                Poll::Ready(Some(Err(status))) => self.end = Some(status),
                Poll::Ready(None) => self.end = Some(Status::ok("")),
                Poll::Pending if frame.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(frame.freeze())
    }
}

impl<S> Body for Responses<S>
where
    S: Stream<Item = Result<Parcel, Status>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let bytes = ready!(this.poll_bytes(cx));
        let Some(end) = this.end.as_ref().filter(|_| bytes.is_empty()) else {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        };
        if this.told {
            return Poll::Ready(None);
        }
        this.told = true;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(end.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::proto::discovery::DeltaDiscoveryResponse;

    fn response(resources: &[usize]) -> DeltaDiscoveryResponse {
        let resources =
            resources.iter().zip((0..=u8::MAX).cycle()).map(|(len, byte)| Bytes::from(vec![byte; *len])).collect();
        DeltaDiscoveryResponse { nonce: "17".to_owned(), resources, ..DeltaDiscoveryResponse::default() }
    }

    /// All frames of a body, and its trailers.
    async fn read(mut body: impl Body<Data = Bytes, Error = Status> + Unpin) -> (Vec<Bytes>, HeaderMap) {
        let mut frames = Vec::new();
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            match frame.expect("trailers come first").expect("no error").into_data() {
                Ok(bytes) => frames.push(bytes),
                Err(trailers) => {
                    assert!(body.is_end_stream());
                    let after = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
                    assert!(after.is_none(), "they are the end");
                    return (frames, trailers.into_trailers().expect("trailers"));
                }
            }
        }
    }

    fn parcel(response: &DeltaDiscoveryResponse) -> Parcel {
        let mut response = response.clone();
        let resources = std::mem::take(&mut response.resources);
        Parcel::with(&response, resources.into())
    }

    fn body(
        responses: &[DeltaDiscoveryResponse],
        end: Option<Status>,
    ) -> impl Body<Data = Bytes, Error = Status> + Unpin {
        let parcels: Vec<_> = responses.iter().map(|response| Ok(parcel(response))).collect();
        Responses::of(stream::iter(parcels.into_iter().chain(end.map(Err))))
    }

    fn messages(frames: &[Bytes]) -> Vec<DeltaDiscoveryResponse> {
        let bytes = frames.concat();
        let (mut rest, mut messages) = (&bytes[..], Vec::new());
        while let Some((head, after)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let len = u32::from_be_bytes(head[1..].try_into().expect("four")) as usize;
            messages.push(DeltaDiscoveryResponse::decode(&after[..len]).expect("a response"));
            rest = &after[len..];
        }
        assert!(rest.is_empty());
        messages
    }

    #[tokio::test]
    async fn responses_come_whole_in_frames_of_bounded_size() {
        let [small, many, large, none] =
            [response(&[3, 0, 700]), response(&[1_000; 100]), response(&[9, LARGE, 40_000, 9]), response(&[])];
        let all = [small.clone(), small.clone(), many, large, none, small];
        let (frames, trailers) = read(body(&all, None)).await;
        assert_eq!(messages(&frames), all);
        assert_eq!(trailers["grpc-status"], "0");
        let copied = frames.iter().filter(|frame| frame.len() != LARGE && frame.len() != 40_000);
        assert!(
            copied.clone().all(|frame| frame.len() <= FRAME_BYTES),
            "{:?}",
            frames.iter().map(Bytes::len).collect::<Vec<_>>()
        );
        assert!(copied.count() <= 12, "what is small goes together");
    }

    #[tokio::test]
    async fn what_is_large_is_not_copied() {
        let large = response(&[100_000]);
        let (frames, _) = read(body(std::slice::from_ref(&large), None)).await;
        assert!(frames.iter().any(|frame| frame.as_ptr() == large.resources[0].as_ptr()));
    }

    #[tokio::test]
    async fn a_stream_that_ends_with_a_status_sends_what_it_had_before() {
        let (frames, trailers) = read(body(&[response(&[5])], Some(Status::resource_exhausted("too much")))).await;
        assert_eq!(messages(&frames), [response(&[5])]);
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&"8".parse().expect("text"), &"too%20much".parse().expect("text"))
        );
    }

    #[tokio::test]
    async fn an_idle_stream_holds_no_buffer() {
        let parcels = stream::iter([Ok(parcel(&response(&[1_000; 10_000])))]);
        let mut body = Responses::of(futures::StreamExt::chain(parcels, stream::pending()));
        let mut bytes = 0;
        while let Poll::Ready(frame) = futures::poll!(std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))) {
            bytes += frame.expect("open").expect("no error").into_data().expect("data").len();
        }
        assert!(bytes > 10_000_000 && body.parcel.is_none());
    }
}
