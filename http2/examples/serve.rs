//! A server for conformance tools (h2spec): says a few words to GET, and back to POST what it was told.

use std::env;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use rollcall_http2::{Connection, Incoming, Limits, Reset};
use tokio::net::TcpListener;

type Answer = Response<BoxBody<Bytes, Reset>>;

async fn answer(request: Request<Incoming>) -> Answer {
    if *request.method() == Method::POST {
        return Response::new(request.into_body().boxed());
    }
    _ = request.into_body().collect().await; // tools look at streams whose requests have not come whole
    Response::new(Full::new(Bytes::from_static(b"a few words\n")).map_err(|never| match never {}).boxed())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = Connection::new(stream, Limits::default(), answer).await {
                eprintln!("{error}");
            }
        });
    }
}
