//! A client of either variant, on either kind of stream, and the catalog that it sees.

use std::{collections::BTreeSet, sync::Arc};

use envoy_types::pb::{
    envoy::service::{
        cluster::v3::cluster_discovery_service_client::ClusterDiscoveryServiceClient,
        discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
        endpoint::v3::endpoint_discovery_service_client::EndpointDiscoveryServiceClient,
        listener::v3::listener_discovery_service_client::ListenerDiscoveryServiceClient,
        route::v3::route_discovery_service_client::RouteDiscoveryServiceClient,
    },
    google::rpc::Status,
};
use rollcall_xds::{
    cache::{Cache, Snapshot},
    resource::{Resource, ResourceType},
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Streaming, transport::Channel};

use crate::{Replica, catalog, soon};

/// The four ways in which Envoy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    AdsDelta,
    AdsSotw,
    SingleDelta,
    SingleSotw,
}

pub(super) struct Driver {
    how: How,
    ty: ResourceType,
    cache: Cache,
    sender: watch::Sender<Option<Arc<Snapshot>>>,
    replica: Replica,
    stream: Stream,
    names: BTreeSet<String>,
    nonce: String,
}

enum Stream {
    Delta(mpsc::UnboundedSender<DeltaDiscoveryRequest>, Streaming<DeltaDiscoveryResponse>),
    Sotw(mpsc::UnboundedSender<DiscoveryRequest>, Streaming<DiscoveryResponse>),
}

/// Each way with each type.
pub(super) fn all(types: &[ResourceType]) -> impl Iterator<Item = (How, ResourceType)> {
    let ways = [How::AdsDelta, How::AdsSotw, How::SingleDelta, How::SingleSotw];
    ways.into_iter().flat_map(move |how| types.iter().map(move |ty| (how, *ty)))
}

// === impl How ===

impl How {
    pub(super) fn is_delta(self) -> bool {
        matches!(self, Self::AdsDelta | Self::SingleDelta)
    }
}

// === impl Driver ===

impl Driver {
    /// A server where resources of these names exist, each as "1", and a client on a stream.
    pub(super) async fn start(how: How, ty: ResourceType, names: &[&str]) -> Self {
        let (mut cache, sender) = catalog();
        names.iter().for_each(|name| _ = cache.upsert(ty, body(ty, name, "1")));
        sender.send_replace(Some(cache.publish()));
        let replica = Replica::start(sender.subscribe()).await;
        let stream = Stream::open(how, ty, &replica).await;
        Self { how, ty, cache, sender, replica, stream, names: BTreeSet::new(), nonce: String::new() }
    }

