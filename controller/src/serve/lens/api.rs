//! The Listener and the RouteConfiguration of a gRPC target: what proxyless clients need before they ask for its cluster.
//!
//! The rules are those of gRFC A27 and A28, and of clients as they are: an API listener and no address, filters that end in
//! the router, and a virtual host for every authority, since a target may be spelled in many ways.

use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource};
use envoy_types::pb::envoy::config::listener::v3::{ApiListener, Listener};
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route,
};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds,
};
use envoy_types::pb::google::protobuf::{Any, Duration};
use prost::{Message, Name};
use rollcall_xds::name::Xdstp;
use rollcall_xds::resource::{Resource, ResourceType};

/// The Listener of a target, whose routes come by RDS under the same name.
pub(super) fn listener(name: &str) -> Resource {
    let routes = Xdstp::read(name).map_or_else(|| name.to_owned(), |name| name.of(ResourceType::Route));
    let manager = HttpConnectionManager {
        stat_prefix: "rollcall".to_owned(),
        http_filters: vec![HttpFilter {
            name: "envoy.filters.http.router".to_owned(),
            config_type: Some(ConfigType::TypedConfig(any(&Router::default()))),
            ..HttpFilter::default()
        }],
        route_specifier: Some(RouteSpecifier::Rds(Rds { config_source: Some(ads()), route_config_name: routes })),
        ..HttpConnectionManager::default()
    };
    let message = Listener {
        name: name.to_owned(),
        api_listener: Some(ApiListener { api_listener: Some(any(&manager)) }),
        ..Listener::default()
    };
    Resource::new(ResourceType::Listener, name, &message)
}

/// The RouteConfiguration of that name: all requests go to one cluster. How long they may take is the caller's to say.
pub(super) fn routes(name: &str, cluster: String) -> Resource {
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster)),
        timeout: Some(Duration::default()),
        ..RouteAction::default()
    };
    let everything = RouteMatch { path_specifier: Some(PathSpecifier::Prefix(String::new())), ..RouteMatch::default() };
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![Route {
            r#match: Some(everything),
            action: Some(route::Action::Route(action)),
            ..Route::default()
        }],
        ..VirtualHost::default()
    };
    let message = RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], ..Default::default() };
    Resource::new(ResourceType::Route, name, &message)
}

/// "On the stream that this came by."
fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
        ..ConfigSource::default()
    }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}
