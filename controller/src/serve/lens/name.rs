//! The names by which clients ask for a service: gRPC targets, and names of clusters.

use std::borrow::Cow;
use std::fmt;

use rollcall_catalog::clusterset;
use rollcall_xds::name::Xdstp;
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::ResourceType;

/// `[TAG.]NAME.NAMESPACE[.svc[.CLUSTER-DOMAIN]][:PORT]`, `NAME.NAMESPACE[.CLUSTER].clusterset[:PORT]` or
/// `NAME.NAMESPACE.svc.clusterset.local[:PORT]`; or one of these as the last part of an `xdstp:` name.
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
    /// It is what clusters export under that name.
    pub across: Option<Across<'a>>,
}

/// Whose endpoints are meant, of what clusters export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Across<'a> {
    /// Those of all.
    Clusterset,
    /// Those of the cluster with this id.
    Cluster(&'a str),
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
        let port = port.map_or(Some(PortRef::Only), PortRef::read)?;
        let full = host.strip_suffix('.').unwrap_or(host);
        if let Some((name, namespace, across)) = Across::read(full) {
            let across = Some(across);
            return Some(Self { tag: None, name, namespace, port, is_plain: false, xdstp, across });
        }
        let labels = short(full, domain);
        let mut rest: Vec<_> = labels.split('.').collect();
        if rest.iter().any(|label| label.is_empty()) {
            return None;
        }
        let (namespace, name) = (rest.pop()?, rest.pop()?);
        let tag = if rest.is_empty() { None } else { Some(&labels[..labels.len() - namespace.len() - name.len() - 2]) };
        let is_plain = xdstp.is_none() && tag.is_none() && labels == host && matches!(port, PortRef::Name(_));
        Some(Self { tag, name, namespace, port, is_plain, xdstp, across: None })
    }

    /// The name of the Service whose endpoints are meant: the derived one for what clusters export.
    pub fn called(&self) -> Cow<'a, str> {
        match self.across {
            Some(_) => Cow::Owned(clusterset::derived_name(self.namespace, self.name)),
            None => Cow::Borrowed(self.name),
        }
    }

    /// The key of that Service.
    pub fn service(&self) -> String {
        format!("{}/{}", self.namespace, self.called())
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
        let tagged = match (self.across, self.tag) {
            (Some(across), _) => Cow::Owned(self.across_plain(across, plain)),
            (None, Some(tag)) => Cow::Owned(format!("{tag}.{plain}")),
            (None, None) => Cow::Borrowed(plain),
        };
        match self.xdstp {
            Some(xdstp) => Xdstp { id: &tagged, ..xdstp }.of(ResourceType::Cluster),
            None => tagged.into_owned(),
        }
    }

    fn across_plain(&self, across: Across<'_>, plain: &str) -> String {
        let port = plain.rsplit_once(':').map_or("", |(_, port)| port);
        match across {
            Across::Clusterset => format!("{}.{}.clusterset:{port}", self.name, self.namespace),
            Across::Cluster(id) => format!("{}.{}.{id}.clusterset:{port}", self.name, self.namespace),
        }
    }
}

// === impl Across ===

impl<'a> Across<'a> {
    /// Name, namespace, and whose; `None` when it is no name of a clusterset. An id may have dots.
    fn read(host: &'a str) -> Option<(&'a str, &'a str, Self)> {
        if host.split('.').any(str::is_empty) {
            return None;
        }
        let full = host.strip_suffix(clusterset::DOMAIN).and_then(|host| host.strip_suffix(".svc."));
        if let Some((name, namespace)) = full.and_then(|host| host.split_once('.')) {
            return (!namespace.contains('.')).then_some((name, namespace, Self::Clusterset));
        }
        let (name, rest) = host.strip_suffix(".clusterset")?.split_once('.')?;
        Some(match rest.split_once('.') {
            Some((namespace, id)) => (name, namespace, Self::Cluster(id)),
            None => (name, rest, Self::Clusterset),
        })
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
