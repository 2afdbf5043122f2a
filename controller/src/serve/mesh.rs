//! A service as meshes know those outside of them: a ServiceEntry, read by MCP-over-xDS.
//!
//! Only services without a Kubernetes Service have one: of the others a mesh knows by Kubernetes itself, with the endpoints that
//! Rollcall writes into EndpointSlices, and two words about one name would be a conflict there.

use prost::Message as _;
use rollcall_catalog::model::{Name, Port, Protocol};
use rollcall_catalog::service::{Member, Service};
use rollcall_xds::proto::istio::mcp::v1alpha1 as mcp;
use rollcall_xds::proto::istio::networking::v1alpha3 as istio;
use rollcall_xds::resource::{Resource, ResourceType, Version};

use super::envoy::Standing;
use crate::kubernetes::syntax::is_name;

/// What is in the body.
const BODY: &str = "type.googleapis.com/istio.networking.v1alpha3.ServiceEntry";

/// The ServiceEntry resource of a service in a cluster of that domain, if it is to have one.
pub fn service_entry(service: &Service, cluster_domain: &str) -> Option<Resource> {
    if service.facts.is_some() {
        return None;
    }
    let ports: Vec<_> = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp && port.number > 0).collect();
    let key = &service.key;
    let entry = istio::ServiceEntry {
        hosts: vec![format!("{}.{}.svc.{cluster_domain}", key.name, key.namespace)],
        ports: ports.iter().map(|port| service_port(port)).collect(),
        location: istio::service_entry::Location::MeshExternal.into(),
        resolution: istio::service_entry::Resolution::Static.into(),
        endpoints: service.endpoints.iter().filter_map(|member| workload(member, &ports)).collect(),
    };
    let body = entry.encode_to_vec();
    let metadata = mcp::Metadata {
        name: key.to_string(),
        create_time: Some(mcp::Timestamp::default()),
        version: Version::of(&body).to_string(),
    };
    let body = mcp::Body { type_url: BODY.to_owned(), value: body.into() };
    let message = mcp::Resource { metadata: Some(metadata), body: Some(body) };
    Some(Resource::new(ResourceType::ServiceEntry, key.to_string(), &message))
}

fn service_port(port: &Port) -> istio::ServicePort {
    istio::ServicePort { number: port.number.into(), protocol: spoken(port).to_owned(), name: named(port) }
}

/// Meshes want names.
fn named(port: &Port) -> String {
    if port.name.is_empty() { format!("tcp-{}", port.number) } else { port.name.to_string() }
}

/// The protocol in a mesh's words.
fn spoken(port: &Port) -> &'static str {
    let declared = port.app_protocol.as_deref().unwrap_or_default().to_ascii_lowercase();
    match declared.as_str() {
        "http" | "kubernetes.io/ws" => "HTTP",
        "https" | "kubernetes.io/wss" => "HTTPS",
        "grpc" => "GRPC",
        "http2" | "http/2" | "h2c" | "kubernetes.io/h2c" => "HTTP2",
        "tls" => "TLS",
        _ => "TCP",
    }
}

/// `None` where it is not to be called.
fn workload(member: &Member, ports: &[&Port]) -> Option<istio::WorkloadEntry> {
    if Standing::of(member) != Some(Standing::Called) {
        return None;
    }
    let endpoint = &member.endpoint;
    let number = |port: &&Port| {
        let own = endpoint.ports.iter().find(|own| own.name == port.name && own.protocol == port.protocol)?;
        Some(istio::NamedPort { key: named(port), value: own.number.into() })
    };
    let mut ports: Vec<_> = ports.iter().filter_map(number).collect();
    ports.sort_by(|a, b| a.key.cmp(&b.key));
    if ports.is_empty() {
        return None;
    }
    // Other metadata a mesh could not choose by.
    let metadata = endpoint.attributes.metadata.iter().filter(|(key, value)| is_name(key) && is_name(value));
    Some(istio::WorkloadEntry {
        address: endpoint.addresses.iter().next()?.to_string(),
        ports,
        labels: metadata.map(|(key, value)| istio::Label { key: key.to_string(), value: value.to_string() }).collect(),
        locality: locality(member),
        weight: u32::from(endpoint.weight).max(1),
    })
}

