//! The Cluster of a port.

use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::common_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig,
};
use envoy_types::pb::envoy::config::cluster::v3::cluster::lb_subset_config::lb_subset_selector::LbSubsetSelectorFallbackPolicy;
use envoy_types::pb::envoy::config::cluster::v3::cluster::lb_subset_config::{
    LbSubsetFallbackPolicy, LbSubsetSelector,
};
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, LbSubsetConfig,
};
use envoy_types::pb::envoy::config::cluster::v3::{CircuitBreakers, Cluster};
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, ConfigSource, Http2ProtocolOptions, Metadata, RoutingPriority, SelfConfigSource,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::{Any, Duration, UInt32Value};
use prost::Message as _;
use rollcall_catalog::model::Name;
use rollcall_xds::resource::{Resource, ResourceType};

use super::metadata;

/// How long a connection to an endpoint may take: endpoints are near, and others are there to be tried.
const CONNECT_TIMEOUT: Duration = Duration { seconds: 2, nanos: 0 };

/// Application protocols that are HTTP/2 without TLS by prior knowledge: Kubernetes' own name (KEP-3726), and those that
/// meshes have long read this way. With any other, and with none, Envoy speaks HTTP/1.1.
const HTTP2: [&str; 6] = ["kubernetes.io/h2c", "h2c", "http2", "http/2", "grpc", "grpc-web"];

/// Where Envoy looks for the protocol of a cluster, and the type that it expects there.
const PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The Cluster of that name, whose endpoints speak `app_protocol` and may be chosen by these keys of their metadata.
///
/// What would take endpoints out, or refuse calls, beside Rollcall's word is off: there is no outlier detection, and the
/// thresholds of circuit breakers, which are 1,024 where nobody says otherwise, are as high as they go.
pub fn cluster(name: &str, app_protocol: Option<&str>, keys: &[Name]) -> Resource {
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
            // Spill-over to further zones is told by weights of localities.
            locality_config_specifier: Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(
                LocalityWeightedLbConfig {},
            )),
            ..CommonLbConfig::default()
        }),
        // Health is Rollcall's to say: an endpoint that it takes out goes at once, whatever the connection pool thinks.
        ignore_health_on_host_removal: true,
        // A map, which has no fixed order of encoding; but one entry has.
        typed_extension_protocol_options: http2.then(http2_only).into_iter().collect(),
        circuit_breakers: Some(CircuitBreakers {
            thresholds: [RoutingPriority::Default, RoutingPriority::High].map(unlimited).into(),
            ..CircuitBreakers::default()
        }),
        lb_subset_config: (!keys.is_empty()).then(|| subsets(keys)),
        metadata: app_protocol.and_then(hint),
        ..Cluster::default()
    };
    Resource::new(ResourceType::Cluster, name, &message)
}

/// The same cluster under another name, with the endpoints of that name, which come from elsewhere if `source` says so; with
/// `reports` for who reports its loads to this server.
pub fn from_elsewhere(cluster: &Resource, name: &str, source: Option<ConfigSource>, reports: bool) -> Option<Resource> {
    let mut message = Cluster::decode(cluster.body()).ok()?;
    let endpoints = rollcall_xds::name::endpoints_of(name);
    if let Some(eds) = &mut message.eds_cluster_config {
        // Without a name of their own, they bear the cluster's.
        eds.service_name = if endpoints == name { String::new() } else { endpoints.into_owned() };
        eds.eds_config = source.or_else(|| eds.eds_config.take());
    }
    message.lrs_server = reports.then(|| ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Self_(SelfConfigSource::default())),
        ..ConfigSource::default()
    });
    message.name = name.to_owned();
    Some(Resource::new(ResourceType::Cluster, name, &message))
}

fn unlimited(priority: RoutingPriority) -> Thresholds {
    let most = Some(UInt32Value { value: u32::MAX });
    Thresholds {
        priority: priority.into(),
        max_connections: most,
        max_pending_requests: most,
        max_requests: most,
        max_retries: most,
        ..Thresholds::default()
    }
}

/// Who asks for none gets any endpoint, and who asks for some gets those or none.
fn subsets(keys: &[Name]) -> LbSubsetConfig {
    let selector = |key: &Name| LbSubsetSelector {
        keys: vec![key.to_string()],
        fallback_policy: LbSubsetSelectorFallbackPolicy::NoFallback.into(),
        ..LbSubsetSelector::default()
    };
    LbSubsetConfig {
        fallback_policy: LbSubsetFallbackPolicy::AnyEndpoint.into(),
        subset_selectors: keys.iter().map(selector).collect(),
        locality_weight_aware: true,
        scale_locality_weight: true,
        list_as_any: true, // tags are a list
        ..LbSubsetConfig::default()
    }
}

/// What endpoints speak, for whoever has to know: that TLS is to be spoken cannot be told so that no client refuses it.
fn hint(app_protocol: &str) -> Option<Metadata> {
    let ours = metadata::Metadata::of_texts([("app_protocol", app_protocol.to_owned())]);
    Metadata::decode(&*ours.encode_to_vec()).ok()
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
        let resource = cluster("payments.shop:http", app_protocol, &[]);
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

    #[test]
    fn what_endpoints_speak_and_may_be_chosen_by_is_told() {
        let read = |resource: &Resource| Cluster::decode(&*resource.body()).expect("a Cluster");
        let plain = read(&cluster("payments.shop:http", None, &[]));
        assert!(plain.metadata.is_none() && plain.lb_subset_config.is_none() && plain.outlier_detection.is_none());
        let limits = plain.circuit_breakers.expect("Envoy and gRPC have 1,024 by themselves").thresholds;
        assert_eq!(limits.iter().filter(|of| of.max_requests == Some(UInt32Value { value: u32::MAX })).count(), 2);
        let tagged = read(&cluster("payments.shop:http", Some("https"), &["tags".into(), "version".into()]));
        assert!(tagged.metadata.expect("a hint").filter_metadata["rollcall.dev"].fields.contains_key("app_protocol"));
        let subsets = tagged.lb_subset_config.expect("subsets");
        assert_eq!((subsets.subset_selectors.len(), subsets.list_as_any), (2, true));
    }
}
