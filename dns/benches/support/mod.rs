//! A catalog of many services, served as a controller would: what several benches answer from.

use std::sync::Arc;

use rollcall_xds::cache::{Cache, Snapshot};
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;

/// Headless services, `svc-N.ns-M` with M the last two digits of N.
pub(crate) const SERVICES: u32 = 10_000;
/// Endpoints of each.
pub(crate) const EACH: u32 = 10;

/// The DNS name of a service.
pub(crate) fn name(service: u32) -> String {
    format!("svc-{service}.ns-{}.svc.cluster.local.", service % 100)
}

/// All of them, and the zone.
pub(crate) fn filled() -> Cache {
    let mut cache = Cache::new();
    (0..SERVICES).for_each(|service| fill(&mut cache, service));
    let zone = proto::Zone { cluster_domain: "cluster.local".to_owned(), ..proto::Zone::default() };
    cache.upsert(ResourceType::Zone, Resource::new(ResourceType::Zone, "zone", &zone));
    cache
}

/// Serves a catalog on loopback: at which URL, and until the task ends.
pub(crate) async fn serve(snapshots: &watch::Sender<Option<Arc<Snapshot>>>) -> (String, JoinHandle<()>) {
    let catalog = Server::new(snapshots.subscribe(), Limits::default(), Arc::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = catalog.into_router().serve_with_incoming(TcpListenerStream::new(listener));
    (url, tokio::spawn(serving))
}

fn fill(cache: &mut Cache, service: u32) {
    let (namespace, name) = (format!("ns-{}", service % 100), format!("svc-{service}"));
    let endpoint = |place: u32| proto::Endpoint {
        id: u64::from(service * EACH + place),
        addresses: vec![(0x0a00_0000 + service * EACH + place).to_be_bytes().to_vec().into()],
        ready: true,
        ..Default::default()
    };
    let bucket = proto::EndpointBucket {
        namespace: namespace.clone(),
        service: name.clone(),
        endpoints: (0..EACH).map(endpoint).collect(),
        port_sets: vec![proto::PortSet::default()],
    };
    let key = format!("{namespace}/{name}");
    let kind = proto::service::Kind::Headless.into();
    let service = proto::Service { namespace, name, kind, buckets: 1, ..Default::default() };
    let bucket = Resource::new(ResourceType::EndpointBucket, format!("{key}/1/0"), &bucket);
    cache.upsert(ResourceType::EndpointBucket, bucket);
    cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, key, &service));
}