fn locality(member: &Member) -> String {
    let text = |name: &Option<Name>| name.as_deref().unwrap_or_default().to_owned();
    match (text(&member.region), text(&member.zone)) {
        (region, zone) if zone.is_empty() => region,
        // A mesh reads the region first: a zone alone would be taken for one.
        (region, zone) if region.is_empty() => format!("{zone}/{zone}"),
        (region, zone) => format!("{region}/{zone}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcall_catalog::model::{Attributes, Conditions, Endpoint};

    use super::*;
    use crate::testing::*;

    fn entry(service: &Service) -> (mcp::Resource, istio::ServiceEntry) {
        let resource = service_entry(service, "cluster.local").expect("a mesh does not know it");
        let wrapped = mcp::Resource::decode(resource.body()).expect("a Resource");
        let body = wrapped.body.clone().expect("a body");
        assert_eq!(body.type_url, BODY);
        (wrapped, istio::ServiceEntry::decode(body.value).expect("a ServiceEntry"))
    }

    #[test]
    fn a_service_that_kubernetes_does_not_know_is_told_with_who_may_be_called() {
        let mut machine = Endpoint::clone(&vm("vm-1", "198.51.100.1"));
        let metadata = [("version".into(), "v2".into()), ("rack".into(), "row 7".into())].into();
        machine.attributes = Attributes { metadata, ..Attributes::default() }.into();
        let service = merged([registered("payments", vec![Arc::new(machine), vm("vm-2", "198.51.100.2")])]);
        let mut service = Service::clone(&service);
        let mut members: Vec<_> = service.endpoints.iter().cloned().collect();
        let out = |member: &&mut Member| member.endpoint.addresses.iter().any(|ip| ip.to_string() == "198.51.100.2");
        members.iter_mut().filter(out).for_each(|member| member.conditions = Conditions::NOT_READY);
        service.endpoints = members.into_iter().collect();
        let (wrapped, entry) = entry(&service);
        let metadata = wrapped.metadata.expect("metadata");
        assert_eq!((&*metadata.name, metadata.create_time.is_some()), ("shop/payments", true));
        assert_eq!(entry.hosts, ["payments.shop.svc.cluster.local"]);
        assert_eq!((entry.location, entry.resolution), (0, 1));
        assert_eq!(entry.endpoints.len(), 1, "{entry:?}");
        let one = &entry.endpoints[0];
        assert_eq!((&*one.address, &*one.ports[0].key, one.ports[0].value), ("198.51.100.1", "http", 8080));
        assert_eq!(one.labels.iter().map(|label| &*label.key).collect::<Vec<_>>(), ["version"], "no label has a space");
        assert_eq!(one.locality, "zone-a/zone-a");
    }

    #[test]
    fn of_a_kubernetes_service_meshes_know_by_themselves() {
        let service = merged([cluster_ip("payments"), registered("payments", vec![vm("vm-1", "198.51.100.1")])]);
        assert_eq!(service_entry(&service, "cluster.local"), None);
    }

    #[test]
    fn the_bytes_are_those_of_the_published_messages() {
        // service_entry.proto and workload_entry.proto of istio.io/api: numbers of fields, and maps as their entries.
        let port = istio::ServicePort { number: 80, protocol: "TCP".into(), name: "a".into() };
        let workload = istio::WorkloadEntry {
            address: "b".into(),
            ports: vec![istio::NamedPort { key: "a".into(), value: 81 }],
            labels: vec![istio::Label { key: "c".into(), value: "d".into() }],
            locality: "e".into(),
            weight: 2,
        };
        let entry = istio::ServiceEntry {
            hosts: vec!["h".into()],
            ports: vec![port],
            location: 0,
            resolution: 1,
            endpoints: vec![workload],
        };
        let expected = b"\x0a\x01h\x1a\x0a\x08\x50\x12\x03TCP\x1a\x01a\x28\x01\x32\x17\x0a\x01b\x12\x05\x0a\x01a\x10\x51\x1a\x06\x0a\x01c\x12\x01d\x2a\x01e\x30\x02";
        assert_eq!(entry.encode_to_vec(), expected);
    }
}
