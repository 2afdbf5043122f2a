//! The admin server: HTTP/1.1, GET and HEAD, small answers. Probes and metrics are for everybody; what a process adds below
//! `/debug/`, and PUT, for those whom [`Access`] admits, and for loopback only, where `kubectl port-forward` arrives.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Access, DebugAccess};
use crate::readiness::{Readiness, Standing};
use crate::routes::{Reply, Routes};

/// Connections served at a time. For a further one, the client that has most gives up its oldest.
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
/// Paths below it are not for everybody.
const DEBUG: &str = "/debug/";
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
    access: Access,
}

/// Connections by client, oldest first. Some may have ended.
#[derive(Debug, Default)]
struct Open(VecDeque<(IpAddr, AbortHandle)>);

#[derive(Debug)]
struct Pages {
    readiness: Readiness,
    registry: Arc<Registry>,
    routes: Routes,
    access: Access,
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
        Ok(Self { listener, addr, access: Access::new(DebugAccess::default(), "") })
    }

    /// Shows what is below `/debug/` to those whom `access` admits.
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
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
        let pages = Arc::new(Pages { readiness, registry, routes, access: self.access, port: self.addr.port() });
        accept(self.listener, pages, shutdown)
    }
}

async fn accept(listener: TcpListener, pages: Arc<Pages>, shutdown: CancellationToken) {
    let mut open = Open::default();
    let connections = TaskTracker::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                open.make_room();
                let connection = connections.spawn(connection(stream, peer, Arc::clone(&pages), shutdown.clone()));
                open.0.push_back((peer.ip(), connection.abort_handle()));
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
                _ => pages.respond(&request, peer).await,
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

// === impl Open ===

impl Open {
    /// Forgets those that have ended. When there is no room, ends one: a client that holds many never keeps another one
    /// out, least of all the kubelet, whose probes are short.
    fn make_room(&mut self) {
        self.0.retain(|(_, connection)| !connection.is_finished());
        if self.0.len() < CONNECTIONS_MAX {
            return;
        }
        let held = |client: IpAddr| self.0.iter().filter(|(other, _)| *other == client).count();
        // Of clients that hold as many, the last in this order: the one of the oldest connection.
        let greediest = self.0.iter().map(|(client, _)| *client).rev().max_by_key(|client| held(*client));
        let oldest = self.0.iter().position(|(client, _)| Some(*client) == greediest);
        if let Some((client, connection)) = oldest.and_then(|at| self.0.remove(at)) {
            tracing::debug!(%client, "admin connection closed to make room");
            connection.abort();
        }
    }
}

// === impl Pages ===

impl Pages {
    async fn respond(&self, request: &Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        let query = request.uri().query().unwrap_or("");
        if method != Method::GET && method != Method::HEAD {
            return self.not_allowed(method, path);
        }
        if path.starts_with(DEBUG)
            && !self.routes.is_harmless(path)
            && let Err(refusal) = self.admit(request.headers(), peer, "", path).await
        {
            return refusal;
        }
        response(match path {
            "/livez" => Reply::text("ok\n"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(),
            _ => self.routes.reply(path, query).unwrap_or_else(|| self.not_found(path)),
        })
    }

    /// Changes the process. `kubectl port-forward` arrives as loopback, and asks the API server who may do that.
    async fn put(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
        if !self.routes.takes_put(path) {
            return self.not_allowed(&Method::PUT, path);
        }
        if let Err(refusal) = self.admit(&parts.headers, peer, " -X PUT --data VALUE", path).await {
            return refusal;
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

    async fn admit(
        &self,
        headers: &HeaderMap,
        peer: SocketAddr,
        options: &str,
        path: &str,
    ) -> Result<(), Response<Full<Bytes>>> {
        if !is_local(peer) {
            return Err(response(self.loopback_only(options, path)));
        }
        self.access.admit(headers).await.map_err(|refusal| {
            let unknown = refusal.status == StatusCode::UNAUTHORIZED;
            let mut response = response(refusal);
            if unknown {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        })
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

    /// The refusal with the commands that work. The pod's name and namespace are known where the chart has set them.
    fn loopback_only(&self, options: &str, path: &str) -> Reply {
        let known = |name: &str, else_: &str| std::env::var(name).unwrap_or_else(|_| else_.to_owned());
        let (namespace, pod) = (known("POD_NAMESPACE", "NAMESPACE"), known("POD_NAME", "POD"));
        let port = self.port;
        let token = if self.access.wants_token() { " -H \"Authorization: Bearer $TOKEN\"" } else { "" };
        let sentence = format!(
            "this is answered to loopback only; run `kubectl -n {namespace} port-forward {pod} {port}` and then \
             `curl{token}{options} http://127.0.0.1:{port}{path}`\n"
        );
        Reply::text(sentence).with_status(StatusCode::FORBIDDEN)
    }

    fn readyz(&self) -> Reply {
        let (closed, open): (Vec<_>, Vec<_>) =
            self.readiness.gates().into_iter().partition(|gate| gate.closed.is_some());
        let lines = |gates: &[Standing]| gates.iter().map(|gate| format!("{gate}\n")).collect::<String>();
        match closed.as_slice() {
            [] => Reply::text(format!("ok\n{}", lines(&open))),
            closed => {
                // What is remarked of an open gate may be why another one is closed.
                let remarked: Vec<_> = open.into_iter().filter(|gate| gate.remark.is_some()).collect();
                let said = lines(closed) + &lines(&remarked);
                Reply::text(said).with_status(StatusCode::SERVICE_UNAVAILABLE)
            }
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

fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
