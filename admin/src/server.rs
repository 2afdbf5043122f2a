//! The admin server: HTTP/1.1, GET and HEAD, small answers; PUT where a route takes it, from loopback only.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
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
/// Bytes of a PUT's body.
pub const BODY_BYTES_MAX: usize = 4 * 1024;
/// Time a client has for the body of a PUT.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(5);
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

// === impl ServerError ===

impl ServerError {
    /// The name of the fault, for Events.
    pub fn fault(&self) -> &'static str {
        match self {
            Self::InUse(_) => "PortInUse",
            Self::Bind(..) => "CannotListen",
        }
    }
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
    /// Its own port, for the sentence that tells how to reach it.
    port: u16,
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
        let pages = Arc::new(Pages { readiness, registry, routes, port: self.addr.port() });
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
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, Arc::clone(&pages), shutdown.clone());
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

async fn connection(stream: TcpStream, peer: SocketAddr, pages: Arc<Pages>, shutdown: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = Arc::clone(&pages);
        async move {
            Ok::<_, std::convert::Infallible>(match *request.method() {
                Method::PUT => pages.put(request, peer).await,
                _ => pages.respond(request.method(), request.uri().path(), request.uri().query().unwrap_or("")),
            })
        }
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
            return self.not_allowed(method, path);
        }
        response(match path {
            "/livez" => Reply::text("ok\n"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(),
            _ => self.routes.reply(path, query).unwrap_or_else(|| self.not_found(path)),
        })
    }

    /// Changes the process. `kubectl port-forward` arrives as loopback, and asks the API server who may use it.
    async fn put(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
        if !self.routes.takes_put(path) {
            return self.not_allowed(&Method::PUT, path);
        }
        if !peer.ip().to_canonical().is_loopback() {
            return response(Reply::text(from_loopback(path, self.port)).with_status(StatusCode::FORBIDDEN));
        }
        let body = Limited::new(body, BODY_BYTES_MAX).collect();
        let reply = match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => self.routes.put(path, query, &body.to_bytes()),
            Ok(Err(_)) => {
                let sentence = format!("the body cannot be read, or has more than {BODY_BYTES_MAX} bytes\n");
                Some(Reply::text(sentence).with_status(StatusCode::PAYLOAD_TOO_LARGE))
            }
            Err(_) => Some(Reply::text("the body did not come in time\n").with_status(StatusCode::REQUEST_TIMEOUT)),
        };
        response(reply.unwrap_or_else(|| self.not_found(path)))
    }

    fn not_allowed(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let (words, allow) = match self.routes.takes_put(path) {
            true => ("GET, HEAD or PUT", "GET, HEAD, PUT"),
            false => ("GET or HEAD", "GET, HEAD"),
        };
        let sentence = format!("{method} is not answered here; use {words}\n");
        let mut response = response(Reply::text(sentence).with_status(StatusCode::METHOD_NOT_ALLOWED));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        response
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

/// The pod's name and namespace are known where the chart has set them.
fn from_loopback(path: &str, port: u16) -> String {
    let known = |name: &str, else_: &str| std::env::var(name).unwrap_or_else(|_| else_.to_owned());
    let (namespace, pod) = (known("POD_NAMESPACE", "NAMESPACE"), known("POD_NAME", "POD"));
    format!(
        "PUT is answered to loopback only; run `kubectl -n {namespace} port-forward {pod} {port}` and then \
         `curl -X PUT --data VALUE http://127.0.0.1:{port}{path}`\n"
    )
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
