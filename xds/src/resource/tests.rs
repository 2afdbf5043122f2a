//! Tests: what travels on a stream.

use prost::Message;

use super::{PerType, Resource, ResourceType, Version};
use crate::proto::{discovery, rollcall::v1::Zone};

fn zone(domain: &str) -> Resource {
    Resource::new(ResourceType::Zone, "zone", &Zone { cluster_domain: domain.to_owned(), ..Zone::default() })
}

#[test]
fn equal_content_has_equal_version_and_bytes() {
    assert_eq!(zone("cluster.local"), zone("cluster.local"));
    assert_ne!(zone("cluster.local").version, zone("cluster.example").version);
}

#[test]
fn the_version_of_a_content_never_changes_between_releases() {
    assert_eq!(Version::of(b"").to_string(), "2d06800538d394c2"); // xxh3-64 of nothing, from its reference
}

#[test]
fn a_version_reads_back_and_foreign_text_does_not() {
    let version = Version::of(b"body");
    assert_eq!(Version::parse(&version.to_string()), Some(version));
    for foreign in ["", "1", "0000000000000000", "2D06800538D394C2", "+d06800538d394c2", "2d06800538d394c2f"] {
        assert_eq!(Version::parse(foreign), None, "{foreign}");
    }
}

#[test]
fn the_wire_form_is_the_standard_wrapper() {
    let resource = zone("cluster.local");
    let wrapper = discovery::Resource::decode(resource.wire.clone()).expect("is a Resource");
    assert_eq!((&*wrapper.name, wrapper.version), ("zone", resource.version.to_string()));
    let any = wrapper.resource.expect("has a body");
    assert_eq!(any.type_url, "type.googleapis.com/rollcall.v1.Zone");
    assert_eq!(Zone::decode(any.value).expect("is a Zone").cluster_domain, "cluster.local");
}

#[test]
fn type_urls_read_back_and_are_known_once() {
    for ty in ResourceType::ALL {
        assert_eq!(ResourceType::from_type_url(ty.type_url()), Some(ty));
    }
    assert_eq!(ResourceType::from_type_url("type.googleapis.com/envoy.config.listener.v3.Nothing"), None);
}

#[test]
fn per_type_tables_are_indexed_by_their_own_type() {
    let table = PerType::from_fn(|ty| ty);
    for ty in ResourceType::ALL {
        assert_eq!(table[ty], ty);
    }
}
