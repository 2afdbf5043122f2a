//! The harness of the end-to-end suite and of `cargo xtask up`: a real control plane, the real binaries of Rollcall, and
//! clients that nobody here wrote.
//!
//! ```text
//! tools          finds or builds what runs: control plane, KWOK, Envoy, kdig
//! control_plane  etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK's nodes and pods
//! install        CRDs, RBAC, and a kubeconfig for each ServiceAccount
//! rollcall       controllers and DNS servers
//! envoy, dns     clients: what do callers see?
//! xds_client     gRPC clients in five languages, and the servers that they call
//! relay          a TCP relay that can be pointed elsewhere
//! backend        HTTP servers to register, that fail on request
//! linked         several clusters, linked with one another
//! conformance    what the public suite of the Multi-Cluster Services API has
//! node           a cluster with real nodes instead: images run as pods
//! kubectl, http, net, process, clock, cargo   what the above stand on
//! ```
//!
//! Everything is blocking and has few dependencies on purpose: a harness that shares code with what it tests would
//! share its faults.

pub mod agent;
pub mod backend;
pub mod cargo;
pub mod clock;
pub mod conformance;
pub mod control_plane;
pub mod dns;
pub mod envoy;
pub mod http;
pub mod install;
pub mod kubeconfig;
pub mod kubectl;
pub mod layout;
pub mod linked;
pub mod net;
pub mod node;
pub mod process;
pub mod relay;
pub mod rollcall;
pub mod tools;
pub mod xds_client;

pub use control_plane::{Component, ControlPlane};
pub use kubectl::Kubectl;
pub use process::Process;
