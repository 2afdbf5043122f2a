//! Tests: what each client of the stream holds, has taken and has refused.

use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use rollcall_catalog::Catalog;
use rollcall_xds::proto::discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use rollcall_xds::proto::discovery::{self, DiscoveryRequest, DiscoveryResponse};
use rollcall_xds::server::{Limits, Server};
use rollcall_xds::tls::Incoming;
use rollcall_xds::view::Views;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::serve::publisher::Publisher;
use crate::testing::*;

const NAME: &str = "payments.shop:http";

/// A server of the service shop/payments.
struct Stage {
    server: Server,
    address: String,
    _sender: tokio::sync::watch::Sender<Option<Arc<rollcall_catalog::Snapshot>>>,
    _publisher: Publisher,
}

/// A client of the state-of-the-world.
struct Client {
    asks: mpsc::Sender<DiscoveryRequest>,
    told: Streaming<DiscoveryResponse>,
}

// === impl Stage ===

impl Stage {
    async fn open() -> Self {
        let (sender, snapshots) = tokio::sync::watch::channel(None);
        let (mut publisher, published) = Publisher::new(snapshots, "cluster.local", false);
        let mut catalog = Catalog::default();
        for input in [cluster_ip("payments"), registered("payments", vec![vm("vm-1", "198.51.100.1")])] {
            catalog.apply(input);
        }
        catalog.publish(rollcall_catalog::time::Now::default());
        publisher.publish(&catalog.snapshot());
        let server = Server::new(published, Limits::default(), Arc::default());
        let server = server.seen_through(Views::through(Arc::new(Lens::new("cluster.local"))));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("is bound"));
        let router = server.clone().into_router();
        tokio::spawn(async move { router.serve_with_incoming(Incoming::plain(listener).into_stream()).await });
        Self { server, address, _sender: sender, _publisher: publisher }
    }

    /// A client that was told of the endpoints, and has not said what it makes of them.
    async fn client(&self, node: &str) -> (Client, DiscoveryResponse) {
        let mut stub = AggregatedDiscoveryServiceClient::connect(self.address.clone()).await.expect("a server");
        let (asks, asked) = mpsc::channel(4);
        let node = discovery::Node { id: node.to_owned(), ..discovery::Node::default() };
        asks.send(DiscoveryRequest { node: Some(node), ..endpoints() }).await.expect("room");
        let told = stub.stream_aggregated_resources(ReceiverStream::new(asked)).await.expect("a stream").into_inner();
        let mut client = Client { asks, told };
        let response = client.told.message().await.expect("no error").expect("a response");
        (client, response)
    }

    async fn status(&self, request: ClientStatusRequest) -> ClientStatusResponse {
        let status = ClientStatus::new("cluster.local", self.server.clients(), None);
        status.fetch_client_status(Request::new(request)).await.expect("it may").into_inner()
    }

    /// How the endpoints are with that client.
    async fn endpoints_of(&self, node: &str) -> Option<GenericXdsConfig> {
        let config = self.status(by_id(MatchPattern::Exact(node.to_owned()))).await.config;
        assert!(config.len() < 2, "one is asked for");
        config.into_iter().next()?.generic_xds_configs.into_iter().next()
    }
}

fn endpoints() -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: ResourceType::Endpoints.type_url().to_owned(),
        resource_names: vec![NAME.to_owned()],
        ..DiscoveryRequest::default()
    }
}

fn answer(to: &DiscoveryResponse, refused: Option<&str>) -> DiscoveryRequest {
    let error = |words: &str| discovery::Status { code: 3, message: words.to_owned() };
    DiscoveryRequest { response_nonce: to.nonce.clone(), error_detail: refused.map(error), ..endpoints() }
}

fn by_id(pattern: MatchPattern) -> ClientStatusRequest {
    let node_id = Some(StringMatcher { match_pattern: Some(pattern), ignore_case: false });
    ClientStatusRequest {
        node_matchers: vec![NodeMatcher { node_id, ..NodeMatcher::default() }],
        ..ClientStatusRequest::default()
    }
}

