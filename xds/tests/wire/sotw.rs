//! The state of the world, with messages and stubs of envoy-types: what a client of other make is told beyond the common
//! scenarios of `conformance`.

use envoy_types::pb::{
    envoy::{
        config::core::v3::Node,
        service::{
            cluster::v3::cluster_discovery_service_client::ClusterDiscoveryServiceClient,
            discovery::v3::{
                DiscoveryRequest, DiscoveryResponse,
                aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
            },
        },
    },
    google::rpc::Status,
};
use rollcall_xds::{
    resource::ResourceType::{self, Cluster as Cds, Endpoints as Eds, Listener as Lds, Route as Rds, ServiceEntry},
    server::Refusal,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Streaming};

use crate::{Replica, catalog, resource, soon};

struct Client {
    requests: mpsc::UnboundedSender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

impl Client {
    async fn connect(uri: String) -> Self {
        let mut client = AggregatedDiscoveryServiceClient::connect(uri).await.expect("the server is up");
        let (requests, outgoing) = mpsc::unbounded_channel();
        let call = client.stream_aggregated_resources(UnboundedReceiverStream::new(outgoing));
        Self { requests, responses: soon(call).await.expect("accepted").into_inner() }
    }

    fn say(&self, request: DiscoveryRequest) {
        self.requests.send(request).expect("the stream is open");
    }

    async fn hear(&mut self) -> DiscoveryResponse {
        soon(self.responses.message()).await.expect("no error").expect("the stream is open")
    }

    /// The next response is of that type and bears these bodies.
    async fn expect(&mut self, ty: ResourceType, bodies: &[&str]) -> DiscoveryResponse {
        let response = self.hear().await;
        assert_eq!(response.type_url, ty.type_url());
        assert!(response.resources.iter().all(|any| any.type_url == ty.type_url()), "plain, with no wrapper");
        let texts: Vec<_> = response.resources.iter().map(|any| String::from_utf8_lossy(&any.value)).collect();
        assert_eq!(texts, bodies, "{ty}");
        response
    }
}

fn request(ty: ResourceType, names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: ty.type_url().to_owned(),
        resource_names: names.iter().map(ToString::to_string).collect(),
        ..DiscoveryRequest::default()
    }
}

fn answer(response: &DiscoveryResponse, ty: ResourceType, names: &[&str]) -> DiscoveryRequest {
    let (response_nonce, version_info) = (response.nonce.clone(), response.version_info.clone());
    DiscoveryRequest { response_nonce, version_info, ..request(ty, names) }
}

fn grpc() -> Option<Node> {
    Some(Node { id: "pod".to_owned(), user_agent_name: "gRPC C-core".to_owned(), ..Node::default() })
}

#[tokio::test]
async fn whole_types_come_whole_and_others_in_parts() {
    let (mut cache, sender) = catalog();
    for (ty, name) in [(Cds, "a"), (Cds, "b"), (Eds, "a"), (Eds, "b")] {
        cache.upsert(ty, resource(ty, name, &format!("{name}1")));
    }
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut client = Client::connect(replica.uri()).await;
    client.say(DiscoveryRequest { node: grpc(), ..request(Cds, &[]) });
    let clusters = client.expect(Cds, &["a1", "b1"]).await;
    client.say(answer(&clusters, Cds, &[]));
    client.say(request(Eds, &["a", "b"]));
    let endpoints = client.expect(Eds, &["a1", "b1"]).await;
    client.say(answer(&endpoints, Eds, &["a", "b"]));

    cache.upsert(Eds, resource(Eds, "b", "b2"));
    sender.send_replace(Some(cache.publish()));
    let endpoints = client.expect(Eds, &["b2"]).await;
    client.say(answer(&endpoints, Eds, &["a", "b"]));

    cache.upsert(Cds, resource(Cds, "a", "a2"));
    sender.send_replace(Some(cache.publish()));
    let changed = client.expect(Cds, &["a2", "b1"]).await;
    assert_ne!(changed.version_info, clusters.version_info);
    client.say(answer(&changed, Cds, &[]));
    let endpoints = client.expect(Eds, &["a1"]).await; // of the cluster that changed, unasked and unchanged
    client.say(answer(&endpoints, Eds, &["a", "b"]));

    cache.remove(Cds, "a");
    sender.send_replace(Some(cache.publish()));
    client.expect(Cds, &["b1"]).await;
    drop(client);
    replica.stop().await;
}

