//! The methods of Envoy's services: each is a stream of one variant, of all types or of one.

use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server as Transport, server::Router},
};

use super::{Responses, Server};
use crate::{
    delta,
    proto::{
        discovery::{
            DeltaDiscoveryRequest, DiscoveryRequest,
            aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
        },
        envoy::service::{
            cluster::v3::cluster_discovery_service_server::{ClusterDiscoveryService, ClusterDiscoveryServiceServer},
            endpoint::v3::endpoint_discovery_service_server::{
                EndpointDiscoveryService, EndpointDiscoveryServiceServer,
            },
            listener::v3::listener_discovery_service_server::{
                ListenerDiscoveryService, ListenerDiscoveryServiceServer,
            },
            route::v3::route_discovery_service_server::{RouteDiscoveryService, RouteDiscoveryServiceServer},
        },
    },
    resource::ResourceType,
    sotw,
    stream::Variant,
};

/// Adds all of them to a transport.
pub(super) fn add<L: Clone>(mut transport: Transport<L>, server: Server) -> Router<L> {
    let limit = Server::REQUEST_BYTES_MAX;
    transport
        .add_service(AggregatedDiscoveryServiceServer::new(server.clone()).max_decoding_message_size(limit))
        .add_service(ClusterDiscoveryServiceServer::new(server.clone()).max_decoding_message_size(limit))
        .add_service(EndpointDiscoveryServiceServer::new(server.clone()).max_decoding_message_size(limit))
        .add_service(ListenerDiscoveryServiceServer::new(server.clone()).max_decoding_message_size(limit))
        .add_service(RouteDiscoveryServiceServer::new(server).max_decoding_message_size(limit))
}

/// A service with its two streams.
macro_rules! service {
    ($service:ident, $sotw:ident -> $Sotw:ident, $delta:ident -> $Delta:ident, $only:expr) => {
        #[tonic::async_trait]
        impl $service for Server {
            type $Sotw = Responses<sotw::Session>;
            type $Delta = Responses<delta::Session>;

            async fn $sotw(
                &self,
                request: Request<Streaming<DiscoveryRequest>>,
            ) -> Result<Response<Self::$Sotw>, Status> {
                self.open::<sotw::Session>(Variant::StateOfTheWorld, $only, request).await
            }

            async fn $delta(
                &self,
                request: Request<Streaming<DeltaDiscoveryRequest>>,
            ) -> Result<Response<Self::$Delta>, Status> {
                self.open::<delta::Session>(Variant::Delta, $only, request).await
            }
        }
    };
}

service!(
    AggregatedDiscoveryService,
    stream_aggregated_resources -> StreamAggregatedResourcesStream,
    delta_aggregated_resources -> DeltaAggregatedResourcesStream,
    None
);
service!(
    ClusterDiscoveryService,
    stream_clusters -> StreamClustersStream,
    delta_clusters -> DeltaClustersStream,
    Some(ResourceType::Cluster)
);
service!(
    EndpointDiscoveryService,
    stream_endpoints -> StreamEndpointsStream,
    delta_endpoints -> DeltaEndpointsStream,
    Some(ResourceType::Endpoints)
);
service!(
    ListenerDiscoveryService,
    stream_listeners -> StreamListenersStream,
    delta_listeners -> DeltaListenersStream,
    Some(ResourceType::Listener)
);
service!(
    RouteDiscoveryService,
    stream_routes -> StreamRoutesStream,
    delta_routes -> DeltaRoutesStream,
    Some(ResourceType::Route)
);
