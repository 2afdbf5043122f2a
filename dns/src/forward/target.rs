//! Who is asked, as `--forward` says it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::resolv_conf;

/// One value of `--forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A server.
    Address(SocketAddr),
    /// A file in the form of resolv.conf(5) that names servers, read again when it changes.
    ResolvConf(PathBuf),
}

/// A value that is neither.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the IP address of a DNS server, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53, or the path of a \
     resolv.conf, such as /etc/resolv.conf; names cannot be resolved here"
)]
pub struct TargetError;

/// Where DNS servers listen.
pub const DNS_PORT: u16 = 53;

// === impl Target ===

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.contains('/') {
            return Ok(Self::ResolvConf(text.into()));
        }
        let address = text.parse().ok().or_else(|| resolv_conf::address(text)).ok_or(TargetError)?;
        let usable = |address: &SocketAddr| !address.ip().is_unspecified() && address.port() != 0;
        Some(address).filter(usable).map(Self::Address).ok_or(TargetError)
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
            assert_eq!(text.parse(), Ok(Target::Address(addr(expected))), "{text}");
        }
        assert_eq!("/etc/resolv.conf".parse(), Ok(Target::ResolvConf("/etc/resolv.conf".into())));
        assert_eq!("./upstreams".parse(), Ok(Target::ResolvConf("./upstreams".into())));
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