#[tokio::test]
async fn an_answer_to_an_earlier_response_is_ignored() {
    let (mut cache, sender) = catalog();
    ["a", "b", "c"].iter().for_each(|name| _ = cache.upsert(Rds, resource(Rds, name, name)));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut client = Client::connect(replica.uri()).await;
    client.say(DiscoveryRequest { node: grpc(), ..request(Rds, &["a"]) });
    let first = client.expect(Rds, &["a"]).await;
    client.say(answer(&first, Rds, &["a", "b"]));
    let second = client.expect(Rds, &["b"]).await;
    client.say(answer(&first, Rds, &["a", "b", "c"])); // out of date
    let error_detail = Some(Status { code: 3, message: "no".to_owned(), details: Vec::new() });
    client.say(DiscoveryRequest { error_detail, ..answer(&first, Rds, &["a", "b", "c"]) });
    client.say(answer(&second, Rds, &["a", "b"]));
    cache.upsert(Rds, resource(Rds, "a", "a2"));
    sender.send_replace(Some(cache.publish()));
    client.expect(Rds, &["a2"]).await;
    assert_eq!(replica.metrics.last_nack(Rds), None);
    drop(client);
    replica.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_an_error_for_those_who_read_it() {
    let (mut cache, sender) = catalog();
    cache.upsert(Lds, resource(Lds, "a", "a1"));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut client = Client::connect(replica.uri()).await;
    client.say(DiscoveryRequest { node: grpc(), ..request(Lds, &["a", "none"]) });
    let listeners = client.expect(Lds, &["a1"]).await;
    client.say(answer(&listeners, Lds, &["a", "none"]));
    client.say(request(Eds, &["none"]));
    let endpoints = client.expect(Eds, &[]).await;
    for response in [&listeners, &endpoints] {
        let [error] = &*response.resource_errors else { panic!("one error, not {response:?}") };
        assert_eq!(error.resource_name.as_ref().map(|name| &*name.name), Some("none"));
        let status = error.error_detail.as_ref().expect("says why");
        assert_eq!((status.code, &*status.message), (Code::NotFound as i32, "there is no none"));
    }
    client.say(answer(&endpoints, Eds, &["none"]));
    cache.upsert(Lds, resource(Lds, "none", "born"));
    sender.send_replace(Some(cache.publish()));
    let born = client.expect(Lds, &["a1", "born"]).await;
    assert!(born.resource_errors.is_empty(), "errors are told once");
    drop(client);

    let mut envoy = Client::connect(replica.uri()).await;
    let node = Some(Node { id: "e".to_owned(), user_agent_name: "envoy".to_owned(), ..Node::default() });
    envoy.say(DiscoveryRequest { node, ..request(Eds, &["other"]) });
    envoy.say(request(Lds, &["other"]));
    assert!(envoy.expect(Lds, &[]).await.resource_errors.is_empty());
    drop(envoy);
    replica.stop().await;
}

#[tokio::test]
async fn parts_are_split_below_what_grpc_reads_and_whole_types_are_not() {
    let (mut cache, sender) = catalog();
    let big = "x".repeat(1 << 20);
    for ty in [Cds, Eds] {
        (0..6).for_each(|n| _ = cache.upsert(ty, resource(ty, &n.to_string(), &format!("{n}{big}"))));
    }
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut client = AggregatedDiscoveryServiceClient::connect(replica.uri()).await.expect("the server is up");
    client = client.max_decoding_message_size(64 << 20);
    let (requests, outgoing) = mpsc::unbounded_channel();
    let call = client.stream_aggregated_resources(UnboundedReceiverStream::new(outgoing));
    let mut client = Client { requests, responses: soon(call).await.expect("accepted").into_inner() };
    let names = ["0", "1", "2", "3", "4", "5"];
    client.say(DiscoveryRequest { node: grpc(), ..request(Eds, &names) });
    let mut count = 0;
    while count < names.len() {
        let response = client.hear().await;
        assert!((1..=3).contains(&response.resources.len()), "{} in one", response.resources.len());
        count += response.resources.len();
        client.say(answer(&response, Eds, &names));
    }
    client.say(request(Cds, &names));
    assert_eq!(client.hear().await.resources.len(), names.len());
    assert_eq!(replica.metrics.types()[Cds].oversized.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(client);
    replica.stop().await;
}

#[tokio::test]
async fn polling_is_refused_and_a_stream_of_one_type_keeps_to_it() {
    let (mut cache, sender) = catalog();
    cache.upsert(Cds, resource(Cds, "a", "a1"));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut client = ClusterDiscoveryServiceClient::connect(replica.uri()).await.expect("the server is up");
    let status = soon(client.fetch_clusters(DiscoveryRequest::default())).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("use a stream"), "{status}");
    assert_eq!(replica.metrics.refused_requests(Refusal::Unimplemented), 1);

    let untyped = DiscoveryRequest { node: grpc(), ..DiscoveryRequest::default() };
    let requests = tokio_stream::iter([untyped, request(Eds, &["a"])]);
    let mut responses = soon(client.stream_clusters(requests)).await.expect("accepted").into_inner();
    let status = loop {
        match soon(responses.message()).await {
            Ok(Some(response)) => assert_eq!(response.type_url, Cds.type_url()),
            Ok(None) => panic!("ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("use the method of that type"), "{status}");
    drop(client);
    replica.stop().await;
}

#[tokio::test]
async fn a_mesh_is_answered_in_the_words_that_it_asks_in_and_told_the_whole() {
    let (mut cache, sender) = catalog();
    for name in ["shop/a", "shop/b"] {
        cache.upsert(ServiceEntry, resource(ServiceEntry, name, name));
    }
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    for version in ["v1", "v1beta1", "v1alpha3"] {
        let mut mesh = Client::connect(replica.uri()).await;
        let type_url = format!("networking.istio.io/{version}/ServiceEntry");
        let ask = |names: &[&str]| DiscoveryRequest { type_url: type_url.clone(), ..request(ServiceEntry, names) };
        mesh.say(ask(&[]));
        let all = mesh.hear().await;
        assert_eq!((all.type_url.as_str(), all.resources.len()), (type_url.as_str(), 2));
        let wrapped = |any: &envoy_types::pb::google::protobuf::Any| {
            any.type_url == "type.googleapis.com/istio.mcp.v1alpha1.Resource"
        };
        assert!(all.resources.iter().all(wrapped), "{all:?}");
        let taken = DiscoveryRequest { response_nonce: all.nonce, version_info: all.version_info, ..ask(&[]) };
        mesh.say(taken);
        cache.upsert(ServiceEntry, resource(ServiceEntry, "shop/b", version));
        sender.send_replace(Some(cache.publish()));
        let changed = mesh.hear().await;
        assert_eq!((changed.type_url, changed.resources.len()), (type_url, 2), "what is missing would be deleted");
    }
    replica.stop().await;
}
