//! What another cluster says, as the catalog has it. It may say anything: what is no name, no address or no port is refused in
//! words, and nothing of it is taken in.

use std::sync::Arc;

use prost::Message;
use rollcall_catalog::clusterset;
use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::{
    Addresses, Attributes, Conditions, Description, Endpoint, Health, HealthSource, Port, Ports, Protocol, ServiceKey,
};
use rollcall_xds::proto::rollcall::v1;

use super::encode;
use super::mcs::said::{self, Said};
use crate::kubernetes::Names;
use crate::kubernetes::syntax::{is_dns_label, is_qualified_name};

/// Decodes. What many endpoints say alike is kept once.
#[derive(Debug, Default)]
pub struct Decoder {
    names: Names,
    ports: Interner<[Port]>,
    attributes: Interner<Attributes>,
    descriptions: Interner<Description>,
}

/// A service, without its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Since when it is exported, in seconds since the epoch.
    pub created: i64,
    /// Its ports.
    pub ports: Ports,
    /// How it is called, beside its ports.
    pub manner: Said,
}

/// The place of a bucket among those of its service.
pub type Cut = (u32, u32);

/// An endpoint, by its identity in its own cluster.
pub type Told = (u64, Arc<Endpoint>);

/// Endpoints in one message at most: buckets keep about 64.
const BUCKET_MAX: usize = 4_096;
/// Ports of a service or an endpoint at most, as in an EndpointSlice.
const PORTS_MAX: usize = 100;
/// Tags and pairs of metadata of an endpoint at most, as in a registration.
const TAGS_MAX: usize = 16;
const METADATA_MAX: usize = 32;
/// Bytes of any single text at most.
const TEXT_MAX: usize = 512;

// === impl Decoder ===

impl Decoder {
    /// The service of a resource of this name.
    ///
    /// # Errors
    /// When it is none.
    pub fn service(&mut self, name: &str, body: &[u8]) -> Result<(ServiceKey, Exported), String> {
        let message = v1::ExportedService::decode(body).map_err(|error| format!("service {name:.300}: {error}"))?;
        let key = self.key(name).filter(|key| *key.namespace == *message.namespace && *key.name == *message.name);
        let key =
            key.ok_or_else(|| format!("service {name:.300} is named otherwise in its content, or by what is no name"))?;
        if clusterset::may_be_derived(&key.name) {
            return Err(format!(
                "service {key} is named as this cluster names what it makes of exports; give it another name"
            ));
        }
        let ports = self.port_list(&message.ports).ok_or_else(|| format!("service {key} has a port that is none"))?;
        let manner = said::read(&message).map_err(|what| format!("service {key} has {what}"))?;
        // Nobody's API server has made anything before the epoch; what an earlier process here has won is older than all.
        Ok((key, Exported { created: message.created.max(0), ports, manner }))
    }

