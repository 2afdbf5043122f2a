//! What a client sees that says each byte itself, and need not keep to the protocol.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{
    frame::{
        self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE,
        PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    },
    hpack::Decoder,
};

mod ends;
mod faults;
mod floods;
mod headers;
mod windows;

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    kind: u8,
    flags: u8,
    stream: u32,
    content: Vec<u8>,
}

struct Client {
    pipe: DuplexStream,
    decoder: Decoder,
}

/// `GET /` by indices only, and its authority, which stands as it is.
const GET: &[u8] = b"\x82\x86\x84\x01\x08rollcall";
/// `POST /` without an authority.
const POST: &[u8] = b"\x83\x86\x84";

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::short(kind, flags, stream, content, &mut bytes);
    bytes
}

/// A request without a body.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)
}

/// A request whose body follows.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, POST)
}

fn data(stream: u32, content: &[u8], last: bool) -> Vec<u8> {
    frame(DATA, if last { END_STREAM } else { 0 }, stream, content)
}

fn window_update(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &Code::CANCEL.0.to_be_bytes())
}

fn setting(setting: u16, value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::settings(&[(setting, value)], &mut bytes);
    bytes
}

impl Said {
    /// The code of an end, of a stream or of the connection.
    fn code(&self) -> Code {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        Code(u32::from_be_bytes(self.content[at..at + 4].try_into().expect("a code")))
    }

    /// The last stream, by a GOAWAY.
    fn last(&self) -> u32 {
        u32::from_be_bytes(self.content[..4].try_into().expect("a stream"))
    }

    fn is_end(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

impl Client {
    /// One that has said nothing yet.
    fn silent(pipe: DuplexStream) -> Self {
        Self { pipe, decoder: Decoder::new(4096) }
    }

    /// One that has begun as it should, and knows the server's settings.
    async fn of(pipe: DuplexStream) -> Self {
        let mut client = Self::silent(pipe);
        client.send(&[&PREFACE[..], &frame(SETTINGS, 0, 0, &[])].concat()).await;
        let settings = client.next().await.expect("settings");
        assert_eq!((settings.kind, settings.flags, settings.stream), (SETTINGS, 0, 0));
        client.send(&frame(SETTINGS, ACK, 0, &[])).await;
        client.until(|said| (said.kind, said.flags) == (SETTINGS, ACK)).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        soon(self.pipe.write_all(bytes)).await.expect("somebody reads it");
    }

    /// The next frame, or none if that is the end.
    async fn next(&mut self) -> Option<Said> {
        let mut head = [0; 9];
        soon(self.pipe.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        soon(self.pipe.read_exact(&mut content)).await.expect("whole frames");
        Some(Said { kind, flags, stream: u32::from_be_bytes(stream), content })
    }

    /// The first frame of that kind, and all up to it.
    async fn until(&mut self, is_it: impl Fn(&Said) -> bool) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(said) = self.next().await {
            let it = is_it(&said);
            all.push(said);
            if it {
                return all;
            }
        }
        panic!("it ended before, after {all:?}");
    }

    /// All that is said to what the server has heard: a ping may be answered before what came before it, and no second one is.
    async fn until_heard(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        for _ in 0..2 {
            self.send(&frame(PING, 0, 0, b"heard it")).await;
            let is_it = |said: &Said| (said.kind, said.flags, &said.content[..]) == (PING, ACK, &b"heard it"[..]);
            all.extend(self.until(is_it).await);
            all.pop();
        }
        all
    }

    /// All that is said until the end.
    async fn rest(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(said) = self.next().await {
            all.push(said);
        }
        all
    }

    /// The fields of a block.
    fn fields(&mut self, block: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.decoder.decode(block, &mut |name, value| fields.push((text(name), text(value)))).expect("a block");
        fields
    }

    /// The status of the answer to a request that is sent now, and its body.
    async fn ask(&mut self, request: &[u8], stream: u32) -> (String, Vec<u8>) {
        self.send(request).await;
        let said = self.until(|said| said.stream == stream && said.is_end()).await;
        let head = said.iter().find(|said| (said.kind, said.stream) == (HEADERS, stream)).expect("an answer");
        let status = self.fields(&head.content)[0].1.clone();
        let pieces = said.into_iter().filter(|said| (said.kind, said.stream) == (DATA, stream));
        (status, pieces.flat_map(|said| said.content).collect())
    }
}

/// Waits for the body, and says it.
async fn collected(request: Request<Incoming>) -> Answer {
    match request.into_body().collect().await {
        Ok(body) => answer(StatusCode::OK, body.to_bytes()),
        Err(Reset(code)) => answer(StatusCode::BAD_REQUEST, code.0.to_string()),
    }
}

async fn words(_: Request<Incoming>) -> Answer {
    answer(StatusCode::OK, "words")
}

async fn never(_: Request<Incoming>) -> Answer {
    std::future::pending().await
}