#[tokio::test]
async fn what_a_client_took_and_what_another_refused_is_told_with_its_words() {
    let stage = Stage::open().await;
    let (taker, first) = stage.client("taker").await;
    let of_taker = stage.endpoints_of("taker").await.expect("told of them");
    assert_eq!((of_taker.name.as_str(), of_taker.config_status()), (NAME, ConfigStatus::Stale), "no answer yet");
    taker.asks.send(answer(&first, None)).await.expect("room");
    let (refuser, second) = stage.client("refuser").await;
    refuser.asks.send(answer(&second, Some("no such locality"))).await.expect("room");
    let settled = async {
        loop {
            let (taker, refuser) = (stage.endpoints_of("taker").await, stage.endpoints_of("refuser").await);
            let (Some(taker), Some(refuser)) = (taker, refuser) else { continue };
            if taker.client_status() == ClientResourceStatus::Acked && refuser.error_state.is_some() {
                return (taker, refuser);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (taken, refused) = tokio::time::timeout(Duration::from_secs(30), settled).await.expect("both are heard");
    let content = taken.xds_config.clone().expect("what it holds");
    assert_eq!(content.type_url, ResourceType::Endpoints.type_url());
    let assignment = ClusterLoadAssignment::decode(&*content.value).expect("an assignment");
    assert_eq!((assignment.cluster_name.as_str(), assignment.endpoints.len()), (NAME, 1));
    assert_eq!((taken.config_status(), taken.version_info.len()), (ConfigStatus::Synced, 16));
    assert_eq!((refused.config_status(), refused.client_status()), (ConfigStatus::Error, ClientResourceStatus::Nacked));
    assert_eq!(refused.error_state.expect("why").details, "no such locality");
    drop((taker, refuser));
}

#[tokio::test]
async fn all_are_told_unless_some_are_asked_for() {
    let stage = Stage::open().await;
    let clients = [stage.client("shop-1").await, stage.client("shop-2").await, stage.client("bank-1").await];
    let scopes = |response: ClientStatusResponse| -> Vec<String> {
        response.config.into_iter().map(|config| config.client_scope).collect()
    };
    assert_eq!(scopes(stage.status(ClientStatusRequest::default()).await), ["shop-1", "shop-2", "bank-1"]);
    assert_eq!(scopes(stage.status(by_id(MatchPattern::Prefix("shop".to_owned()))).await), ["shop-1", "shop-2"]);
    let without =
        ClientStatusRequest { exclude_resource_contents: true, ..by_id(MatchPattern::Contains("bank".to_owned())) };
    let bank = stage.status(without).await.config.remove(0);
    assert_eq!(bank.generic_xds_configs[0].xds_config, None);
    let node = bank.node.expect("who it is");
    assert!(node.metadata.expect("more of it").fields.contains_key("rollcall.dev/address"));
    let status = ClientStatus::new("cluster.local", stage.server.clients(), None);
    let regex = by_id(MatchPattern::SafeRegex(Default::default()));
    let refused = status.fetch_client_status(Request::new(regex)).await.expect_err("not understood");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    drop(clients);
}

#[tokio::test]
async fn an_answer_has_no_more_than_there_is_room_for() {
    let look = Look { matchers: Vec::new(), scope: Scope::All, contents: true, now: Timestamp::default() };
    let stage = Stage::open().await;
    let _client = stage.client("one").await;
    let (client, held) = stage.server.clients().holdings(|_| true, 10).await.remove(0);
    let held = held.expect("it says so");
    let many: Vec<_> = (0..50).flat_map(|_| held.clone()).collect();
    let (mut room, lens) = (2_000, Lens::new("cluster.local"));
    let config = look.config(&client, many, &lens, &mut room);
    assert!(config.encoded_len() <= 2_000 && room == 0, "{} bytes", config.encoded_len());
    assert!(!config.generic_xds_configs.is_empty());
}
