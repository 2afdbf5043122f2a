//! The Cluster of a port.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, ConfigSource, Http2ProtocolOptions,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::{Any, Duration};
use prost::Message as _;
use rollcall_xds::resource::{Resource, ResourceType};

/// How long a connection to an endpoint may take: endpoints are near, and others are there to be tried.
const CONNECT_TIMEOUT: Duration = Duration { seconds: 2, nanos: 0 };

/// Application protocols that are HTTP/2 without TLS by prior knowledge: Kubernetes' own name (KEP-3726), and those that
/// meshes have long read this way. With any other, and with none, Envoy speaks HTTP/1.1.
const HTTP2: [&str; 6] = ["kubernetes.io/h2c", "h2c", "http2", "http/2", "grpc", "grpc-web"];

/// Where Envoy looks for the protocol of a cluster, and the type that it expects there.
const PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The Cluster of that name, whose endpoints speak `app_protocol`.
pub fn cluster(name: &str, app_protocol: Option<&str>) -> Resource {
    let ads = ConfigSourceSpecifier::Ads(AggregatedConfigSource::default());
    let eds_config = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ads),
        ..ConfigSource::default()
    };
    let http2 = app_protocol.is_some_and(|spoken| HTTP2.iter().any(|known| known.eq_ignore_ascii_case(spoken)));
    let message = Cluster {
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
        // A map, which has no fixed order of encoding; but one entry has.
        typed_extension_protocol_options: http2.then(http2_only).into_iter().collect(),
        ..Cluster::default()
    };
    Resource::new(ResourceType::Cluster, name, &message)
}

/// The same cluster under another name, with the endpoints of that name, which come from elsewhere if `source` says so.
pub fn from_elsewhere(cluster: &Resource, name: &str, source: Option<ConfigSource>) -> Option<Resource> {
    let mut message = Cluster::decode(cluster.body()).ok()?;
    let endpoints = rollcall_xds::name::endpoints_of(name);
    if let Some(eds) = &mut message.eds_cluster_config {
        // Without a name of their own, they bear the cluster's.
        eds.service_name = if endpoints == name { String::new() } else { endpoints.into_owned() };
        eds.eds_config = source.or_else(|| eds.eds_config.take());
    }
    message.name = name.to_owned();
    Some(Resource::new(ResourceType::Cluster, name, &message))
}

fn http2_only() -> (String, Any) {
    let protocol = ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default());
    let explicit = ExplicitHttpConfig { protocol_config: Some(protocol) };
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..HttpProtocolOptions::default()
    };
    let type_url = format!("type.googleapis.com/{PROTOCOL_OPTIONS}");
    (PROTOCOL_OPTIONS.to_owned(), Any { type_url, value: options.encode_to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Envoy is told to speak; the bytes are those of `explicit_http_config: {http2_protocol_options: {}}`.
    fn options(app_protocol: Option<&str>) -> Option<Vec<u8>> {
        let resource = cluster("payments.shop:http", app_protocol);
        let message = Cluster::decode(&*resource.body()).expect("a Cluster");
        message.typed_extension_protocol_options.get(PROTOCOL_OPTIONS).map(|any| any.value.clone())
    }

    #[test]
    fn http2_by_prior_knowledge_is_told_and_nothing_else() {
        for spoken in ["kubernetes.io/h2c", "grpc", "http2", "GRPC", "h2c", "HTTP/2"] {
            assert_eq!(options(Some(spoken)).as_deref(), Some(&[0x1a, 2, 0x12, 0][..]), "{spoken}");
        }
        for spoken in [None, Some("http"), Some("https"), Some("kubernetes.io/ws"), Some("example.com/grpc")] {
            assert_eq!(options(spoken), None, "{spoken:?}");
        }
    }
}
