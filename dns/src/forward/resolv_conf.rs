//! The name servers of a resolv.conf(5). `search` and `options` are for resolvers; here they mean nothing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::target::DNS_PORT;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Its servers, in its order.
    pub servers: Vec<SocketAddr>,
    /// Its search domains, as written; the last line counts (resolv.conf(5)).
    pub search: Vec<String>,
    /// Lines that should name a server and cannot be read.
    pub unread: Vec<String>,
}

// === impl ResolvConf ===

impl ResolvConf {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("nameserver"), Some(word)) => match address(word) {
                    Some(address) => found.servers.push(address),
                    None => found.unread.push(line.to_owned()),
                },
                (Some("search" | "domain"), Some(first)) => {
                    found.search = std::iter::once(first).chain(words).map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        found
    }
}

/// An address without a port, IPv6 with a scope if need be, as in `fe80::1%eth0` (RFC 4007 §11).
pub(super) fn address(word: &str) -> Option<SocketAddr> {
    let (ip, scope) = match word.split_once('%') {
        Some((ip, scope)) => (ip.parse::<Ipv6Addr>().ok()?.into(), scope_id(scope)?),
        None => (word.parse::<IpAddr>().ok()?, 0),
    };
    Some(match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, DNS_PORT),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, DNS_PORT, 0, scope).into(),
    })
}

/// The number of an interface, given by number or name.
fn scope_id(scope: &str) -> Option<u32> {
    let by_name = || {
        let plain = !scope.is_empty() && !scope.contains(['/', '.']);
        let path = plain.then(|| format!("/sys/class/net/{scope}/ifindex"))?;
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    scope.parse().ok().or_else(by_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_in_order_and_everything_else_is_left_alone() {
        let text = "# made by hand\n; nameserver 192.0.2.1\nsearch a.example b.example\nnameserver 192.0.2.53\n\
                    nameserver\t2001:db8::53   # second\noptions ndots:5 edns0\nnameserver fe80::1%7\nnameserver";
        let found = ResolvConf::parse(text);
        let servers: Vec<_> = found.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53", "[fe80::1%7]:53"]);
        assert_eq!((found.search, found.unread), (vec!["a.example".to_owned(), "b.example".to_owned()], Vec::new()));
    }

    #[test]
    fn an_interface_is_known_by_its_name_and_an_unknown_one_is_said() {
        let found = ResolvConf::parse("nameserver fe80::1%lo\nnameserver fe80::1%nowhere0\nnameserver dns.example");
        assert_eq!(found.servers.len(), 1, "{found:?}");
        assert_eq!(found.unread, ["nameserver fe80::1%nowhere0", "nameserver dns.example"]);
    }
}