    /// The endpoints of a resource of this name.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn bucket(&mut self, name: &str, body: &[u8]) -> Result<(ServiceKey, Cut, Vec<Told>), String> {
        let message = v1::ExportedBucket::decode(body).map_err(|error| format!("bucket {name:.300}: {error}"))?;
        let parsed = self.bucket_name(name);
        let parsed = parsed.filter(|(key, _)| *key.namespace == *message.namespace && *key.name == *message.service);
        let (key, cut) = parsed.ok_or_else(|| {
            format!("bucket {name:.300} is of another service than its content says, or named by what is no name")
        })?;
        if clusterset::may_be_derived(&key.name) {
            return Err(format!(
                "bucket {name:.300} is of a service that is named as this cluster names what it makes of exports"
            ));
        }
        if message.endpoints.len() > BUCKET_MAX || message.port_sets.len() > BUCKET_MAX {
            return Err(format!("bucket {name:.300} has more than {BUCKET_MAX} endpoints"));
        }
        let sets: Option<Vec<Ports>> = message.port_sets.iter().map(|set| self.port_list(&set.ports)).collect();
        let sets = sets.ok_or_else(|| format!("bucket {name:.300} has a port that is none"))?;
        // As large as it has to be: an allocator may leave what is shrunk where it is.
        let mut endpoints = Vec::with_capacity(message.endpoints.len());
        for endpoint in &message.endpoints {
            let told = self.endpoint(endpoint, &sets);
            endpoints.push(
                told.map_err(|what| format!("bucket {name:.300}: the endpoint {:016x} has {what}", endpoint.id))?,
            );
        }
        Ok((key, cut, endpoints))
    }

    /// `NAMESPACE/NAME`.
    pub fn key(&mut self, name: &str) -> Option<ServiceKey> {
        let (namespace, name) = name.split_once('/')?;
        (is_dns_label(namespace) && is_dns_label(name))
            .then(|| ServiceKey { namespace: self.names.get(namespace), name: self.names.get(name) })
    }

    /// `NAMESPACE/NAME/COUNT/INDEX`.
    pub fn bucket_name(&mut self, name: &str) -> Option<(ServiceKey, Cut)> {
        let mut parts = name.rsplitn(3, '/');
        let (index, count) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (index < count).then_some(())?;
        Some((self.key(parts.next()?)?, (count, index)))
    }

    fn endpoint(&mut self, said: &v1::ExportedEndpoint, sets: &[Ports]) -> Result<Told, &'static str> {
        let ips: Option<Vec<_>> = said.addresses.iter().map(|octets| encode::address(octets)).collect();
        let addresses = ips.and_then(Addresses::from_ips).ok_or("no addresses, or such as are none")?;
        let ports = sets.get(said.port_set as usize).ok_or("ports that are not there")?;
        let hostname = Some(&*said.hostname).filter(|name| !name.is_empty());
        if hostname.is_some_and(|name| !is_dns_label(name)) {
            return Err("a host name that is none");
        }
        let texts = said
            .metadata
            .iter()
            .flat_map(|pair| [&pair.key, &pair.value])
            .chain(&said.tags)
            .chain([&said.zone, &said.region]);
        if said.tags.len() > TAGS_MAX
            || said.metadata.len() > METADATA_MAX
            || texts.into_iter().any(|text| text.len() > TEXT_MAX)
        {
            return Err("more to say than an endpoint may");
        }
        let described = Description {
            // Its address, which is what its written EndpointSlice says as well: so both have the same identity.
            named: None,
            ports: Ports::clone(ports),
            hostname: hostname.map(|name| self.names.get(name)),
            zone: self.names.maybe(Some(&said.zone)),
            region: self.names.maybe(Some(&said.region)),
            // Nodes of another cluster have names that may be those of nodes here.
            node: None,
            weight: u16::try_from(said.weight).unwrap_or(u16::MAX).max(1),
            conditions: Conditions { ready: said.ready, serving: said.serving, terminating: said.terminating },
            health_source: HealthSource::Imported { health: health(said), suspect_since_ms: None, own: false },
            attributes: self.attributes(said),
        };
        Ok((said.id, Arc::new(Endpoint { addresses, described: self.descriptions.share(described) })))
    }

    fn attributes(&mut self, said: &v1::ExportedEndpoint) -> Arc<Attributes> {
        let mut tags: Vec<_> = said.tags.iter().map(|tag| self.names.get(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let metadata =
            said.metadata.iter().map(|pair| (self.names.get(&pair.key), self.names.get(&pair.value))).collect();
        self.attributes.share(Attributes { tags, metadata, machine: None })
    }

    fn port_list(&mut self, said: &[v1::Port]) -> Option<Ports> {
        if said.len() > PORTS_MAX {
            return None;
        }
        let mut ports: Vec<Port> = said.iter().map(|port| self.port(port)).collect::<Option<_>>()?;
        ports.sort_unstable();
        Some(self.ports.share(ports))
    }

    fn port(&mut self, said: &v1::Port) -> Option<Port> {
        let protocol = match said.protocol() {
            v1::Protocol::Tcp => Protocol::Tcp,
            v1::Protocol::Udp => Protocol::Udp,
            v1::Protocol::Sctp => Protocol::Sctp,
            v1::Protocol::Unspecified => return None,
        };
        let number = u16::try_from(said.port).ok().filter(|number| *number > 0)?;
        let named = said.name.is_empty() || is_dns_label(&said.name);
        named.then_some(())?;
        // As of a registration: what the API server would refuse on the derived Service costs the port no more than that.
        let app_protocol = self.names.maybe(Some(&*said.app_protocol).filter(|name| is_qualified_name(name)));
        Some(Port { name: self.names.get(&said.name), number, protocol, app_protocol })
    }
}

/// A health that this version does not know is not called.
fn health(said: &v1::ExportedEndpoint) -> Health {
    match said.health() {
        v1::ExportedHealth::ExportedPassing => Health::Passing,
        v1::ExportedHealth::ExportedWarning => Health::Warning,
        v1::ExportedHealth::ExportedCritical => Health::Critical,
        v1::ExportedHealth::ExportedUnknown | v1::ExportedHealth::Unspecified => Health::Unknown,
        v1::ExportedHealth::ExportedMaintenance => Health::Maintenance,
    }
}

#[cfg(test)]
mod tests;