    pub(super) fn write(&mut self, name: &str, text: &str) {
        self.cache.upsert(self.ty, body(self.ty, name, text));
        self.sender.send_replace(Some(self.cache.publish()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.cache.remove(self.ty, name);
        self.sender.send_replace(Some(self.cache.publish()));
    }

    /// Goes on with another type, of which these exist.
    pub(super) fn turn_to(&mut self, ty: ResourceType, names: &[&str]) {
        (self.ty, self.names, self.nonce) = (ty, BTreeSet::new(), String::new());
        names.iter().for_each(|name| self.write(name, "1"));
    }

    pub(super) async fn subscribe(&mut self, names: &[&str]) {
        self.names = names.iter().map(ToString::to_string).collect();
        self.say(names, &[], None);
    }

    pub(super) async fn add(&mut self, names: &[&str]) {
        self.names.extend(names.iter().map(ToString::to_string));
        self.say(names, &[], None);
    }

    /// Drops all other names.
    pub(super) async fn keep(&mut self, names: &[&str]) {
        let dropped: Vec<_> = self.names.iter().filter(|name| !names.contains(&name.as_str())).cloned().collect();
        self.names.retain(|name| names.contains(&name.as_str()));
        self.say(&[], &dropped.iter().map(String::as_str).collect::<Vec<_>>(), None);
        self.settle().await;
    }

    /// The next response says that, and is acknowledged.
    pub(super) async fn is_told(&mut self, what: &[&str]) {
        self.hears(what).await;
        self.say(&[], &[], None);
    }

    /// The same, and the client wants none of it.
    pub(super) async fn rejects(&mut self, what: &[&str], why: &str) {
        self.hears(what).await;
        self.say(&[], &[], Some(why));
        self.settle().await;
    }

    /// All that was said has been answered: what comes next is the answer to something new.
    pub(super) async fn is_told_no_more(&mut self) {
        self.settle().await;
    }

    pub(super) fn last_nack(&self) -> Option<String> {
        self.replica.metrics.last_nack(self.ty).map(|nack| nack.message)
    }

    /// Asks for one thing more, and nothing else may come before that: requests are answered in their order.
    async fn settle(&mut self) {
        let mark = "zz-mark";
        let (sotw_in_parts, names) = (!self.how.is_delta() && !self.ty.is_told_whole(), self.names.clone());
        if self.how.is_delta() {
            self.say(&[mark], &[], None);
            self.hears(&["-zz-mark"]).await;
            self.say(&[], &[mark], None);
            return;
        }
        if self.names.is_empty() && self.ty.is_told_whole() {
            return self.rest().await; // a wildcard has no names to add
        }
        self.write(mark, "1");
        self.names.insert(mark.to_owned());
        self.say(&[], &[], None);
        let response = self.response().await;
        if sotw_in_parts {
            assert_eq!(response, ["zz-mark=1"], "{:?} {}", self.how, self.ty);
        } else {
            assert!(response.contains(&"zz-mark=1".to_owned()), "{response:?}");
        }
        self.names = names;
        self.say(&[], &[], None);
    }

    /// Until the server has taken in what was said.
    async fn rest(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    async fn hears(&mut self, what: &[&str]) {
        let heard = self.response().await;
        assert_eq!(heard, what, "{:?} {}", self.how, self.ty);
    }

    /// What the next response says: `name=text`, and `-name` for what is told to be gone.
    async fn response(&mut self) -> Vec<String> {
        let read = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
        let mut told: Vec<String> = match &mut self.stream {
            Stream::Delta(_, responses) => {
                let response = soon(responses.message()).await.expect("no error").expect("open");
                assert_eq!(response.type_url, self.ty.type_url());
                self.nonce = response.nonce;
                let bodies = response.resources.iter().map(|one| read(&one.resource.as_ref().expect("content").value));
                let bodies: Vec<_> = bodies.collect();
                bodies.into_iter().chain(response.removed_resources.iter().map(|name| format!("-{name}"))).collect()
            }
            Stream::Sotw(_, responses) => {
                let response = soon(responses.message()).await.expect("no error").expect("open");
                assert_eq!(response.type_url, self.ty.type_url());
                self.nonce = response.nonce;
                response.resources.iter().map(|any| read(&any.value)).collect()
            }
        };
        told.sort_by_key(|said| (said.starts_with('-'), said.clone()));
        told
    }

    fn say(&self, subscribe: &[&str], unsubscribe: &[&str], refusal: Option<&str>) {
        let (type_url, response_nonce) = (self.ty.type_url().to_owned(), self.nonce.clone());
        let error_detail = refusal.map(|why| Status { code: 3, message: why.to_owned(), details: Vec::new() });
        let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        match &self.stream {
            Stream::Delta(requests, _) => {
                let request = DeltaDiscoveryRequest {
                    type_url,
                    response_nonce,
                    error_detail,
                    resource_names_subscribe: strings(subscribe),
                    resource_names_unsubscribe: strings(unsubscribe),
                    ..DeltaDiscoveryRequest::default()
                };
                requests.send(request).expect("the stream is open");
            }
            Stream::Sotw(requests, _) => {
                let resource_names = self.names.iter().cloned().collect();
                let request =
                    DiscoveryRequest { type_url, response_nonce, error_detail, resource_names, ..Default::default() };
                requests.send(request).expect("the stream is open");
            }
        }
    }
}

// === impl Stream ===

macro_rules! open {
    ($client:ident, $channel:expr, $delta:expr, $sotw_method:ident, $delta_method:ident) => {{
        let mut client = $client::new($channel);
        if $delta {
            let (requests, outgoing) = mpsc::unbounded_channel();
            let call = client.$delta_method(UnboundedReceiverStream::new(outgoing));
            Stream::Delta(requests, soon(call).await.expect("accepted").into_inner())
        } else {
            let (requests, outgoing) = mpsc::unbounded_channel();
            let call = client.$sotw_method(UnboundedReceiverStream::new(outgoing));
            Stream::Sotw(requests, soon(call).await.expect("accepted").into_inner())
        }
    }};
}

impl Stream {
    async fn open(how: How, ty: ResourceType, replica: &Replica) -> Self {
        let channel = Channel::from_shared(replica.uri()).expect("an address").connect().await.expect("it is up");
        let delta = how.is_delta();
        if matches!(how, How::AdsDelta | How::AdsSotw) {
            return open!(
                AggregatedDiscoveryServiceClient,
                channel,
                delta,
                stream_aggregated_resources,
                delta_aggregated_resources
            );
        }
        match ty {
            ResourceType::Cluster => {
                open!(ClusterDiscoveryServiceClient, channel, delta, stream_clusters, delta_clusters)
            }
            ResourceType::Endpoints => {
                open!(EndpointDiscoveryServiceClient, channel, delta, stream_endpoints, delta_endpoints)
            }
            ResourceType::Listener => {
                open!(ListenerDiscoveryServiceClient, channel, delta, stream_listeners, delta_listeners)
            }
            ResourceType::Route => open!(RouteDiscoveryServiceClient, channel, delta, stream_routes, delta_routes),
            _ => panic!("{ty} has no service of its own"),
        }
    }
}

/// A resource whose body says its name and `text`.
fn body(ty: ResourceType, name: &str, text: &str) -> Resource {
    Resource::from_body(ty, name, format!("{name}={text}").into_bytes())
}
