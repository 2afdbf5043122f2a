//! The messages and stubs here are envoy-types' own: this test knows nothing of our types on the client's side.

use envoy_types::pb::{
    envoy::{
        config::{cluster::v3::Cluster, core::v3::Node, endpoint::v3::ClusterLoadAssignment},
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
    },
    google::{protobuf::Duration, rpc::Status},
};
use prost::Message;
use rollcall_xds::resource::{
    Resource,
    ResourceType::{self, Cluster as Cds, Endpoints as Eds},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Streaming};

use crate::{Replica, catalog, soon};

struct Envoy {
    requests: mpsc::UnboundedSender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Envoy {
    async fn connect(uri: String) -> Self {
        let mut client = AggregatedDiscoveryServiceClient::connect(uri).await.expect("the server is up");
        let (requests, outgoing) = mpsc::unbounded_channel();
        let call = client.delta_aggregated_resources(UnboundedReceiverStream::new(outgoing));
        Self { requests, responses: soon(call).await.expect("accepted").into_inner() }
    }

    fn say(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).expect("the stream is open");
    }

    async fn hear(&mut self, ty: ResourceType) -> DeltaDiscoveryResponse {
        let response = soon(self.responses.message()).await.expect("no error").expect("the stream is open");
        assert_eq!(response.type_url, ty.type_url());
        self.say(DeltaDiscoveryRequest { response_nonce: response.nonce.clone(), ..request(ty) });
        response
    }
}

fn request(ty: ResourceType) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: ty.type_url().to_owned(), ..DeltaDiscoveryRequest::default() }
}

fn cluster(name: &str, timeout_s: i64) -> Resource {
    let connect_timeout = Some(Duration { seconds: timeout_s, nanos: 0 });
    Resource::new(Cds, name, &Cluster { name: name.to_owned(), connect_timeout, ..Cluster::default() })
}

fn endpoints(name: &str) -> Resource {
    Resource::new(Eds, name, &ClusterLoadAssignment { cluster_name: name.to_owned(), ..Default::default() })
}

#[tokio::test]
async fn a_client_of_other_make_follows_clusters_and_endpoints() {
    let (mut cache, sender) = catalog();
    cache.upsert(Cds, cluster("shop/payments", 1));
    let first = cluster("shop/payments", 1).version;
    cache.upsert(Eds, endpoints("shop/payments"));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut envoy = Envoy::connect(replica.uri()).await;

    let node = Some(Node { id: "sidecar-0".to_owned(), cluster: "shop".to_owned(), ..Node::default() });
    envoy.say(DeltaDiscoveryRequest { node, ..request(Cds) });
    let response = envoy.hear(Cds).await;
    let [resource] = &*response.resources else { panic!("expected one cluster, not {response:?}") };
    assert_eq!((&*resource.name, &resource.version), ("shop/payments", &first.to_string()));
    let body = resource.resource.as_ref().expect("has content");
    assert_eq!(body.type_url, Cds.type_url());
    let timeout = Cluster::decode(&*body.value).expect("a Cluster").connect_timeout.map(|timeout| timeout.seconds);
    assert_eq!(timeout, Some(1));

    let names = ["shop/payments", "shop/unknown"].map(str::to_owned).to_vec();
    envoy.say(DeltaDiscoveryRequest { resource_names_subscribe: names, ..request(Eds) });
    let response = envoy.hear(Eds).await;
    assert_eq!((response.resources.len(), &*response.removed_resources), (1, &["shop/unknown".to_owned()][..]));

    cache.upsert(Cds, cluster("shop/payments", 2));
    sender.send_replace(Some(cache.publish()));
    let changed = envoy.hear(Cds).await;
    assert_ne!(changed.resources[0].version, first.to_string());
    assert_eq!(envoy.hear(Eds).await.resources[0].name, "shop/payments", "endpoints follow their cluster");

    cache.remove(Cds, "shop/payments");
    sender.send_replace(Some(cache.publish()));
    assert_eq!(envoy.hear(Cds).await.removed_resources, ["shop/payments"]);
    drop(envoy);
    replica.stop().await;
}

#[tokio::test]
async fn known_versions_and_rejections_of_other_make_are_understood() {
    let (mut cache, sender) = catalog();
    cache.upsert(Cds, cluster("same", 1));
    cache.upsert(Cds, cluster("new", 1));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut envoy = Envoy::connect(replica.uri()).await;
    let same = cluster("same", 1).version.to_string();
    let initial_resource_versions = [("same".to_owned(), same), ("gone".to_owned(), "17".to_owned())].into();
    let node = Some(Node { id: "sidecar-0".to_owned(), ..Node::default() });
    envoy.say(DeltaDiscoveryRequest { node, initial_resource_versions, ..request(Cds) });
    let response = soon(envoy.responses.message()).await.expect("no error").expect("open");
    assert_eq!((&*response.resources[0].name, &*response.removed_resources), ("new", &["gone".to_owned()][..]));
    let error_detail = Some(Status { code: 3, message: "no lb_policy".to_owned(), details: Vec::new() });
    envoy.say(DeltaDiscoveryRequest { response_nonce: response.nonce, error_detail, ..request(Cds) });
    cache.upsert(Cds, cluster("new", 2));
    sender.send_replace(Some(cache.publish()));
    envoy.hear(Cds).await;
    assert_eq!(replica.metrics.last_nack(Cds).map(|nack| nack.message), Some("no lb_policy".to_owned()));
    drop(envoy);
    replica.stop().await;
}

#[tokio::test]
async fn a_malformed_request_ends_the_stream_with_the_reason() {
    let (mut cache, sender) = catalog();
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut envoy = Envoy::connect(replica.uri()).await;
    envoy.say(DeltaDiscoveryRequest::default());
    let status = soon(envoy.responses.message()).await.expect_err("the stream ends");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("no type_url"), "{status}");
    assert_eq!(replica.metrics.streams_failed(), 1);
    replica.stop().await;
}
