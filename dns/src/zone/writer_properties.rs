//! Whatever the history, the index is that of the final state.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::zone::label::endpoint_label;
use crate::zone::model::{Addresses, Kind};

const KEYS: [&str; 4] = ["a/x", "a/y", "b/x", "c/z"];
const ADDRESSES: u8 = 12;

fn service() -> impl Strategy<Value = Service> {
    let virtual_ip = |last: u8| Box::from([IpAddr::from([10, 96, 0, last])]);
    let kind = prop_oneof![
        Just(Kind::Headless),
        Just(Kind::External { target: None }),
        (0..3_u8).prop_map(move |n| Kind::ClusterIp { addresses: virtual_ip(n), ports: Arc::new([]) }),
    ];
    (kind, any::<bool>()).prop_map(|(kind, publish_not_ready)| Service {
        kind,
        publish_not_ready,
        staleness: None,
        exposed: None,
    })
}

/// Addresses are shared between identities and services, so that each has several holders.
fn endpoint() -> impl Strategy<Value = Arc<Endpoint>> {
    (0..20_u64, 0..ADDRESSES, any::<bool>(), prop::sample::select(vec!["", "h-0", "h-1"])).prop_map(
        |(id, last, ready, hostname)| {
            let addresses = Addresses::V4(Ipv4Addr::new(10, 1, 0, last));
            let (label, has_hostname) = endpoint_label(hostname, addresses);
            Arc::new(Endpoint {
                id,
                addresses,
                weight: 1,
                ready,
                label,
                has_hostname,
                ports: Arc::new([]),
                texts: Arc::default(),
                place: Arc::default(),
                warns: false,
                suspect: false,
            })
        },
    )
}

/// A bucket's endpoints have distinct identities, as on the stream.
fn endpoints() -> impl Strategy<Value = Vec<Arc<Endpoint>>> {
    prop::collection::vec(endpoint(), 0..6).prop_map(|all| {
        let by_id: BTreeMap<_, _> = all.into_iter().map(|endpoint| (endpoint.id, endpoint)).collect();
        by_id.into_values().collect()
    })
}

fn change() -> impl Strategy<Value = Change> {
    let key = || prop::sample::select(KEYS.to_vec()).prop_map(Arc::<str>::from);
    let part = || (0..3_u32, 0..4_u32).prop_map(|(cut, index)| (1 << cut, index % (1 << cut)));
    let name = || (key(), part()).prop_map(|(service, part)| BucketName { service, part });
    // Parts of one cut never share an identity.
    let only = |(count, index): (u32, u32), endpoints: Vec<Arc<Endpoint>>| -> Vec<_> {
        endpoints.into_iter().filter(|endpoint| endpoint.id % u64::from(count) == u64::from(index)).collect()
    };
    prop_oneof![
        3 => (key(), service()).prop_map(|(key, service)| Change::Service(key, service)),
        1 => key().prop_map(Change::ServiceGone),
        4 => (name(), endpoints()).prop_map(move |(name, endpoints)| {
            let endpoints = only(name.part, endpoints);
            Change::Bucket(name, endpoints)
        }),
        2 => name().prop_map(Change::BucketGone),
    ]
}

/// All that readers can see, and the size.
fn seen(writer: &ZoneWriter) -> (Vec<String>, Size) {
    let zone = writer.zone();
    let mut seen: Vec<_> = KEYS.iter().map(|key| format!("{key} {:?}", zone.service(key))).collect();
    seen.extend(["a", "b", "c"].iter().map(|name| format!("{name} {:?}", zone.namespaces.get(*name))));
    let pods = (0..ADDRESSES).map(|last| IpAddr::from([10, 1, 0, last]));
    let virtual_ips = (0..3).map(|last| IpAddr::from([10, 96, 0, last]));
    seen.extend(pods.chain(virtual_ips).map(|address| format!("{address} {:?}", zone.holders.get(&address))));
    (seen, writer.size())
}

/// What is left when everything that was replaced or removed is forgotten, in the order of arrival.
fn final_state(writer: &ZoneWriter) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, held) in &writer.held {
        let name = |part| BucketName { service: Arc::clone(key), part };
        changes.extend(held.buckets.iter().map(|bucket| Change::Bucket(name(bucket.part), bucket.endpoints.to_vec())));
        changes.extend(held.service.clone().map(|service| Change::Service(Arc::clone(key), service)));
    }
    changes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_depends_on_the_final_state_alone(
        batches in prop::collection::vec(prop::collection::vec(change(), 0..4), 0..12),
        pod_names in prop::sample::select(vec![PodNames::Off, PodNames::Verified]),
    ) {
        let settings = Settings { ttl: 5, pod_names, ..Settings::default() };
        let (mut lived, mut fresh) = (ZoneWriter::new(settings.clone()), ZoneWriter::new(settings));
        for batch in batches {
            lived.apply(batch, 1);
        }
        fresh.apply(final_state(&lived), 1);
        prop_assert_eq!(seen(&lived), seen(&fresh));
    }
}
