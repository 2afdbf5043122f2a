//! The objects that users meet: `rollcall.dev/v1alpha1`.
//!
//! | kind | who writes it | module |
//! | --- | --- | --- |
//! | [`ServiceRegistration`] | users: spec; Rollcall: status | [`registration`], [`check`], [`heartbeat`], [`status`] |
//! | [`DiscoveryPolicy`] | users: spec; Rollcall: status | [`policy`] |
//! | [`CatalogEntry`] | Rollcall | [`catalog_entry`] |
//! | [`ClusterLink`] | users: spec; Rollcall: status | [`link`], [`namespace_selector`], [`link_status`] |
//! | [`ServiceExport`] (of the Multi-Cluster Services API) | users: spec; Rollcall: status | [`service_export`] |
//! | [`ServiceImport`] (of the same) | Rollcall | [`service_import`] |
//! | [`ClusterProperty`] (of the About API) | anybody | [`cluster_property`] |
//! | [`ClusterProfile`] (of the Cluster Inventory API) | others, who bring its definition | [`cluster_profile`] |
//!
//! The doc comments of the types are what `kubectl explain` shows. The YAML in `manifests/crds` is generated from here
//! (`cargo xtask generate`, a test fails on drift), CEL rules included, so that the API server refuses a bad object with
//! a sentence that says what to do.
//!
//! # Values that this version does not know
//! An object may come from a newer Rollcall: during an upgrade, or after going back. One unknown word must not make it
//! undecodable, since that would drop all its endpoints (linkerd2#14741). So:
//! - *What users write* is closed in the schema, where a typo is refused at once, and open in Rust: an unknown word reads
//!   as a variant that says so ([`Protocol::Unsupported`]), an unknown kind of check as [`CheckSpec::probe`] returning
//!   `None`. That one port or check is left out and named in a condition; the others go on.
//! - *What Rollcall writes* is open in the schema as well, so that a controller can write a word that the installed CRD
//!   is too old for: Helm does not upgrade CRDs. It reads as [`Health::Unknown`], [`OriginKind::Other`] or
//!   [`ServiceKind::Other`].

// KubeSchema derives the schema from copies of the types inside a function, `pub` and all.
#![allow(unreachable_pub)]
// Printer columns repeat their attributes by nature.
#![allow(clippy::duplicated_attributes)]

pub mod catalog_entry;
pub mod check;
pub mod cluster_profile;
pub mod cluster_property;
pub mod conditions;
pub mod duration;
pub mod health;
pub mod heartbeat;
pub mod in_force;
pub mod link;
pub mod link_status;
mod mcs;
pub mod namespace_selector;
pub mod pod_checks;
pub mod policy;
pub mod policy_status;
pub mod registration;
mod schema;
pub mod service_export;
pub mod service_import;
pub mod status;
pub mod time_to_evict;

pub use catalog_entry::{
    CatalogEndpoint, CatalogEntry, CatalogEntryContent, Conflict, Counts, OriginKind, OriginSummary, ServiceKind,
};
pub use check::alias::AliasCheck;
pub use check::http::{HttpCheck, HttpHeader};
pub use check::http2::{GrpcCheck, Http2Check};
pub use check::port_name::PortName;
pub use check::tls::{TlsCheck, TlsClient};
pub use check::transport::{ExchangeSpec, TcpCheck, UdpCheck};
pub use check::{CheckKind, CheckSpec, InitialStatus};
pub use cluster_profile::{ClusterProfile, ClusterProfileStatus};
pub use cluster_property::ClusterProperty;
pub use duration::{ApiDuration, ParseDurationError};
pub use health::Health;
pub use heartbeat::{HeartbeatSpec, PhiSpec};
pub use in_force::PolicyInForce;
pub use link::{ClusterLink, ClusterLinkSpec, ClusterProfileRef, ImportSpec, LinkLimits, ThenWhenSilent, WhenSilent};
pub use link_status::{ClusterLinkStatus, LinkCounts, LinkExported, LinkState};
pub use namespace_selector::{LabelOperator, LabelRequirement, NamespaceSelector};
pub use pod_checks::{FailingPod, PodChecksSpec};
pub use policy::{
    ConfirmationSpec, DampingSpec, DiscoveryPolicy, DiscoveryPolicySpec, GuardScope, GuardSpec, MachineMaintenance,
    PolicyTarget, StalenessSpec, WarningSpec, WhenStale,
};
pub use policy_status::{DiscoveryPolicyStatus, GovernedService};
pub use registration::{
    EndpointSpec, Maintenance, PortOverride, PortSpec, Protocol, ServiceRegistration, ServiceRegistrationSpec,
};
pub use service_export::{ServiceExport, ServiceExportSpec, ServiceExportStatus};
pub use service_import::{ServiceImport, ServiceImportSpec, ServiceImportStatus};
pub use status::{CheckStatus, EndpointStatus, FlapStatus, ServiceRegistrationStatus};
pub use time_to_evict::TimeToEvict;

/// The API group of all kinds here.
pub const GROUP: &str = "rollcall.dev";
/// The only served version.
pub const VERSION: &str = "v1alpha1";
