//! One resource's bytes into the index' own types. What is wrong in a part costs that part.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::rr::Name;
use prost::Message;
use rollcall_catalog::intern::Interner;
use rollcall_xds::client::Upsert;
use rollcall_xds::proto::rollcall::v1 as proto;

use crate::zone::apex::DomainError;
use crate::zone::label::{endpoint_label, is_hostname_label, is_name_label};
use crate::zone::machines::{self, Machine};
use crate::zone::model::{
    Addresses, Endpoint, Exposed, Kind, Place, Port, Ports, Protocol, Service, Staleness, Texts, WhenStale,
};
use crate::zone::writer::{BucketName, Change};

/// Why a resource cannot be used. Each of them is a fault of the server's.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the message that its type says.
    #[error("cannot be decoded: {0}; the server and rollcall-dns may be of versions that do not fit")]
    Protobuf(#[from] prost::DecodeError),
    /// The name of the resource is of another form.
    #[error("resource name is not of the form {0}")]
    ResourceName(&'static str),
    /// Resource and content disagree.
    #[error("content is of service {0}, which is not the resource's name")]
    OtherService(String),
    /// Namespace or name cannot be in a domain name.
    #[error("namespace {0:?} and name {1:?} must be labels of lower-case letters, digits and dashes")]
    Labels(String, String),
    /// A machine's name cannot be a domain name.
    #[error("machine {0:?} must be called by labels in lower case")]
    Machine(Arc<str>),
    /// A kind from the future.
    #[error("service kind {0} is not known; upgrade rollcall-dns to the server's version")]
    Kind(i32),
    /// Not a domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

/// Decodes, and keeps equal port lists once.
#[derive(Debug, Default)]
pub struct Decoder {
    ports: Interner<[Port]>,
    texts: Interner<[Box<str>]>,
    places: Interner<Place>,
}

/// Longest string of a TXT record (RFC 1035 §3.3).
const TEXT_BYTES_MAX: usize = 255;
/// Longest name of a port: the underscore before it takes one byte of a label's 63.
const PORT_NAME_BYTES_MAX: usize = 62;

/// The cluster's domain in a `Zone`, and that of names across clusters; empty where there are none.
pub fn domains(value: &[u8]) -> Result<(String, String), DecodeError> {
    let zone = proto::Zone::decode(value)?;
    Ok((zone.cluster_domain, zone.clusterset_domain))
}

/// Reads `NAMESPACE/NAME/COUNT/INDEX`.
pub fn bucket_name(name: &str) -> Result<BucketName, DecodeError> {
    let bad = || DecodeError::ResourceName("NAMESPACE/NAME/COUNT/INDEX");
    let (rest, index) = name.rsplit_once('/').ok_or_else(bad)?;
    let (service, count) = rest.rsplit_once('/').ok_or_else(bad)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| bad());
    Ok(BucketName { service: Arc::from(service), part: (number(count)?, number(index)?) })
}

// === impl Decoder ===

impl Decoder {
    /// Reads a `Service`.
    pub fn service(&mut self, resource: &Upsert) -> Result<Change, DecodeError> {
        let message = proto::Service::decode(&*resource.value)?;
        check_key(&resource.name, &message.namespace, &message.name)?;
        let kind = match proto::service::Kind::try_from(message.kind) {
            Ok(proto::service::Kind::ClusterIp) => Kind::ClusterIp {
                addresses: message.cluster_ips.iter().filter_map(|bytes| address(bytes)).collect(),
                ports: self.ports(&message.ports),
            },
            Ok(proto::service::Kind::Headless | proto::service::Kind::Registered) => Kind::Headless,
            Ok(proto::service::Kind::ExternalName) => Kind::External { target: target(&message.external_name) },
            Ok(proto::service::Kind::Unspecified) | Err(_) => return Err(DecodeError::Kind(message.kind)),
        };
        let (staleness, exposed) = (message.staleness.as_ref().map(staleness), self.exposed(&message));
        let service = Service { kind, publish_not_ready: message.publish_not_ready, staleness, exposed };
        Ok(Change::Service(Arc::clone(&resource.name), service))
    }

    /// Reads an `EndpointBucket`.
    pub fn bucket(&mut self, resource: &Upsert) -> Result<Change, DecodeError> {
        let message = proto::EndpointBucket::decode(&*resource.value)?;
        let name = bucket_name(&resource.name)?;
        check_key(&name.service, &message.namespace, &message.service)?;
        let lists: Vec<_> = message.port_sets.iter().map(|set| self.ports(&set.ports)).collect();
        let texts: Vec<_> = message.endpoints.iter().map(|endpoint| self.texts.share(texts(endpoint))).collect();
        let mut place = |message: &proto::Endpoint| {
            let [zone, cluster] = [&message.zone, &message.cluster].map(|name| name.to_ascii_lowercase().into());
            self.places.share(Place { zone, cluster })
        };
        let endpoints = message.endpoints.into_iter().zip(texts).filter_map(|(message, texts)| {
            let place = place(&message);
            endpoint(&message, &lists, texts, place)
        });
        let endpoints = endpoints.map(Arc::new).collect();
        Ok(Change::Bucket(name, endpoints))
    }

    /// Reads a `Machine`.
    pub fn machine(&mut self, resource: &Upsert) -> Result<machines::Change, DecodeError> {
        let message = proto::Machine::decode(&*resource.value)?;
        let name = resource.name.split_once('/').map_or(&*resource.name, |(_, name)| name);
        if !name.split('.').all(is_name_label) || resource.name.contains(|c: char| c.is_ascii_uppercase()) {
            return Err(DecodeError::Machine(Arc::clone(&resource.name)));
        }
        let said =
            [("zone", &message.zone), ("region", &message.region)].into_iter().filter(|(_, said)| !said.is_empty());
        let texts = said.map(|(key, said)| format!("{key}={said}")).filter(|text| text.len() <= TEXT_BYTES_MAX);
        let texts = self.texts.share(texts.map(String::into_boxed_str).collect::<Vec<_>>());
        let addresses = message.addresses.iter().filter_map(|bytes| address(bytes));
        Ok((Arc::clone(&resource.name), Some(Arc::new(Machine::new(addresses, &message.zone, texts)))))
    }

    fn exposed(&mut self, message: &proto::Service) -> Option<Arc<Exposed>> {
        let addresses: Box<[IpAddr]> = message.external_ips.iter().filter_map(|bytes| address(bytes)).collect();
        let names: Box<[Name]> = message.external_names.iter().filter_map(|name| target(name)).collect();
        let some = !addresses.is_empty() || !names.is_empty();
        some.then(|| Arc::new(Exposed { addresses, names, ports: self.ports(&message.ports) }))
    }

    /// The ports of a list, shared.
    fn ports(&mut self, ports: &[proto::Port]) -> Ports {
        self.ports.share(ports.iter().filter_map(port).collect::<Vec<_>>())
    }
}

fn staleness(message: &proto::Staleness) -> Staleness {
    Staleness {
        after_s: message.after_ms.div_ceil(1000),
        then: if message.refuse { WhenStale::Refuse } else { WhenStale::Serve },
        at_source: message.since_s != 0,
    }
}

fn check_key(key: &str, namespace: &str, name: &str) -> Result<(), DecodeError> {
    let label = |text: &str| is_hostname_label(text) && !text.contains(|c: char| c.is_ascii_uppercase());
    if !label(namespace) || !label(name) {
        return Err(DecodeError::Labels(namespace.to_owned(), name.to_owned()));
    }
    match key.split_once('/') {
        Some(parts) if parts == (namespace, name) => Ok(()),
        Some(_) | None => Err(DecodeError::OtherService(format!("{namespace}/{name}"))),
    }
}

/// An endpoint without a usable address is none.
fn endpoint(message: &proto::Endpoint, lists: &[Ports], texts: Texts, place: Arc<Place>) -> Option<Endpoint> {
    let addresses = Addresses::first_of_each(message.addresses.iter().filter_map(|bytes| address(bytes)))?;
    let (label, has_hostname) = label(message, addresses);
    let ports = usize::try_from(message.port_set).ok().and_then(|index| lists.get(index)).cloned();
    Some(Endpoint {
        id: message.id,
        addresses,
        weight: u16::try_from(message.weight).unwrap_or(u16::MAX).max(1),
        ready: message.ready,
        label,
        has_hostname,
        ports: ports.unwrap_or_default(),
        texts,
        place,
        warns: message.warns,
        suspect: message.suspect,
    })
}

/// Its label below its service; below one of several clusters the cluster's id follows it, which may have a dot.
fn label(message: &proto::Endpoint, addresses: Addresses) -> (Box<str>, bool) {
    let (label, has_hostname) = endpoint_label(&message.hostname, addresses);
    let cluster = message.cluster.to_ascii_lowercase();
    match !cluster.is_empty() && cluster.split('.').all(is_hostname_label) {
        true => (format!("{label}.{cluster}").into(), false),
        false => (label, has_hostname),
    }
}

/// Tags and metadata as attributes (RFC 1464): `tag=canary`, `version=1.2`. What is too long for a string is left out.
fn texts(message: &proto::Endpoint) -> Vec<Box<str>> {
    let tags = message.tags.iter().map(|tag| format!("tag={tag}"));
    let metadata = message.metadata.iter().map(|pair| format!("{}={}", pair.key, pair.value));
    tags.chain(metadata).filter(|text| text.len() <= TEXT_BYTES_MAX).map(String::into_boxed_str).collect()
}

fn port(message: &proto::Port) -> Option<Port> {
    let protocol = match proto::Protocol::try_from(message.protocol) {
        Ok(proto::Protocol::Tcp) => Protocol::Tcp,
        Ok(proto::Protocol::Udp) => Protocol::Udp,
        Ok(proto::Protocol::Sctp) => Protocol::Sctp,
        Ok(proto::Protocol::Unspecified) | Err(_) => return None,
    };
    let number = u16::try_from(message.port).ok().filter(|number| *number > 0)?;
    let name = if message.name.len() > PORT_NAME_BYTES_MAX { String::new() } else { message.name.to_ascii_lowercase() };
    Some(Port { name: name.into(), protocol, number })
}

/// 4 or 16 bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
    v4.or_else(|_| v6()).ok()
}

fn target(external_name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(external_name).ok().filter(|name| !name.is_root())?;
    name.set_fqdn(true);
    Some(name)
}
