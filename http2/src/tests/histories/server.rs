//! A server whose network is in the hands of a test, and which goes on only when it is woken.

use std::{
    io,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use http_body::Body as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use super::*;

/// Bytes of an answer that is given at once.
pub(super) const AT_ONCE: usize = 40_000;
/// What the network takes until it is read.
const PIPE: usize = 30_000;

type Shared<T> = Arc<Mutex<T>>;
type Readers = Shared<Vec<(Incoming, Vec<u8>, oneshot::Sender<Option<Vec<u8>>>)>>;

#[derive(Default)]
struct Network {
    to: Vec<u8>,
    from: Vec<u8>,
    reads: Option<Waker>,
    writes: Option<Waker>,
}

struct Io(Shared<Network>);

struct Flag(AtomicBool);

pub(super) struct Server {
    connection: Connection<Io, Service, Answering, UnsyncBoxBody<Bytes, Reset>>,
    network: Shared<Network>,
    readers: Readers,
    flag: Arc<Flag>,
    over: bool,
}

type Service = Box<dyn FnMut(Request<Incoming>) -> Answering>;

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut network = self.0.lock().expect("no panic");
        if network.to.is_empty() {
            network.reads = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = network.to.len().min(buf.remaining());
        buf.put_slice(&network.to.drain(..bytes).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut network = self.0.lock().expect("no panic");
        let bytes = &bytes[..bytes.len().min(PIPE - network.from.len().min(PIPE))];
        if bytes.is_empty() {
            network.writes = Some(cx.waker().clone());
            return Poll::Pending;
        }
        network.from.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn service(readers: Readers) -> Service {
    Box::new(move |request| {
        let id: u32 = request.uri().query().and_then(|id| id.parse().ok()).expect("a number");
        let body = move |len: usize| Bytes::from_iter((0..len).map(move |at| byte(id, at)));
        match request.uri().path() {
            "/0" => Box::pin(echo(request)),
            "/1" => {
                let (done, read) = oneshot::channel();
                readers.lock().expect("no panic").push((request.into_body(), Vec::new(), done));
                Box::pin(async move {
                    match read.await.expect("it is read") {
                        Some(body) => answer(StatusCode::OK, body),
                        None => std::future::pending().await, // it was given up
                    }
                })
            }
            "/2" => Box::pin(async move { answer(StatusCode::OK, body(AT_ONCE)) }),
            _ => Box::pin(async move {
                let _body = request.into_body();
                std::future::pending().await
            }),
        }
    })
}

impl Server {
    pub(super) fn new(limits: Limits) -> Self {
        let (network, readers) = (Shared::<Network>::default(), Readers::default());
        let connection = Connection::new(Io(Arc::clone(&network)), limits, service(Arc::clone(&readers)));
        Self { connection, network, readers, flag: Arc::new(Flag(AtomicBool::new(true))), over: false }
    }

    pub(super) fn shut_down(&mut self) {
        self.connection.shut_down();
        self.flag.0.store(true, SeqCst); // whoever does that polls it
    }

    pub(super) fn hear(&mut self, bytes: Vec<u8>) {
        let mut network = self.network.lock().expect("no panic");
        network.to.extend(bytes);
        if !network.to.is_empty() {
            network.reads.take().into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn says(&mut self, bytes: usize) -> Vec<u8> {
        let mut network = self.network.lock().expect("no panic");
        let bytes = bytes.min(network.from.len());
        if bytes > 0 {
            network.writes.take().into_iter().for_each(Waker::wake);
        }
        network.from.drain(..bytes).collect()
    }

    pub(super) fn runs_if_woken(&mut self) {
        let waker = Waker::from(Arc::clone(&self.flag));
        for _ in 0..1_000 {
            if self.over || !self.flag.0.swap(false, SeqCst) {
                return;
            }
            match pin!(&mut self.connection).poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => {}
                Poll::Ready(result) => {
                    result.expect("in order");
                    self.over = true;
                }
            }
        }
        panic!("it never waits");
    }

    /// The other task reads all there is.
    pub(super) fn read_elsewhere(&mut self) {
        let mut readers = std::mem::take(&mut *self.readers.lock().expect("no panic"));
        let mut cx = Context::from_waker(Waker::noop());
        let mut left = Vec::new();
        'readers: while let Some((mut incoming, mut body, done)) = readers.pop() {
            while let Poll::Ready(frame) = Pin::new(&mut incoming).poll_frame(&mut cx) {
                match frame {
                    Some(Ok(frame)) => body.extend(frame.into_data().unwrap_or_default()),
                    end => {
                        _ = done.send(end.is_none().then_some(body));
                        continue 'readers;
                    }
                }
            }
            left.push((incoming, body, done));
        }
        left.reverse();
        self.readers.lock().expect("no panic").extend(left);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn is_quiet(&self) -> bool {
        let network = self.network.lock().expect("no panic");
        network.from.is_empty() && (self.over || (network.to.is_empty() && !self.flag.0.load(SeqCst)))
    }

    /// All windows are given back, and no memory is left.
    pub(super) fn holds_nothing(&self, client: &Client) {
        assert!(self.readers.lock().expect("no panic").is_empty());
        let (held, unsaid) = self.connection.held();
        assert_eq!(held, (0, 0), "bytes of buffers, and streams: {self:?}");
        assert_eq!(client.room() + i64::from(unsaid), 100_000);
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("connection", &self.connection).field("over", &self.over).finish_non_exhaustive()
    }
}
