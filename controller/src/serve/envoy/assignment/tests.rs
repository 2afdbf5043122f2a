//! Tests: the ClusterLoadAssignment of a port, put together from what each bucket of the service contributes to it.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use prost::Message as _;
use rollcall_catalog::model::Endpoint;

use super::*;
use crate::testing::*;

const NAME: &str = "payments.shop:http";

/// Encodes from nothing.
fn encoded(service: &Service) -> Resource {
    let buckets: Vec<_> = service.endpoints.buckets().cloned().collect();
    assignment().encode(NAME, service, &buckets, &vec![true; buckets.len()])
}

fn assignment() -> Assignment {
    Assignment::new(&ports(&[("http", 80)])[0])
}

fn decoded(resource: &Resource) -> ClusterLoadAssignment {
    ClusterLoadAssignment::decode(&*resource.body()).expect("an assignment")
}

/// `ZONE=ADDRESS:PORT,…` of each endpoint, in order.
fn told(resource: &Resource) -> Vec<String> {
    let mut told = Vec::new();
    for locality in decoded(resource).endpoints {
        let zone = locality.locality.expect("a locality").zone;
        for endpoint in locality.lb_endpoints {
            let Some(HostIdentifier::Endpoint(host)) = endpoint.host_identifier else { panic!("an endpoint") };
            let more = host.additional_addresses.into_iter().map(|more| more.address);
            let sockets = [host.address].into_iter().chain(more).map(|address| {
                let Some(Kind::SocketAddress(socket)) = address.expect("an address").address else {
                    panic!("a socket")
                };
                let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else { panic!("a port") };
                format!("{}:{port}", socket.address)
            });
            told.push(format!("{zone}={}", sockets.collect::<Vec<_>>().join(",")));
        }
    }
    told
}

fn machines(count: usize, changed: Option<usize>) -> Arc<Service> {
    let machine = |n: usize| {
        let mut machine = Endpoint::clone(&vm(&format!("vm-{n}"), &format!("198.51.{}.{}", n / 250, n % 250)));
        machine.zone = Some(["zone-a", "zone-b", "zone-c"][n % 3].into());
        machine.weight = if changed == Some(n) { 7 } else { 1 };
        Arc::new(machine)
    };
    merged([cluster_ip("payments"), registered("payments", (0..count).map(machine).collect())])
}

#[test]
fn what_is_put_together_is_what_one_message_encodes_to() {
    for count in [0, 1, 3, 64, 65, 500] {
        let service = machines(count, None);
        let resource = encoded(&service);
        let message = decoded(&resource);
        assert_eq!(message.encode_to_vec(), *resource.body(), "{count}");
        assert_eq!(message.endpoints.iter().map(|locality| locality.lb_endpoints.len()).sum::<usize>(), count);
        for locality in &message.endpoints {
            let weight = locality.load_balancing_weight.as_ref().map(|weight| weight.value);
            assert_eq!(weight, u32::try_from(locality.lb_endpoints.len()).ok());
        }
    }
}

#[test]
fn one_changed_bucket_gives_what_encoding_all_gives() {
    let (before, after) = (machines(500, None), machines(500, Some(123)));
    let buckets: Vec<_> = before.endpoints.buckets().cloned().collect();
    let mut assignment = assignment();
    assignment.encode(NAME, &before, &buckets, &vec![true; buckets.len()]);
    let buckets: Vec<_> = after.endpoints.buckets().cloned().collect();
    let changed: Vec<_> =
        buckets.iter().map(|bucket| bucket.members.iter().any(|member| member.endpoint.weight == 7)).collect();
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
    let partly = assignment.encode(NAME, &after, &buckets, &changed);
    assert_eq!(partly, encoded(&after));
    let buckets: Vec<_> = before.endpoints.buckets().cloned().collect();
    assert_eq!(assignment.encode(NAME, &before, &buckets, &changed), encoded(&before), "and back");
}

#[test]
fn an_address_and_port_stands_in_it_once() {
    let service = merged([cluster_ip("payments"), registered("payments", vec![vm("vm-0", "198.51.100.1")])]);
    let mut service = Service::clone(&service);
    let mut twin = service.endpoints[0].clone();
    twin.id.0 += 1;
    service.endpoints = [service.endpoints[0].clone(), twin].into();
    assert_eq!(told(&encoded(&service)), ["zone-a=198.51.100.1:8080"]);
}

#[test]
fn the_second_family_is_an_additional_address() {
    let machines = vec![vm("both", "198.51.100.1 2001:db8::1")];
    let service = merged([cluster_ip("payments"), registered("payments", machines)]);
    assert_eq!(told(&encoded(&service)), ["zone-a=198.51.100.1:8080,2001:db8::1:8080"]);
}

#[test]
fn what_an_owner_says_reaches_envoy() {
    let mut machine = Endpoint::clone(&vm("vm-0", "198.51.100.1"));
    machine.attributes = Arc::new(rollcall_catalog::model::Attributes {
        tags: vec!["canary".into()],
        metadata: [("rack".into(), "7".into())].into(),
        machine: None,
    });
    let service = merged([cluster_ip("payments"), registered("payments", vec![Arc::new(machine)])]);
    let message = decoded(&encoded(&service));
    let metadata = message.endpoints[0].lb_endpoints[0].metadata.clone().expect("metadata");
    let keys: Vec<_> = metadata.filter_metadata["dev.rollcall"].fields.keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
}

#[test]
fn the_protocol_is_what_all_that_declare_one_declare() {
    let spoken = |spoken: &[Option<&str>]| {
        let machine = |(n, app_protocol): (usize, &Option<&str>)| {
            let mut machine = Endpoint::clone(&vm(&format!("vm-{n}"), &format!("198.51.100.{n}")));
            let mut port = machine.ports[0].clone();
            port.app_protocol = app_protocol.map(Into::into);
            machine.ports = [port].into();
            Arc::new(machine)
        };
        let service = merged([registered("payments", spoken.iter().enumerate().map(machine).collect())]);
        let buckets: Vec<_> = service.endpoints.buckets().cloned().collect();
        let mut assignment = assignment();
        assignment.encode(NAME, &service, &buckets, &vec![true; buckets.len()]);
        assignment.spoken()
    };
    assert_eq!(spoken(&[None, Some("grpc")]).as_deref(), Some("grpc"));
    assert_eq!(spoken(&[Some("http"), Some("grpc")]), None);
    assert_eq!(spoken(&[None]), None);
}
