//! The admin server: HTTP/1.1, GET and HEAD, small answers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::readiness::{Readiness, Standing};
use crate::routes::{Reply, Routes};

/// Connections served at a time; further ones wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 64;
/// Time a client has for the headers of a request, the first and each later one.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// Life of a connection. It bounds a client that does not read its answer.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of a request's headers.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// What [`prometheus_client`] writes: OpenMetrics text.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the admin server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another process listens there.
    #[error("admin address {0} is in use; stop the process that listens there or give another --http-listen")]
    InUse(SocketAddr),
    /// The address is not one of this machine's, or not permitted.
    #[error("cannot listen on admin address {0}: {1}; give --http-listen an address of this machine and a free port")]
    Bind(SocketAddr, io::Error),
}

/// A bound listener.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
}

#[derive(Debug)]
struct Pages {
    readiness: Readiness,
    registry: Arc<Registry>,
    routes: Routes,
}

// === impl Server ===

impl Server {
    /// Takes the address. Port 0 takes a free one; see [`Server::local_addr`].
    pub async fn bind(addr: SocketAddr) -> Result<Self, ServerError> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => ServerError::InUse(addr),
            _ => ServerError::Bind(addr, error),
        };
        let listener = TcpListener::bind(addr).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, addr })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown`, then lets requests that have begun come to their end.
    pub fn serve(
        self,
        readiness: Readiness,
        registry: Arc<Registry>,
        routes: Routes,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let pages = Arc::new(Pages { readiness, registry, routes });
        accept(self.listener, pages, shutdown)
    }
}

async fn accept(listener: TcpListener, pages: Arc<Pages>, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let Some(Some((accepted, permit))) = shutdown.run_until_cancelled(next).await else { break };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, Arc::clone(&pages), shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, most often: wait for some to come back.
                tracing::warn!(%error, "admin server cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, pages: Arc<Pages>, shutdown: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = pages.respond(request.method(), request.uri().path(), request.uri().query().unwrap_or(""));
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ending = async {
        tokio::select! {
            result = serving.as_mut() => return result,
            () = shutdown.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        serving.as_mut().await
    };
    match tokio::time::timeout(CONNECTION_TIMEOUT, ending).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection ended"),
    }
}

// === impl Pages ===

impl Pages {
    fn respond(&self, method: &Method, path: &str, query: &str) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            let sentence = format!("{method} is not answered here; use GET or HEAD\n");
            let mut response = response(Reply::text(sentence).with_status(StatusCode::METHOD_NOT_ALLOWED));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        response(match path {
            "/livez" => Reply::text("ok\n"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(),
            _ => self.routes.reply(path, query).unwrap_or_else(|| self.not_found(path)),
        })
    }

    fn readyz(&self) -> Reply {
        let (closed, open): (Vec<_>, Vec<_>) =
            self.readiness.gates().into_iter().partition(|gate| gate.closed.is_some());
        let lines = |gates: &[Standing]| gates.iter().map(|gate| format!("{gate}\n")).collect::<String>();
        match closed.as_slice() {
            [] => Reply::text(format!("ok\n{}", lines(&open))),
            closed => Reply::text(lines(closed)).with_status(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    fn metrics(&self) -> Reply {
        let mut page = String::new();
        match text::encode(&mut page, &self.registry) {
            Ok(()) => Reply { content_type: METRICS_CONTENT_TYPE, ..Reply::text(page) },
            Err(error) => Reply::text(format!("metrics cannot be encoded: {error}\n"))
                .with_status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn not_found(&self, path: &str) -> Reply {
        let known: String = self.routes.paths().map(|path| format!(" {path}")).collect();
        Reply::not_found(format!("nothing at {path}; there is /livez /readyz /metrics{known}"))
    }
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
