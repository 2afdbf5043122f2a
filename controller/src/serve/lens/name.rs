//! The names by which clients ask for a service: gRPC targets, and names of clusters.

use std::borrow::Cow;
use std::fmt;

use rollcall_xds::name::Xdstp;
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::ResourceType;

/// `[TAG.]NAME.NAMESPACE[.svc[.CLUSTER-DOMAIN]][:PORT]`, or that as the last part of an `xdstp:` name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Only endpoints with this tag.
    pub tag: Option<&'a str>,
    /// The service.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Which port of it.
    pub port: PortRef<'a>,
    /// It is the plain name of a cluster, whose resources bear it.
    pub is_plain: bool,
    /// What is around it.
    pub xdstp: Option<Xdstp<'a>>,
}

/// A port of a Service, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortRef<'a> {
    /// The only one, or the only one whose name begins with `grpc`.
    Only,
    /// By its name.
    Name(&'a str),
    /// By its number in the Service.
    Number(u16),
}

/// Why a target has no port to go to. In words for who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPort {
    /// An ExternalName.
    Alias,
    /// No TCP port of that name or number; these there are.
    NotThere(Vec<String>),
    /// Several, and it was not said which.
    Several(Vec<String>),
}

// === impl Target ===

impl<'a> Target<'a> {
    /// Reads a name; `None` when it is of another form. `domain` is the cluster's.
    pub fn read(name: &'a str, domain: &str) -> Option<Self> {
        let xdstp = Xdstp::read(name);
        let id = match xdstp {
            Some(xdstp) => xdstp.id,
            None if name.starts_with("xdstp:") => return None,
            None => name,
        };
        let (host, port) = id.rsplit_once(':').map_or((id, None), |(host, port)| (host, Some(port)));
        let labels = short(host.strip_suffix('.').unwrap_or(host), domain);
        let mut rest: Vec<_> = labels.split('.').collect();
        if rest.iter().any(|label| label.is_empty()) {
            return None;
        }
        let (namespace, name) = (rest.pop()?, rest.pop()?);
        let tag = if rest.is_empty() { None } else { Some(&labels[..labels.len() - namespace.len() - name.len() - 2]) };
        let port = port.map_or(Some(PortRef::Only), PortRef::read)?;
        let is_plain = xdstp.is_none() && tag.is_none() && labels == host && matches!(port, PortRef::Name(_));
        Some(Self { tag, name, namespace, port, is_plain, xdstp })
    }

    /// The key of the service.
    pub fn service(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The port that is meant, of the service's own.
    ///
    /// # Errors
    /// When there is none.
    pub fn port_of<'s>(&self, service: &'s v1::Service) -> Result<&'s v1::Port, NoPort> {
        if service.kind() == v1::service::Kind::ExternalName {
            return Err(NoPort::Alias);
        }
        let all: Vec<_> = service.ports.iter().filter(|port| port.protocol() == v1::Protocol::Tcp).collect();
        let found = match self.port {
            PortRef::Name(name) => all.iter().find(|port| port.name == name),
            PortRef::Number(number) => all.iter().find(|port| port.port == u32::from(number)),
            PortRef::Only => {
                let mut grpc = all.iter().filter(|port| port.name.starts_with("grpc"));
                match (&*all, grpc.next(), grpc.next()) {
                    ([only], ..) => return Ok(only),
                    (_, Some(only), None) => Some(only),
                    ([], ..) => None,
                    _ => return Err(NoPort::Several(names(&all))),
                }
            }
        };
        found.copied().ok_or_else(|| NoPort::NotThere(names(&all)))
    }

    /// The name of the cluster, whose plain name is `plain`: what it is called under this one.
    pub fn cluster(&self, plain: &str) -> String {
        let tagged = self.tag.map_or(Cow::Borrowed(plain), |tag| Cow::Owned(format!("{tag}.{plain}")));
        match self.xdstp {
            Some(xdstp) => Xdstp { id: &tagged, ..xdstp }.of(ResourceType::Cluster),
            None => tagged.into_owned(),
        }
    }
}

/// The plain name of the cluster of a port: `NAME.NAMESPACE:PORT`, by the port's name, or by its number where it has none.
pub fn plain(name: &str, namespace: &str, port: (&str, u32)) -> String {
    match port {
        ("", number) => format!("{name}.{namespace}:{number}"),
        (port, _) => format!("{name}.{namespace}:{port}"),
    }
}

/// Without `.svc` and the domain. What is too short without it is meant as it stands: a namespace may be called `svc`.
fn short<'a>(host: &'a str, domain: &str) -> &'a str {
    let without_domain = host.strip_suffix(domain).and_then(|host| host.strip_suffix(".svc."));
    let short = without_domain.or_else(|| host.strip_suffix(".svc"));
    short.filter(|short| short.contains('.')).unwrap_or(host)
}

fn names(ports: &[&v1::Port]) -> Vec<String> {
    ports.iter().map(|port| if port.name.is_empty() { port.port.to_string() } else { port.name.clone() }).collect()
}

// === impl PortRef ===

impl<'a> PortRef<'a> {
    fn read(port: &'a str) -> Option<Self> {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            return port.parse().ok().filter(|number| *number != 0).map(Self::Number);
        }
        Some(Self::Name(port))
    }
}

// === impl NoPort ===

impl fmt::Display for NoPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias => {
                f.write_str("is an alias (ExternalName), which has no endpoints; use the name that it stands for")
            }
            Self::NotThere(ports) if ports.is_empty() => f.write_str("has no TCP port"),
            Self::NotThere(ports) => write!(f, "has no such TCP port; it has {}", ports.join(", ")),
            Self::Several(ports) => write!(f, "has several ports; say which, by `:` and one of {}", ports.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
