//! A service as Envoy knows it: for each TCP port a Cluster and its ClusterLoadAssignment, both of one name.
//!
//! The rules are those of real clients: locality weights always set, endpoints sorted and without duplicates, IP
//! literals, a panic threshold of zero (never send to the dead), an empty assignment when the last endpoint goes.
//!
//! - [`cluster`]: the Cluster, and which protocol is spoken to it
//! - [`Assignment`]: the endpoints of a port, kept in parts
//! - [`parts`]: an assignment made out of another; [`levels`]: what is used first; [`reach`]: whose an endpoint is
//! - `endpoint`, `metadata`: one of them

mod assignment;
mod cluster;
mod endpoint;
pub mod levels;
pub(in crate::serve) mod metadata;
pub mod parts;
pub mod reach;

use rollcall_catalog::input::ServiceKind;
use rollcall_catalog::model::{Port, Protocol};
use rollcall_catalog::service::Service;

pub use self::assignment::Assignment;
pub use self::cluster::{cluster, from_elsewhere};
pub(in crate::serve) use self::endpoint::Standing;
use super::lens::name;

/// The ports of a service that have a Cluster. An alias has no endpoints to send to, and Envoy's clusters speak TCP.
pub fn ports(service: &Service) -> impl Iterator<Item = &Port> {
    let alias = service.facts.as_ref().is_some_and(|facts| matches!(facts.kind, ServiceKind::ExternalName(_)));
    service.ports.iter().filter(move |port| !alias && port.protocol == Protocol::Tcp)
}

/// `NAME.NAMESPACE:PORT`, by the port's name, or by its number where it has none.
pub fn cluster_name(service: &Service, port: &Port) -> String {
    name::plain(&service.key.name, &service.key.namespace, (&port.name, port.number.into()))
}
