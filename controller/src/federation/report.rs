//! How each link is, for who tells it: the API, and the metrics.

use rollcall_catalog::model::Name;
use rollcall_crds::{ClusterLinkStatus, LinkCounts, LinkExported, LinkState};

use super::heard::Traffic;
use super::table::Table;

/// Of all links. Clones are the same.
pub type Reports = Table<Name, Report>;

/// One link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// `metadata.generation` of the object that it follows.
    pub generation: Option<i64>,
    /// What its status says in the API.
    pub stands: Option<ClusterLinkStatus>,
    /// How it is.
    pub state: LinkState,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// When the other cluster was heard last, in milliseconds since the epoch; `None` before the first time.
    pub heard_ms: Option<i64>,
    /// The address of the stream.
    pub address: String,
    /// How many namespaces are, unless all.
    pub namespaces: Option<u32>,
    /// What is taken in.
    pub imported: LinkCounts,
    /// What is not.
    pub held_back: LinkCounts,
    /// What was taken out.
    pub expired: LinkCounts,
    /// The version of all that came and is remembered.
    pub version: String,
    /// Bytes of content that came in a second, of late.
    pub bytes_per_second: u32,
    /// What it is told, by streams to this replica.
    pub exported: Option<LinkExported>,
    /// The uid of the cluster that was heard.
    pub uid: Option<Name>,
    /// How much came.
    pub traffic: Traffic,
    /// What is wrong, in plain words.
    pub problems: Vec<String>,
}
