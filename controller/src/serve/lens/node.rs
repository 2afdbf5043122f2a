//! What a client says of itself in `node`.

use std::sync::Arc;

use rollcall_xds::proto::discovery::Node;
use rollcall_xds::view::Scope;

/// Metadata: the namespaces that the client wants to see, as a list of names or as one, with commas. Without it all.
pub(super) const NAMESPACES: &str = "rollcall.dev/namespaces";

/// Metadata of an Envoy that asks for clusters on a stream of their own: what it calls this server among its own clusters.
/// Empty when it has an aggregated stream for endpoints.
pub(super) const SERVER: &str = "rollcall.dev/xds-cluster";

/// Metadata: `"false"` when the client spreads its requests over all zones alike.
pub(super) const NEAR_FIRST: &str = "rollcall.dev/near-first";

/// Metadata: `"true"` when the client is to report its loads to this server.
pub(super) const LOAD_REPORTS: &str = "rollcall.dev/load-reports";

/// What an Envoy calls this server if it says nothing.
const SERVER_DEFAULT: &str = "rollcall";

/// Longest name of a region, zone or cluster that is taken from a client, in bytes.
const NAME_BYTES_MAX: usize = 253;

/// Namespaces that a client may choose.
const NAMESPACES_MAX: usize = 1024;

/// What the client wants to see.
pub(super) fn wanted(node: &Node) -> Scope {
    let Some(kind) = value(node, NAMESPACES) else { return Scope::All };
    let mut names: Vec<&str> = match kind {
        prost_types::value::Kind::StringValue(names) => names.split(',').map(str::trim).collect(),
        prost_types::value::Kind::ListValue(list) => {
            let texts = list.values.iter().filter_map(|value| text(value.kind.as_ref()?));
            texts.collect()
        }
        _ => return Scope::All,
    };
    names.retain(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
    names.sort_unstable();
    names.dedup();
    names.truncate(NAMESPACES_MAX);
    Scope::Namespaces(names.into_iter().map(Arc::from).collect())
}

/// The client's region and zone, if it is to be given what is near first.
pub(super) fn locality(node: &Node) -> Option<(Arc<str>, Arc<str>)> {
    let place = node.locality.as_ref().filter(|place| !place.zone.is_empty())?;
    let spreads = says(node, NEAR_FIRST, false);
    let short = place.zone.len() <= NAME_BYTES_MAX && place.region.len() <= NAME_BYTES_MAX;
    (short && !spreads).then(|| (place.region.as_str().into(), place.zone.as_str().into()))
}

/// Whether it wants to report its loads.
pub(super) fn reports(node: &Node) -> bool {
    says(node, LOAD_REPORTS, true)
}

/// Whether it says just that, as a boolean or as a text.
fn says(node: &Node, key: &str, what: bool) -> bool {
    match value(node, key) {
        Some(prost_types::value::Kind::BoolValue(said)) => *said == what,
        Some(kind) => text(kind) == Some(if what { "true" } else { "false" }),
        None => false,
    }
}

/// What an Envoy calls this server; `None` when it says that it needs no such name.
pub(super) fn server(node: &Node) -> Option<&str> {
    let named = value(node, SERVER).and_then(text).unwrap_or(SERVER_DEFAULT);
    Some(named).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
}

fn value<'a>(node: &'a Node, key: &str) -> Option<&'a prost_types::value::Kind> {
    node.metadata.as_ref()?.fields.get(key)?.kind.as_ref()
}

fn text(kind: &prost_types::value::Kind) -> Option<&str> {
    match kind {
        prost_types::value::Kind::StringValue(text) => Some(text),
        _ => None,
    }
}
