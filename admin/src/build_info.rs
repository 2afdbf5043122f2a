//! `rollcall_build_info`: which program and version runs here.

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Registers the metric. Give `env!("CARGO_PKG_NAME")` and `env!("CARGO_PKG_VERSION")`.
pub fn register(registry: &mut Registry, component: &'static str, version: &'static str) {
    let info = Info::new(vec![("component", component), ("version", version)]);
    registry.register("rollcall_build", "Which program and version runs here", info);
}
