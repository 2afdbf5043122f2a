//! What a stream sees of the catalog: its part of it, what is near first, and what exists by name alone.
//!
//! A gRPC target is a name out of many that mean a service ([`name`]). Its Listener, its RouteConfiguration ([`api`]), and a
//! cluster that bears another than its plain name are made when the first client asks for them, out of the service's
//! resources, and shared by all who see alike. Nobody pays for names that are not asked for.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::api_config_source::ApiType;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{ApiConfigSource, ApiVersion, ConfigSource, GrpcService};
use prost::Message as _;
use rollcall_xds::cache::Snapshot;
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::stream::{Serves, Variant};
use rollcall_xds::view::{self, Scope, Subject, Viewer};
use xxhash_rust::xxh3::Xxh3Default;

mod api;
pub mod name;
mod near;
mod node;
mod tagged;

use self::name::{Across, Target};
use super::envoy;
use super::envoy::parts::{self, Part};

/// See the module.
#[derive(Debug)]
pub struct Lens {
    domain: Box<str>,
}

// === impl Lens ===

impl Lens {
    /// Of a cluster of that domain.
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.into() }
    }

    fn target<'a>(&self, name: &'a str) -> Option<Target<'a>> {
        Target::read(name, &self.domain)
    }

    /// Whether a resource is of that part of the catalog.
    pub fn is_within(&self, scope: &Scope, ty: ResourceType, name: &str) -> bool {
        let Scope::Namespaces(shown) = scope else { return true };
        let within = |namespace: &str| shown.iter().any(|shown| **shown == *namespace);
        match ty {
            // Nodes of the cluster are of no namespace: who reads a part of the catalog is not told of them.
            ResourceType::Service
            | ResourceType::EndpointBucket
            | ResourceType::Machine
            | ResourceType::ServiceEntry => name.split_once('/').is_some_and(|(namespace, _)| within(namespace)),
            ResourceType::Listener | ResourceType::Route | ResourceType::Cluster | ResourceType::Endpoints => {
                self.target(name).is_some_and(|target| within(target.namespace))
            }
            ResourceType::Zone
            | ResourceType::Replica
            | ResourceType::Verdicts
            | ResourceType::Doubt
            | ResourceType::Testimony
            | ResourceType::Beats
            | ResourceType::Resolved
            | ResourceType::Exporter
            | ResourceType::ExportedService
            | ResourceType::ExportedBucket => true,
        }
    }

    /// The plain name of the cluster that is meant.
    fn plain(&self, target: &Target<'_>, snapshot: &Snapshot) -> Option<String> {
        if let name::PortRef::Name(port) = target.port {
            return Some(name::plain(&target.called(), target.namespace, (port, 0)));
        }
        let service = read(snapshot.get(ResourceType::Service, &target.service())?);
        let port = target.port_of(&service).ok()?;
        Some(name::plain(&target.called(), target.namespace, (&port.name, port.port)))
    }
}

impl view::Lens for Lens {
    fn viewer(&self, client: &view::Client<'_>) -> Viewer {
        Viewer {
            scope: node::wanted(client.node).and(client.may_see),
            choice: node::choice(client.node),
            locality: node::locality(client.node),
            manner: manner(client).map(Arc::from),
        }
    }

    fn shows(&self, viewer: &Viewer, ty: ResourceType, name: &str) -> bool {
        self.is_within(&viewer.scope, ty, name)
    }

    fn alters(&self, viewer: &Viewer, ty: ResourceType) -> bool {
        match ty {
            ResourceType::Cluster => viewer.manner.is_some(),
            ResourceType::Endpoints => viewer.locality.is_some(),
            _ => false,
        }
    }

    fn see(&self, viewer: &Viewer, ty: ResourceType, resource: &Resource) -> Resource {
        let name = &resource.name;
        let seen = match ty {
            ResourceType::Cluster => cluster(viewer, name, resource),
            ResourceType::Endpoints => Some(endpoints(viewer, name, resource, &|_| {})),
            _ => None,
        };
        seen.unwrap_or_else(|| resource.clone())
    }

