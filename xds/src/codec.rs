//! How messages go into and out of the transport: as protobufs, in buffers no larger than what is said.
//!
//! tonic gives each direction of a stream 8 KiB before anything is said on it. Most streams are idle agents and clients whose
//! messages are a tenth of that, and there are many of them.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{self, BufferSettings, EncodeBuf},
};
use tonic_prost::{ProstCodec, ProstDecoder};

/// Protobufs, as `tonic_prost` reads and writes them.
#[derive(Clone, Debug)]
pub(crate) struct Codec<T, U>(PhantomData<(T, U)>);

/// Writes one message after the other.
#[derive(Clone, Debug)]
pub(crate) struct Encoder<T>(PhantomData<T>);

/// What a stream begins with, in each direction: a beat or an acknowledgement with its frame. It grows with the messages.
const BUFFER_BYTES: usize = 256;
/// So much is written before the transport is given it: two frames of HTTP/2.
const YIELD_BYTES: usize = 32 << 10;

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

// === impl Codec ===

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

// === impl Encoder ===

impl<T: Message> codec::Encoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // At once: a buffer that doubled on its way to megabytes would copy them, and be kept at twice their size.
        buf.reserve(item.encoded_len());
        item.encode(buf).map_err(|error| Status::internal(format!("a message cannot be written: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}
