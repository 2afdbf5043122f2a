//! Whole connections: with h2 as the client, which nobody here wrote, and by bytes.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::{io::DuplexStream, task::JoinHandle};

use crate::{Code, Connection, Error, Incoming, Limits, Reset};

mod bytes_on_the_wire;
mod histories;
mod with_h2;

type Answer = Response<UnsyncBoxBody<Bytes, Reset>>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves one end of a pipe that holds so many bytes.
fn serve<F>(
    limits: Limits,
    pipe: usize,
    service: fn(Request<Incoming>) -> F,
) -> (DuplexStream, JoinHandle<Result<(), Error>>)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(pipe);
    let service = move |request| -> Answering { Box::pin(service(request)) };
    (theirs, tokio::spawn(Connection::new(ours, limits, service)))
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Says back what it is told, piece by piece, and its trailers, or how many bytes there were.
async fn echo(request: Request<Incoming>) -> Answer {
    use futures::stream::{StreamExt as _, once, unfold};
    let body = request.into_body();
    let frames = unfold((body, 0), |(mut body, sum)| async move {
        let frame = body.frame().await?;
        let sum = sum + frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
        Some((frame, (body, sum)))
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "of the answer".parse().expect("a value"));
    let frames =
        frames.filter(|frame| std::future::ready(frame.as_ref().is_err() || frame.as_ref().is_ok_and(Frame::is_data)));
    let frames = frames.chain(once(async { Ok(Frame::trailers(trailers)) }));
    Response::new(StreamBody::new(frames.boxed()).boxed_unsync())
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}

fn broken(result: Result<(), Error>) -> Option<Code> {
    match result {
        Err(Error::Broken { code, .. }) => Some(code),
        Err(Error::Flooded) => Some(Code::ENHANCE_YOUR_CALM),
        Err(Error::Late | Error::Dead | Error::Stalled | Error::Io(_)) | Ok(()) => None,
    }
}
