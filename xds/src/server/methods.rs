//! The methods of Envoy's services: each is a stream of one variant, of all types or of one.
//!
//! They are served by hand, and not by what tonic generates, for the sake of memory: see [`crate::framed`].

use std::{
    convert::Infallible,
    marker::PhantomData,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

use super::{Router, Server};
use crate::{
    delta,
    framed::{self, Limit},
    resource::ResourceType,
    sotw,
    stream::{Front, Variant},
};

/// The largest request, in the words of who sends it.
const LIMIT: Limit =
    Limit { bytes: Server::REQUEST_BYTES_MAX, remedy: "ask for fewer names in one request, or for \"*\"" };

/// Adds all of them to a router.
pub(super) fn add(router: Router, server: Server) -> Router {
    router
        .add_service(Methods::<Aggregated>::of(server.clone()))
        .add_service(Methods::<Clusters>::of(server.clone()))
        .add_service(Methods::<Endpoints>::of(server.clone()))
        .add_service(Methods::<Listeners>::of(server.clone()))
        .add_service(Methods::<Routes>::of(server))
}

/// One of Envoy's services, with its two streams.
struct Methods<S>(Server, PhantomData<fn() -> S>);

/// How a service and its methods are called, and what they are for.
trait Named: 'static {
    const SERVICE: &'static str;
    const STATE_OF_THE_WORLD: &'static str;
    const DELTA: &'static str;
    const ONLY: Option<ResourceType>;
}

macro_rules! service {
    ($name:ident, $service:literal, $sotw:literal, $delta:literal, $only:expr) => {
        struct $name;

        impl Named for $name {
            const SERVICE: &'static str = concat!("envoy.service.", $service);
            const STATE_OF_THE_WORLD: &'static str = $sotw;
            const DELTA: &'static str = $delta;
            const ONLY: Option<ResourceType> = $only;
        }
    };
}

service!(
    Aggregated,
    "discovery.v3.AggregatedDiscoveryService",
    "StreamAggregatedResources",
    "DeltaAggregatedResources",
    None
);
service!(
    Clusters,
    "cluster.v3.ClusterDiscoveryService",
    "StreamClusters",
    "DeltaClusters",
    Some(ResourceType::Cluster)
);
service!(
    Endpoints,
    "endpoint.v3.EndpointDiscoveryService",
    "StreamEndpoints",
    "DeltaEndpoints",
    Some(ResourceType::Endpoints)
);
service!(
    Listeners,
    "listener.v3.ListenerDiscoveryService",
    "StreamListeners",
    "DeltaListeners",
    Some(ResourceType::Listener)
);
service!(Routes, "route.v3.RouteDiscoveryService", "StreamRoutes", "DeltaRoutes", Some(ResourceType::Route));

// === impl Methods ===

impl<S> Methods<S> {
    fn of(server: Server) -> Self {
        Self(server, PhantomData)
    }
}

impl<S> Clone for Methods<S> {
    fn clone(&self) -> Self {
        Self::of(self.0.clone())
    }
}

impl<S: Named> NamedService for Methods<S> {
    const NAME: &'static str = S::SERVICE;
}

impl<S: Named> Service<http::Request<Body>> for Methods<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let server = self.0.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        if method == S::STATE_OF_THE_WORLD {
            serve::<sotw::Session>(server, Variant::StateOfTheWorld, S::ONLY, request).map(Ok).boxed()
        } else if method == S::DELTA {
            serve::<delta::Session>(server, Variant::Delta, S::ONLY, request).map(Ok).boxed()
        } else {
            let status = Status::unimplemented(format!("{} has no method of that name", S::SERVICE));
            std::future::ready(Ok(status.into_http())).boxed()
        }
    }
}

/// One call of that variant, of all types or of one.
async fn serve<F: Front>(
    server: Server,
    variant: Variant,
    only: Option<ResourceType>,
    request: http::Request<Body>,
) -> http::Response<Body> {
    framed::call(request, LIMIT, |request| server.open::<F>(variant, only, request)).await
}
