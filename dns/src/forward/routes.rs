//! Who is asked for which names: the servers of a domain for what is below it, those of all others for the rest.

use std::str::FromStr;
use std::sync::Arc;

use hickory_proto::rr::Name;

use super::target::{Server, Target};
use super::upstreams::Upstreams;

/// One value of `--stub-domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stub {
    /// Fully qualified, in lower case.
    pub domain: Name,
    /// Who is asked for names below it, in this order.
    pub servers: Vec<Server>,
}

/// A value that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give a domain and the IP addresses of its DNS servers, such as corp.example=192.0.2.53,[2001:db8::53]:5353 or, \
     over TLS, corp.example=tls://192.0.2.53#dns.corp.example"
)]
pub struct StubError;

/// The servers by domain. What is kept and remembered is of all of them.
#[derive(Debug, Default)]
pub struct Routes {
    others: Option<Arc<Upstreams>>,
    /// Those of the longest domain first.
    stubs: Vec<(Name, Arc<Upstreams>)>,
}

// === impl Stub ===

impl FromStr for Stub {
    type Err = StubError;

    fn from_str(text: &str) -> Result<Self, StubError> {
        let (domain, servers) = text.split_once('=').ok_or(StubError)?;
        let mut domain = Name::from_ascii(domain.trim_end_matches('.')).map_err(|_| StubError)?.to_lowercase();
        domain.set_fqdn(true);
        let server = |text: &str| match text.parse() {
            Ok(Target::Server(server)) => Ok(server),
            Ok(Target::ResolvConf(_)) | Err(_) => Err(StubError),
        };
        let servers = servers.split(',').map(server).collect::<Result<_, _>>()?;
        if domain.is_root() { Err(StubError) } else { Ok(Self { domain, servers }) }
    }
}

// === impl Routes ===

impl Routes {
    /// These for names that belong to no stub, if any are asked then.
    pub fn new(others: Option<Arc<Upstreams>>) -> Self {
        Self { others, stubs: Vec::new() }
    }

    /// These for the names of a domain and below it.
    pub fn add(&mut self, domain: Name, upstreams: Arc<Upstreams>) {
        self.stubs.push((domain, upstreams));
        self.stubs.sort_by_key(|(domain, _)| std::cmp::Reverse(domain.iter().len()));
    }

    /// Who is asked for a name; `None` when nobody is.
    pub fn of(&self, name: &Name) -> Option<&Arc<Upstreams>> {
        let stub = self.stubs.iter().find(|(domain, _)| domain.zone_of(name));
        stub.map(|(_, upstreams)| upstreams).or(self.others.as_ref())
    }

    /// Whether a question is one of our own that came back. Its server is not asked any more.
    pub fn is_own_question(&self, name: &Name) -> bool {
        self.all().any(|upstreams| upstreams.is_own_question(name))
    }

    /// Another number when servers of any domain were replaced, or one came back.
    pub fn epoch(&self) -> u64 {
        self.all().map(|upstreams| upstreams.epoch()).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Upstreams>> {
        self.others.iter().chain(self.stubs.iter().map(|(_, upstreams)| upstreams))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn a_stub_is_a_domain_and_addresses() {
        let stub: Stub = "Corp.Example=192.0.2.53,[2001:db8::53]:5353".parse().unwrap();
        assert_eq!(stub.domain, name("corp.example."));
        assert_eq!(
            stub.servers.iter().map(Server::to_string).collect::<Vec<_>>(),
            ["192.0.2.53:53", "[2001:db8::53]:5353"]
        );
        let encrypted: Stub = "corp.example=tls://192.0.2.53#dns.corp.example".parse().unwrap();
        assert_eq!(encrypted.servers[0].to_string(), "tls://192.0.2.53:853#dns.corp.example");
        for text in
            ["corp.example", "=192.0.2.53", ".=192.0.2.53", "corp.example=", "corp.example=/etc/resolv.conf", "a=b"]
        {
            let error = text.parse::<Stub>().unwrap_err().to_string();
            assert!(error.contains("corp.example=192.0.2.53"), "{text}: {error}");
        }
    }

    #[test]
    fn the_longest_domain_of_a_name_decides_and_whole_labels_count() {
        let servers = || Arc::<Upstreams>::default();
        let (others, corp, lab) = (servers(), servers(), servers());
        let mut routes = Routes::new(Some(Arc::clone(&others)));
        routes.add(name("corp.example."), Arc::clone(&corp));
        routes.add(name("lab.corp.example."), Arc::clone(&lab));
        for (asked, expected) in [
            ("corp.example.", &corp),
            ("WWW.CORP.EXAMPLE.", &corp),
            ("www.lab.corp.example.", &lab),
            ("notcorp.example.", &others),
            ("example.", &others),
        ] {
            assert!(routes.of(&name(asked)).is_some_and(|found| Arc::ptr_eq(found, expected)), "{asked}");
        }
        let alone = Routes { others: None, ..routes };
        assert!(alone.of(&name("www.example.")).is_none() && alone.of(&name("corp.example.")).is_some());
        let before = alone.epoch();
        lab.came_back();
        assert_ne!(alone.epoch(), before);
    }
}
