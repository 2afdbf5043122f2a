//! What a client says of itself in `node`.

use std::sync::Arc;
use std::time::Duration;

use rollcall_admin::LogRate;
use rollcall_xds::proto::discovery::Node;
use rollcall_xds::view::{Choice, Scope};

/// Metadata: the namespaces that the client wants to see, as a list of names or as one, with commas. Without it all.
pub(super) const NAMESPACES: &str = "rollcall.dev/namespaces";

/// Metadata: a selector of labels. The client wants clusters of those Services alone that it fits.
pub(super) const SERVICES: &str = "rollcall.dev/services";

/// Metadata of an Envoy that asks for clusters on a stream of their own: what it calls this server among its own clusters.
/// Empty when it has an aggregated stream for endpoints.
pub(super) const SERVER: &str = "rollcall.dev/xds-cluster";

/// Metadata: `"false"` when the client spreads its requests over all zones alike.
pub(super) const NEAR_FIRST: &str = "rollcall.dev/near-first";

/// Metadata: `"true"` when the client is to report its loads to this server.
pub(super) const LOAD_REPORTS: &str = "rollcall.dev/load-reports";

/// Lines about clients that say what cannot be understood.
static ODD: LogRate = LogRate::new(5, Duration::from_secs(10));

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

/// Which clusters the client wants, if it chooses. One that cannot be understood gets none, and not all.
pub(super) fn choice(node: &Node) -> Option<Arc<Choice>> {
    let text = text(value(node, SERVICES)?).ok_or_else(|| "it is no text".to_owned());
    let choice = text.and_then(Choice::read).unwrap_or_else(|why| {
        if let Some(unsaid) = ODD.permit() {
            tracing::warn!(node = ?node.id.get(..64).unwrap_or(&node.id), why, unsaid, "{SERVICES} is no selector; the client gets no clusters");
        }
        Choice::nothing()
    });
    Some(Arc::new(choice))
}

/// The client's region and zone, either of which may be missing, if it is to be given what is near first.
pub(super) fn locality(node: &Node) -> Option<(Arc<str>, Arc<str>)> {
    let place = node.locality.as_ref().filter(|place| !place.zone.is_empty() || !place.region.is_empty())?;
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
