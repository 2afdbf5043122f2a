//! Who is asked, as `--forward` says it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_rustls::rustls::pki_types::ServerName;

use super::resolv_conf;

/// One value of `--forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A server.
    Server(Server),
    /// A file in the form of resolv.conf(5) that names servers, read again when it changes.
    ResolvConf(PathBuf),
}

/// A server, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Where it is.
    pub addr: SocketAddr,
    /// Whom its certificate must be for, where it is spoken to over TLS (RFC 7858), and in no other way.
    pub tls: Option<ServerName<'static>>,
}

/// A value that is neither.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the IP address of a DNS server, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53, or the path of a \
     resolv.conf, such as /etc/resolv.conf; names cannot be resolved here. For DNS over TLS write tls:// before the address, and \
     behind it the name of its certificate, if that is not for the address: tls://192.0.2.53#dns.example.com"
)]
pub struct TargetError;

/// Where DNS servers listen.
pub const DNS_PORT: u16 = 53;
/// Where they listen for TLS (RFC 7858 §3.1).
pub const TLS_PORT: u16 = 853;
const TLS_SCHEME: &str = "tls://";

// === impl Target ===

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(rest) = text.strip_prefix(TLS_SCHEME) {
            let (address, name) = rest.split_once('#').map_or((rest, None), |(address, name)| (address, Some(name)));
            let addr = usable(address, TLS_PORT)?;
            let name = name.map_or_else(
                || Ok(ServerName::from(addr.ip())),
                |name| ServerName::try_from(name.to_owned()).map_err(|_| TargetError),
            )?;
            return Ok(Self::Server(Server { addr, tls: Some(name) }));
        }
        if text.contains('/') {
            return Ok(Self::ResolvConf(text.into()));
        }
        usable(text, DNS_PORT).map(|addr| Self::Server(addr.into()))
    }
}

/// An address that can be asked.
fn usable(text: &str, port: u16) -> Result<SocketAddr, TargetError> {
    let with_port = |mut address: SocketAddr| {
        address.set_port(port);
        address
    };
    let address = text.parse().ok().or_else(|| resolv_conf::address(text).map(with_port)).ok_or(TargetError)?;
    Some(address).filter(|address| !address.ip().is_unspecified() && address.port() != 0).ok_or(TargetError)
}

// === impl Server ===

impl From<SocketAddr> for Server {
    fn from(addr: SocketAddr) -> Self {
        Self { addr, tls: None }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = &self.tls else { return self.addr.fmt(f) };
        write!(f, "{TLS_SCHEME}{}#{}", self.addr, name.to_str())
    }
}

/// Whether an address is one that this server listens on, also by a wildcard.
pub fn is_own(address: SocketAddr, listen: &[SocketAddr]) -> bool {
    listen.iter().any(|own| {
        let same = own.ip() == address.ip() || (own.ip().is_unspecified() && is_of_this_machine(address));
        own.port() == address.port() && own.is_ipv4() == address.is_ipv4() && same
    })
}

/// Only the machine's own addresses can be bound to.
fn is_of_this_machine(mut address: SocketAddr) -> bool {
    address.set_port(0);
    address.ip().is_loopback() || std::net::UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_port_53_unless_it_says_so_and_a_path_has_a_slash() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(text.parse(), Ok(Target::Server(addr(expected).into())), "{text}");
        }
        assert_eq!("/etc/resolv.conf".parse(), Ok(Target::ResolvConf("/etc/resolv.conf".into())));
        assert_eq!("./upstreams".parse(), Ok(Target::ResolvConf("./upstreams".into())));
    }

    #[test]
    fn over_tls_the_port_is_853_and_the_certificate_is_for_the_name_or_the_address() {
        for (text, expected) in [
            ("tls://192.0.2.53", "tls://192.0.2.53:853#192.0.2.53"),
            ("tls://192.0.2.53:5353#dns.example.com", "tls://192.0.2.53:5353#dns.example.com"),
            ("tls://2001:db8::53#dns.example.com", "tls://[2001:db8::53]:853#dns.example.com"),
            ("tls://[2001:db8::53]:5353", "tls://[2001:db8::53]:5353#2001:db8::53"),
        ] {
            let Ok(Target::Server(server)) = text.parse() else { panic!("{text}") };
            assert_eq!(server.to_string(), expected, "{text}");
        }
        for text in ["tls://", "tls://dns.example.com", "tls://192.0.2.53#", "tls://192.0.2.53#a b", "tls://0.0.0.0"] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("tls://192.0.2.53#dns.example.com"), "{text}: {error}");
        }
    }

    #[test]
    fn names_wildcards_and_port_0_are_refused_with_what_to_give() {
        for text in ["", "dns.example.com", "0.0.0.0", "[::]:53", "192.0.2.53:0", "192.0.2.53:x", "https:"] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("192.0.2.53:5353") && error.contains("/etc/resolv.conf"), "{text}: {error}");
        }
    }

    #[test]
    fn own_addresses_are_found_also_behind_a_wildcard() {
        let own = |address: &str, listen: &str| is_own(addr(address), &[addr(listen)]);
        assert!(own("127.0.0.1:1053", "127.0.0.1:1053"));
        assert!(own("127.0.0.1:1053", "0.0.0.0:1053"));
        assert!(own("127.0.0.53:1053", "0.0.0.0:1053"));
        assert!(own("[::1]:1053", "[::]:1053"));
        assert!(!own("127.0.0.1:53", "127.0.0.1:1053"), "another port");
        assert!(!own("127.0.0.53:53", "127.0.0.1:53"), "another address");
        assert!(!own("192.0.2.53:53", "0.0.0.0:53"), "another machine");
        assert!(!own("127.0.0.1:53", "[::]:53"), "IPv6 wildcards take no IPv4");
    }
}
