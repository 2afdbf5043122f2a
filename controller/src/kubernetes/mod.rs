//! How we speak to the Kubernetes API, whatever the kind: what is read becomes objects, what fails becomes words.
//!
//! - [`informer`]: one list-and-watch loop for every kind; [`freshness`]: how old each watch is; [`metrics`]: what is measured
//! - [`guarded`]: decoding that lets one bad object harm only itself
//! - [`object_key`]: the namespace and name of an object; [`names`]: names as a source keeps them
//! - [`syntax`]: what the API server takes as names
//! - [`kept`]: what the API server keeps of what it is given, where that is less
//! - [`trouble`]: what keeps a watch from its objects, with the remedy; [`kube_error`]: what kube's errors say
//! - [`denial`]: one right that is missing, in words; [`denial_notices`]: tells of those that writes and the election met

pub mod denial;
pub mod denial_notices;
pub mod freshness;
pub mod guarded;
pub mod informer;
pub mod kept;
pub(crate) mod kube_error;
pub mod metrics;
pub mod names;
pub mod object_key;
pub mod syntax;
pub mod trouble;

/// Who tells Events: `reportingController` of every one.
pub const REPORTING_CONTROLLER: &str = "rollcall.dev/controller";

pub use names::Names;
pub use object_key::ObjectKey;
pub(crate) use object_key::created;