    fn basis<'a>(&self, ty: ResourceType, name: &str, snapshot: &'a Snapshot) -> Option<&'a Resource> {
        match ty {
            ResourceType::Listener | ResourceType::Route => {
                snapshot.get(ResourceType::Service, &self.target(name)?.service())
            }
            ResourceType::Cluster | ResourceType::Endpoints => {
                let target = self.target(name).filter(|target| !target.is_plain)?;
                snapshot.get(ty, &self.plain(&target, snapshot)?)
            }
            _ => None,
        }
    }

    fn make(&self, viewer: &Viewer, ty: ResourceType, name: &str, basis: &Resource) -> Option<Resource> {
        let target = self.target(name)?;
        match ty {
            ResourceType::Listener => {
                target.port_of(&read(basis)).ok()?;
                Some(api::listener(name))
            }
            ResourceType::Route => {
                let service = read(basis);
                let port = target.port_of(&service).ok()?;
                let plain = name::plain(&target.called(), target.namespace, (&port.name, port.port));
                Some(api::routes(name, target.cluster(&plain)))
            }
            ResourceType::Cluster => cluster(viewer, name, basis),
            ResourceType::Endpoints => Some(endpoints(viewer, name, basis, &|parts| meant(parts, &target))),
            _ => None,
        }
    }

    fn subject(&self, ty: ResourceType, name: &str) -> Option<Subject> {
        match ty {
            ResourceType::Service => name.split_once('/').map(|(namespace, name)| subject(namespace, name)),
            ResourceType::Cluster | ResourceType::Endpoints => {
                let (host, _) = name.rsplit_once(':')?;
                host.split_once('.').map(|(name, namespace)| subject(namespace, name))
            }
            _ => None,
        }
    }

    fn follows(&self, ty: ResourceType, name: &str) -> Option<Subject> {
        let target = match ty {
            ResourceType::Listener | ResourceType::Route => self.target(name),
            ResourceType::Cluster | ResourceType::Endpoints => self.target(name).filter(|target| !target.is_plain),
            _ => None,
        }?;
        Some(subject(target.namespace, &target.called()))
    }

    /// Without endpoints: clients that are told that an assignment is no more, or nothing, go on calling those of before.
    fn parting(&self, ty: ResourceType, name: &str) -> Option<Resource> {
        let is_ours = ty == ResourceType::Endpoints && self.target(name).is_some();
        is_ours.then(|| Resource::from_body(ty, name, parts::write(name, &[])))
    }

    fn why_absent(&self, viewer: &Viewer, ty: ResourceType, name: &str, snapshot: &Snapshot) -> String {
        let Some(target) = self.target(name) else {
            return format!(
                "{name} is no name of a service; that is NAME.NAMESPACE:PORT, with the name or number of a port of the Service"
            );
        };
        let key = target.service();
        let said = format!("{}/{}", target.namespace, target.name);
        let service = snapshot.get(ResourceType::Service, &key).filter(|_| self.shows(viewer, ty, name));
        let Some(service) = service.map(read) else {
            return match target.across {
                Some(_) => {
                    format!("no cluster that this one is linked to exports {said}, or this client may not see it")
                }
                None => format!("there is no service {said}, or this client may not see it"),
            };
        };
        match target.port_of(&service) {
            Err(why) => format!("service {said} {why}"),
            Ok(_) => format!("there is no {name}"),
        }
    }
}

/// The endpoints under that name: those that `keep` leaves, what is near first.
fn endpoints(viewer: &Viewer, name: &str, assignment: &Resource, keep: &dyn Fn(&mut Vec<Part>)) -> Resource {
    let mut parts = parts::read(assignment.body());
    keep(&mut parts);
    near::rank(&mut parts, viewer.locality.as_ref());
    Resource::from_body(ResourceType::Endpoints, name, parts::write(name, &parts))
}

/// Leaves those that a name means: with its tag, of its cluster.
fn meant(parts: &mut Vec<Part>, target: &Target<'_>) {
    if let Some(tag) = target.tag {
        tagged::keep(parts, tag);
    }
    if let Some(Across::Cluster(id)) = target.across {
        parts.retain(|part| part.locality.sub_zone == id);
    }
}

fn read(service: &Resource) -> v1::Service {
    v1::Service::decode(service.body()).unwrap_or_default() // we wrote it
}

fn subject(namespace: &str, name: &str) -> Subject {
    let mut hash = Xxh3Default::new();
    hash.update(namespace.as_bytes());
    hash.update(b"/");
    hash.update(name.as_bytes());
    hash.digest()
}

/// Whether a client reports its loads. One that is given clusters on a stream of their own is told to ask for their endpoints
/// as it asked for them: the variant, and its own name for this server.
fn manner(client: &view::Client<'_>) -> Option<String> {
    let loads = if node::reports(client.node) { LOADS } else { "" };
    let alone = client.serves == Serves::Only(ResourceType::Cluster);
    let variant = match client.variant {
        Variant::Delta => "delta",
        Variant::StateOfTheWorld => "grpc",
    };
    match node::server(client.node).filter(|_| alone) {
        Some(server) => Some(format!("{loads}{variant}/{server}")),
        None => Some(loads.to_owned()).filter(|loads| !loads.is_empty()),
    }
}

/// What begins the manner of whoever reports loads. No variant begins like that.
const LOADS: &str = "loads ";

/// A cluster as that viewer sees it, under that name.
fn cluster(viewer: &Viewer, name: &str, cluster: &Resource) -> Option<Resource> {
    let reports = viewer.manner.as_deref().is_some_and(|manner| manner.starts_with(LOADS));
    envoy::from_elsewhere(cluster, name, source(viewer), reports)
}

/// Where a viewer gets endpoints from, if not from the aggregated stream.
fn source(viewer: &Viewer) -> Option<ConfigSource> {
    let manner = viewer.manner.as_deref()?;
    let (variant, server) = manner.strip_prefix(LOADS).unwrap_or(manner).split_once('/')?;
    let api_type = if variant == "delta" { ApiType::DeltaGrpc } else { ApiType::Grpc };
    let envoy = EnvoyGrpc { cluster_name: server.to_owned(), ..EnvoyGrpc::default() };
    let service = GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(envoy)), ..GrpcService::default() };
    let api = ApiConfigSource {
        api_type: api_type.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![service],
        ..ApiConfigSource::default()
    };
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(api)),
        ..ConfigSource::default()
    })
}

#[cfg(test)]
mod tests;
