//! Services of gRPC on connections as they come.

use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use rollcall_http2::{self as http2, Incoming, Reset};
use tokio::sync::watch;
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
    service::Routes,
};
use tower_layer::Layer;

use super::{Guard, GuardLayer, Server};
use crate::tls::Connection;

/// Services on one port, each called by its name, behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct Router {
    routes: Routes,
    guard: GuardLayer,
    limits: http2::Limits,
}

// === impl Router ===

impl Router {
    pub(super) fn new(guard: GuardLayer, connection_age: Option<Duration>) -> Self {
        let limits = http2::Limits {
            streams_max: Server::STREAMS_PER_CONNECTION_MAX,
            stream_window_bytes: Server::WINDOW_BYTES,
            connection_window_bytes: Server::WINDOW_BYTES,
            ping_after: Server::KEEPALIVE_INTERVAL,
            ping_timeout: Server::KEEPALIVE_TIMEOUT,
            age: connection_age,
            ..http2::Limits::default()
        };
        Self { routes: Routes::default(), guard, limits }
    }

    /// And this service.
    #[must_use]
    pub fn add_service<S>(self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self { routes: self.routes.add_service(service), ..self }
    }

    /// Serves until there are no more connections.
    pub async fn serve_with_incoming<C: Into<Connection>, E>(self, incoming: impl Stream<Item = Result<C, E>>) {
        self.serve_with_incoming_shutdown(incoming, std::future::pending()).await;
    }

    /// Serves until `stop`, frees the port, and lets streams come to their end.
    pub async fn serve_with_incoming_shutdown<C: Into<Connection>, E>(
        self,
        incoming: impl Stream<Item = Result<C, E>>,
        stop: impl Future<Output = ()>,
    ) {
        let service = self.guard.layer(self.routes.prepare());
        let open = watch::Sender::new(false);
        let accepted = incoming.take_until(stop).for_each(|connection| {
            if let Ok(connection) = connection {
                tokio::spawn(serve(connection.into(), self.limits, service.clone(), open.subscribe()));
            }
            std::future::ready(())
        });
        accepted.await;
        open.send_replace(true);
        open.closed().await;
    }
}

/// One connection, until its end. Of one kind, so that it is compiled here, for speed, and not in every program.
async fn serve(connection: Connection, limits: http2::Limits, service: Guard<Routes>, mut stop: watch::Receiver<bool>) {
    let limits = http2::Limits { preface: connection.preface_timeout(), ..limits };
    let (arrival, ends) = (connection.arrival(), connection.ends());
    let connection = http2::Connection::new(connection, limits, move |request| {
        let mut request = request.map(|body: Incoming| Body::new(body.map_err(given_up)));
        request.extensions_mut().insert(arrival.clone());
        let answer = service.clone().call(request);
        answer.map(|answer| answer.unwrap_or_else(|never| match never {}))
    });
    let stopped = async move { _ = stop.wait_for(|stop| *stop).await };
    if let Err(error) = connection.until(stopped).await {
        tracing::debug!(%error, "a connection of the stream ended");
        ends(&error);
    }
}

fn given_up(reset: Reset) -> Status {
    Status::cancelled(reset.to_string())
}
