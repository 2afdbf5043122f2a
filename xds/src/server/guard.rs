//! Around the service: calls that are not served are refused in words, and bodies are held to their bounds.

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{Either, Ready, ready};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    transport::server::TcpConnectInfo,
};

use super::{
    arriving::Arriving,
    budget::{Budget, Peer},
    metrics::{Metrics, Refusal},
};
use crate::tls::Arrival;

/// Puts a [`Guard`] around every service of a transport.
#[derive(Clone, Debug)]
pub struct GuardLayer {
    pub(super) budget: Arc<Budget>,
    pub(super) metrics: Arc<Metrics>,
}

/// See [`GuardLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

/// Why polling is refused, and what to do.
const USE_STREAMS: &str =
    "resources are not given to those who poll; use a stream: in Envoy `api_type: GRPC` or `DELTA_GRPC`";

/// Why other types are refused, and what to do.
const NO_SUCH_TYPE: &str = "this discovery service is not served here; clusters, endpoints, listeners and routes are, and the \
                            aggregated stream: in Envoy `dynamic_resources.ads_config`";

/// The service of client status (CSDS), which is beside this server.
const STATUS: &str = "status.v3.ClientStatus";

// === impl GuardLayer ===

impl<S> tower_layer::Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, layer: self.clone() }
    }
}

impl GuardLayer {
    fn peer(&self, request: &http::Request<Body>) -> Arc<Peer> {
        let address = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        address.map_or_else(|| self.budget.nobody(), |address| self.budget.peer(address.ip()))
    }

    fn refuse(&self, words: &'static str, path: &str, peer: Option<IpAddr>) -> Status {
        self.metrics.refused_request(Refusal::Unimplemented);
        if let Some(unsaid) = self.metrics.rates.refused.admit() {
            let peer = peer.map(|peer| peer.to_string());
            tracing::warn!(?path, peer, unsaid, "refused: {words}");
        }
        Status::unimplemented(words)
    }
}

// === impl Guard ===

impl<S> Service<http::Request<Body>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Self::Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(Arrival { tcp, shown }) = request.extensions_mut().remove() {
            request.extensions_mut().insert(tcp);
            request.extensions_mut().insert(shown);
        }
        let peer = self.layer.peer(&request);
        if let Some(words) = refusal(request.uri().path()) {
            let status = self.layer.refuse(words, request.uri().path(), Some(peer.address()));
            return Either::Left(ready(Ok(status.into_http())));
        }
        request.extensions_mut().insert(Arc::clone(&peer));
        let request = request.map(|body| Body::new(Arriving::new(body, peer)));
        Either::Right(self.inner.call(request))
    }
}

/// Why a method of Envoy's API is refused. What else is not served, the transport refuses.
fn refusal(path: &str) -> Option<&'static str> {
    let (service, method) = path.strip_prefix("/envoy.service.")?.split_once('/')?;
    let served = [
        "discovery.v3.Aggregated",
        "cluster.v3.Cluster",
        "endpoint.v3.Endpoint",
        "listener.v3.Listener",
        "route.v3.Route",
    ];
    let family = service.strip_suffix("DiscoveryService")?;
    if family == STATUS {
        return None; // it is called alike, and no stream of resources
    }
    match served.contains(&family) {
        true if method.starts_with("Fetch") => Some(USE_STREAMS),
        true => None,
        false => Some(NO_SUCH_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_refused_in_words_that_help() {
        for (path, words) in [
            ("discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", None),
            ("discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", None),
            ("cluster.v3.ClusterDiscoveryService/StreamClusters", None),
            ("cluster.v3.ClusterDiscoveryService/FetchClusters", Some(USE_STREAMS)),
            ("status.v3.ClientStatusDiscoveryService/FetchClientStatus", None),
            ("secret.v3.SecretDiscoveryService/StreamSecrets", Some(NO_SUCH_TYPE)),
        ] {
            assert_eq!(refusal(&format!("/envoy.service.{path}")), words, "{path}");
        }
        assert_eq!(refusal("/grpc.health.v1.Health/Check"), None);
    }
}
