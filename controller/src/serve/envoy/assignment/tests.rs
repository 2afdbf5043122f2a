//! Tests: the ClusterLoadAssignment of a port, put together from what each bucket of the service contributes to it.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::HealthStatus;
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint};
use prost::Message as _;
use rollcall_catalog::model::{Conditions, Endpoint, Health};
use rollcall_catalog::policy::{Policy, Warned};

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
        // Maps have no order when others encode them.
        assert_eq!(message.encoded_len(), resource.body().len(), "{count}");
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

/// The figures of docs/decisions/038-one-assignment-for-each-cluster.md.
#[test]
fn what_one_changed_endpoint_of_five_thousand_costs_a_client() {
    let whole = encoded(&machines(5_000, None)).wire.len();
    let service = machines(5_000, None);
    let buckets: Vec<_> = service.endpoints.buckets().cloned().collect();
    let own = |(index, bucket): (usize, &Arc<Bucket>)| {
        crate::serve::rollcall::bucket(&service, index, &bucket.members).wire.len()
    };
    let part = buckets.iter().enumerate().map(own).max().expect("buckets");
    assert!((500_000..700_000).contains(&whole), "Envoy and gRPC: {whole} bytes");
    assert!(part < 16_000, "a client of Rollcall's own types: {part} bytes");
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
    let keys: Vec<_> = metadata.filter_metadata["envoy.lb"].fields.keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
}

/// Machines of which some are pods that are being shut down.
fn ending(service: &Arc<Service>, ends: impl Fn(usize) -> bool) -> Service {
    let mut service = Service::clone(service);
    let mut members: Vec<_> = service.endpoints.iter().cloned().collect();
    for (n, member) in members.iter_mut().enumerate().filter(|(n, _)| ends(*n)) {
        member.region = Some(format!("region-{}", n % 2).into());
        member.conditions = Conditions { ready: false, serving: true, terminating: true };
    }
    service.endpoints = members.into_iter().collect();
    service
}

#[test]
fn what_is_being_shut_down_is_drained_and_has_no_weight() {
    for count in [3, 300] {
        let service = ending(&machines(count, None), |n| n % 3 == 0);
        let resource = encoded(&service);
        let message = decoded(&resource);
        assert_eq!(message.encoded_len(), resource.body().len(), "{count}");
        let mut called = 0;
        for part in &message.endpoints {
            let is_called = |one: &&LbEndpoint| one.health_status == i32::from(HealthStatus::Healthy);
            let weight = u32::try_from(part.lb_endpoints.iter().filter(is_called).count()).expect("few");
            called += weight;
            assert_eq!(part.load_balancing_weight.map_or(0, |weight| weight.value), weight);
            assert_ne!(
                part.load_balancing_weight.map(|weight| weight.value),
                Some(0),
                "gRPC may count a priority of it"
            );
        }
        let all: usize = message.endpoints.iter().map(|part| part.lb_endpoints.len()).sum();
        assert_eq!((all, called as usize), (count, count - count.div_ceil(3)));
    }
}

#[test]
fn a_zone_that_lacks_too_much_says_so_in_a_form_that_is_read_again() {
    let read = |out: usize| {
        let mut service = Service::clone(&machines(300, None));
        let mut members: Vec<_> = service.endpoints.iter().cloned().collect();
        let of_zone = members.iter_mut().filter(|member| member.zone.as_deref() == Some("zone-a"));
        of_zone.take(out).for_each(|member| member.conditions = Conditions::NOT_READY);
        service.endpoints = members.into_iter().collect();
        let resource = encoded(&service);
        assert_eq!(decoded(&resource).encoded_len(), resource.body().len());
        parts::read(resource.body()).into_iter().map(|part| (part.weight, part.missing)).collect::<Vec<_>>()
    };
    assert_eq!(read(28), [(72, 0), (100, 0), (100, 0)], "others there carry it");
    assert_eq!(read(40), [(60, 40), (100, 0), (100, 0)]);
    assert_eq!(read(100), [(100, 0), (100, 0)]);
    let factor = decoded(&encoded(&machines(3, None))).policy.expect("a policy").overprovisioning_factor;
    assert_eq!(factor.map(|factor| factor.value), Some(1_000));
}

#[test]
fn endpoints_in_warning_get_what_the_policy_says() {
    let told = |percent: u8, complaining: usize| {
        let mut service = Service::clone(&machines(4, None));
        service.policy = Arc::new(Policy { warning: Warned { percent }, ..Policy::default() });
        let mut members: Vec<_> = service.endpoints.iter().cloned().collect();
        members.iter_mut().for_each(|member| member.zone = None);
        members.iter_mut().take(complaining).for_each(|member| member.health = Health::Warning);
        service.endpoints = members.into_iter().collect();
        let resource = encoded(&service);
        assert_eq!(decoded(&resource).encoded_len(), resource.body().len());
        let read = parts::read(resource.body());
        let of = |part: parts::Part| (part.locality.sub_zone, part.endpoints.len(), part.weight, part.priority);
        read.into_iter().map(of).collect::<Vec<_>>()
    };
    let part = |sub_zone: &str, count, weight, priority| (sub_zone.to_owned(), count, weight, priority);
    assert_eq!(told(100, 1), [part("", 4, 4, 0)]);
    assert_eq!(told(10, 0), [part("", 4, 4, 0)]);
    assert_eq!(told(10, 1), [part("", 3, 300, 0), part("warning", 1, 10, 0)]);
    assert_eq!(told(0, 1), [part("", 3, 300, 0), part("warning", 1, 1, 1)]);
    assert_eq!(told(0, 4), [part("warning", 4, 4, 0)], "nobody else is there");
}

#[test]
fn an_address_is_whose_it_is_now_and_not_whose_it_was() {
    let twins = machines(1, None);
    let mut service = ending(&twins, |_| true);
    let mut now = twins.endpoints[0].clone();
    now.id.0 += 1;
    service.endpoints = [service.endpoints[0].clone(), now].into();
    let message = decoded(&encoded(&service));
    let all: Vec<_> = message.endpoints.iter().flat_map(|part| &part.lb_endpoints).collect();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].health_status, i32::from(HealthStatus::Healthy));
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
