//! Where the catalog's servers are, by what the catalog says of their own Service.
//!
//! A pod learns the address of the controller's Service once, when it starts. When that Service is made anew, the address
//! is another; the catalog says which, and where the pods behind it are, which have not moved.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;

use crate::zone::ZoneWriter;
use crate::zone::model::{Endpoint, Kind, Port, Protocol, Service};

/// The Service of the catalog's servers, as it is looked for.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    /// `NAMESPACE/NAME`
    key: Arc<str>,
    scheme: String,
    /// The Service's port.
    port: u16,
    found: watch::Sender<Vec<String>>,
}

/// Servers told at once.
const FOUND_MAX: usize = 8;

// === impl Whereabouts ===

impl Whereabouts {
    /// Looks for the servers behind a Service, by its key, which have the scheme and the Service the port of one of
    /// `catalogs`. What is found is told to the receiver.
    pub fn new(key: &str, catalogs: &[String]) -> Option<(Self, watch::Receiver<Vec<String>>)> {
        let (scheme, rest) = catalogs.first()?.split_once("://")?;
        let port = rest.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()?;
        let (found, told) = watch::channel(Vec::new());
        Some((Self { key: Arc::from(key), scheme: scheme.to_owned(), port, found }, told))
    }

    /// Looks again when something of the Service changed. Where nothing is found, what was found before stays: between
    /// the end of a Service and the next of that name its pods may be all there is.
    pub(super) fn look(&self, writer: &ZoneWriter) {
        let Some((service, endpoints)) = writer.whole(&self.key) else { return };
        let places = places(service, &endpoints, self.port);
        if !places.is_empty() {
            let urls = places.iter().take(FOUND_MAX).map(|place| format!("{}://{place}", self.scheme)).collect();
            self.found.send_if_modified(|known| {
                let differs = *known != urls;
                *known = urls;
                differs
            });
        }
    }

    /// Whether a resource, by its name, is about the Service.
    pub(super) fn concerns(&self, resource: &str) -> bool {
        resource.strip_prefix(&*self.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The Service's own addresses, then those of ready endpoints with that port.
fn places(service: &Service, endpoints: &[&Arc<Endpoint>], port: u16) -> Vec<SocketAddr> {
    let is_tcp = |one: &&Port| one.protocol == Protocol::Tcp;
    let (virtual_, own) = match &service.kind {
        Kind::ClusterIp { addresses, ports } => {
            (&addresses[..], ports.iter().filter(is_tcp).find(|one| one.number == port))
        }
        Kind::Headless | Kind::External { .. } => (&[][..], None),
    };
    let at = |address: &IpAddr| SocketAddr::new(*address, port);
    let mut places: Vec<_> = own.iter().flat_map(|_| virtual_.iter().map(at)).collect();
    let of = |endpoint: &Endpoint| {
        let wanted = |one: &&Port| own.map_or(one.number == port, |own| one.name == own.name);
        endpoint.ports.iter().filter(is_tcp).find(wanted).map(|one| one.number)
    };
    let ready = endpoints.iter().filter(|endpoint| endpoint.ready);
    let pods: BTreeSet<_> =
        ready.filter_map(|endpoint| Some(SocketAddr::new(endpoint.addresses.iter().next()?, of(endpoint)?))).collect();
    places.extend(pods);
    places
}
