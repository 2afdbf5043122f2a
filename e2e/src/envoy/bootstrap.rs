//! Envoy's bootstrap: how it asks Rollcall, an admin listener, and an HTTP listener that routes by path.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Retries, Route, Streams, Transfer, Variant};

/// The cluster through which Envoy reaches the catalogs.
const CATALOG: &str = "rollcall";

pub(super) fn bootstrap(
    variant: Variant,
    node: &Value,
    catalogs: &[SocketAddr],
    routes: &[Route],
    admin: SocketAddr,
    listener: SocketAddr,
) -> Value {
    let mut node = node.clone();
    node["cluster"] = json!("rollcall-e2e");
    let source = catalog_source(variant.protocol);
    let dynamic = match variant.streams {
        Streams::Aggregated => {
            json!({"ads_config": source, "cds_config": {"ads": {}, "resource_api_version": "V3"}})
        }
        // Where the endpoints are to be asked for, each cluster says by itself.
        Streams::Single => json!({"cds_config": {"api_config_source": source, "resource_api_version": "V3"}}),
    };
    // Rollcall asks for reports where the metadata says so, and Envoy makes them where it is told to whom.
    let reports = node["metadata"]["rollcall.dev/load-reports"] == "true";
    let mut bootstrap = json!({
        "node": node,
        "admin": {"address": socket(admin)},
        "dynamic_resources": dynamic,
        "static_resources": {"clusters": [catalog_cluster(catalogs)], "listeners": [http_listener(listener, routes, variant.retries)]},
    });
    if reports {
        bootstrap["cluster_manager"] = json!({"load_stats_config": catalog_source(Transfer::StateOfTheWorld)});
    }
    bootstrap
}

fn catalog_source(protocol: Transfer) -> Value {
    let api_type = match protocol {
        Transfer::Delta => "DELTA_GRPC",
        Transfer::StateOfTheWorld => "GRPC",
    };
    json!({
        "api_type": api_type,
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": CATALOG}}],
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

fn catalog_cluster(catalogs: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> =
        catalogs.iter().map(|catalog| json!({"endpoint": {"address": socket(*catalog)}})).collect();
    json!({
        "name": CATALOG,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                // Without keepalive a frozen controller is noticed after minutes.
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "2s", "timeout": "2s"}},
                },
            },
        },
        "load_assignment": {"cluster_name": CATALOG, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

fn http_listener(listener: SocketAddr, routes: &[Route], retries: Retries) -> Value {
    let route = |route: &Route| {
        let mut action = json!({"cluster": route.cluster, "prefix_rewrite": "/", "timeout": "60s"});
        if retries == Retries::Many {
            action["retry_policy"] = json!({
                "retry_on": "connect-failure,refused-stream,reset,gateway-error",
                "num_retries": 40,
                "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"},
            });
        }
        json!({"match": {"prefix": route.prefix}, "route": action})
    };
    let routes: Vec<Value> = routes.iter().map(route).collect();
    json!({
        "name": "http",
        "address": socket(listener),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "e2e",
                "route_config": {
                    "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
                    // The clusters come later, by CDS.
                    "validate_clusters": false,
                },
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
            },
        }]}],
    })
}
