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

use self::name::Target;
use super::envoy::{self, parts};

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

    /// The plain name of the cluster that is meant.
    fn plain(&self, target: &Target<'_>, snapshot: &Snapshot) -> Option<String> {
        if let name::PortRef::Name(port) = target.port {
            return Some(name::plain(target.name, target.namespace, (port, 0)));
        }
        let service = read(snapshot.get(ResourceType::Service, &target.service())?);
        let port = target.port_of(&service).ok()?;
        Some(name::plain(target.name, target.namespace, (&port.name, port.port)))
    }
}

impl view::Lens for Lens {
    fn viewer(&self, client: &view::Client<'_>) -> Viewer {
        Viewer {
            scope: node::wanted(client.node),
            locality: node::locality(client.node),
            manner: manner(client).map(Arc::from),
        }
    }

    fn shows(&self, viewer: &Viewer, ty: ResourceType, name: &str) -> bool {
        let Scope::Namespaces(shown) = &viewer.scope else { return true };
        let within = |namespace: &str| shown.iter().any(|shown| **shown == *namespace);
        match ty {
            ResourceType::Service | ResourceType::EndpointBucket => {
                name.split_once('/').is_some_and(|(namespace, _)| within(namespace))
            }
            ResourceType::Listener | ResourceType::Route | ResourceType::Cluster | ResourceType::Endpoints => {
                self.target(name).is_some_and(|target| within(target.namespace))
            }
            ResourceType::Zone
            | ResourceType::Replica
            | ResourceType::Verdicts
            | ResourceType::Doubt
            | ResourceType::Testimony
            | ResourceType::Beats
            | ResourceType::Exporter
            | ResourceType::ExportedService
            | ResourceType::ExportedBucket => true,
        }
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
            ResourceType::Cluster => envoy::from_elsewhere(resource, name, source(viewer)),
            ResourceType::Endpoints => Some(endpoints(viewer, name, resource, None)),
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
                let plain = name::plain(target.name, target.namespace, (&port.name, port.port));
                Some(api::routes(name, target.cluster(&plain)))
            }
            ResourceType::Cluster => envoy::from_elsewhere(basis, name, source(viewer)),
            ResourceType::Endpoints => Some(endpoints(viewer, name, basis, target.tag)),
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
        Some(subject(target.namespace, target.name))
    }

    fn why_absent(&self, viewer: &Viewer, ty: ResourceType, name: &str, snapshot: &Snapshot) -> String {
        let Some(target) = self.target(name) else {
            return format!(
                "{name} is no name of a service; that is NAME.NAMESPACE:PORT, with the name or number of a port of the Service"
            );
        };
        let key = target.service();
        let service = snapshot.get(ResourceType::Service, &key).filter(|_| self.shows(viewer, ty, name));
        let Some(service) = service.map(read) else {
            return format!("there is no service {key}, or this client may not see it");
        };
        match target.port_of(&service) {
            Err(why) => format!("service {key} {why}"),
            Ok(_) => format!("there is no {name}"),
        }
    }
}

/// The endpoints under that name: those with the tag, what is near first.
fn endpoints(viewer: &Viewer, name: &str, assignment: &Resource, tag: Option<&str>) -> Resource {
    let mut parts = parts::read(assignment.body());
    if let Some(tag) = tag {
        tagged::keep(&mut parts, tag);
    }
    if let Some(place) = &viewer.locality {
        near::rank(&mut parts, place);
    }
    Resource::from_body(ResourceType::Endpoints, name, parts::write(name, &parts))
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

/// A client that is given clusters on a stream of their own is told to ask for their endpoints as it asked for them: the
/// variant, and its own name for this server.
fn manner(client: &view::Client<'_>) -> Option<String> {
    let alone = client.serves == Serves::Only(ResourceType::Cluster);
    let server = node::server(client.node).filter(|_| alone)?;
    let variant = match client.variant {
        Variant::Delta => "delta",
        Variant::StateOfTheWorld => "grpc",
    };
    Some(format!("{variant}/{server}"))
}

/// Where a viewer gets endpoints from, if not from the aggregated stream.
fn source(viewer: &Viewer) -> Option<ConfigSource> {
    let (variant, server) = viewer.manner.as_deref()?.split_once('/')?;
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
