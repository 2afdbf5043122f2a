//! A service as Envoy knows it: for each TCP port a Cluster and its ClusterLoadAssignment, both of one name.
//!
//! The rules are those of real clients: locality weights always set, endpoints sorted and without duplicates, IP
//! literals, a panic threshold of zero (never send to the dead), an empty assignment when the last endpoint goes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, HealthStatus, Locality, SocketAddress, address,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, endpoint::AdditionalAddress,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use rollcall_catalog::input::ServiceKind;
use rollcall_catalog::model::{Name, Port, Protocol};
use rollcall_catalog::service::{Member, Service};
use rollcall_xds::resource::{Resource, ResourceType};

/// How long a connection to an endpoint may take: endpoints are near, and others are there to be tried.
const CONNECT_TIMEOUT: Duration = Duration { seconds: 2, nanos: 0 };

/// The Cluster and ClusterLoadAssignment of each TCP port.
pub fn resources(service: &Service) -> impl Iterator<Item = (ResourceType, Resource)> {
    ports(service).flat_map(move |port| {
        let name = cluster_name(service, port);
        let cluster = Resource::new(ResourceType::Cluster, name.as_str(), &cluster(&name));
        let endpoints = Resource::new(ResourceType::Endpoints, name.as_str(), &assignment(&name, service, port));
        [(ResourceType::Cluster, cluster), (ResourceType::Endpoints, endpoints)]
    })
}

/// An alias has no endpoints to send to, and Envoy's clusters speak TCP.
fn ports(service: &Service) -> impl Iterator<Item = &Port> {
    let alias = service.facts.as_ref().is_some_and(|facts| matches!(facts.kind, ServiceKind::ExternalName(_)));
    service.ports.iter().filter(move |port| !alias && port.protocol == Protocol::Tcp)
}

/// `NAME.NAMESPACE:PORT`, by the port's name, or by its number where it has none.
fn cluster_name(service: &Service, port: &Port) -> String {
    let (name, namespace) = (&service.key.name, &service.key.namespace);
    if port.name.is_empty() {
        format!("{name}.{namespace}:{}", port.number)
    } else {
        format!("{name}.{namespace}:{}", port.name)
    }
}

fn cluster(name: &str) -> Cluster {
    let ads = ConfigSourceSpecifier::Ads(AggregatedConfigSource::default());
    let eds_config = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ads),
        ..ConfigSource::default()
    };
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(eds_config), service_name: String::new() }),
        connect_timeout: Some(CONNECT_TIMEOUT),
        common_lb_config: Some(CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: 0.0 }),
            ..CommonLbConfig::default()
        }),
        // Health is Rollcall's to say: an endpoint that it takes out goes at once, whatever the connection pool thinks.
        ignore_health_on_host_removal: true,
        ..Cluster::default()
    }
}

fn assignment(name: &str, service: &Service, port: &Port) -> ClusterLoadAssignment {
    let mut zones: BTreeMap<Option<&Name>, Vec<LbEndpoint>> = BTreeMap::new();
    for member in service.callable() {
        if let Some(endpoint) = lb_endpoint(member, port) {
            zones.entry(member.zone.as_ref()).or_default().push(endpoint);
        }
    }
    let locality = |(zone, lb_endpoints): (Option<&Name>, Vec<LbEndpoint>)| {
        let weight = lb_endpoints
            .iter()
            .map(|endpoint| endpoint.load_balancing_weight.as_ref().map_or(1, |weight| weight.value))
            .sum();
        LocalityLbEndpoints {
            locality: Some(Locality {
                zone: zone.map(|zone| zone.to_string()).unwrap_or_default(),
                ..Locality::default()
            }),
            lb_endpoints,
            load_balancing_weight: Some(number(weight)),
            ..LocalityLbEndpoints::default()
        }
    };
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: zones.into_iter().map(locality).collect(),
        ..ClusterLoadAssignment::default()
    }
}

/// An endpoint at its own number of the service's port; the second address family as an additional address.
fn lb_endpoint(member: &Member, port: &Port) -> Option<LbEndpoint> {
    let own = member.endpoint.ports.iter().find(|own| own.name == port.name && own.protocol == port.protocol)?;
    let mut addresses = member.endpoint.addresses.iter().map(|ip| socket(ip, own.number));
    let endpoint = Endpoint {
        address: addresses.next(),
        hostname: member.endpoint.hostname.as_deref().unwrap_or_default().to_owned(),
        additional_addresses: addresses.map(|address| AdditionalAddress { address: Some(address) }).collect(),
        ..Endpoint::default()
    };
    Some(LbEndpoint {
        health_status: HealthStatus::Healthy.into(),
        load_balancing_weight: Some(number(member.endpoint.weight.into())),
        host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
        ..LbEndpoint::default()
    })
}

fn socket(ip: IpAddr, port: u16) -> Address {
    let socket = SocketAddress {
        address: ip.to_string(),
        port_specifier: Some(PortSpecifier::PortValue(port.into())),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn number(value: u32) -> UInt32Value {
    UInt32Value { value }
}
