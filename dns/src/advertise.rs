//! Under which addresses clients reach this server: what the zone's name server resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

/// For the address of a catalog server by its name.
const PATIENCE: Duration = Duration::from_secs(1);
/// The addresses of this machine's interfaces (RFC 4007 scopes in the fourth column).
const IF_INET6: &str = "/proc/net/if_inet6";
/// Scope of a global address in that file.
const GLOBAL: &str = "00";

/// The addresses given, or else those of `listen`. One that stands for all of a machine's becomes that which the machine
/// has towards the `catalogs`: it is asked of the system, and nothing is sent.
pub async fn addresses(given: &[IpAddr], listen: &[SocketAddr], catalogs: &[String]) -> Vec<IpAddr> {
    let mut all = given.to_vec();
    if all.is_empty() {
        for addr in listen {
            all.push(if addr.ip().is_unspecified() { own(addr.ip(), catalogs).await } else { addr.ip() });
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// This machine's address of the family.
async fn own(family: IpAddr, catalogs: &[String]) -> IpAddr {
    for catalog in catalogs {
        let authority = catalog.split_once("://").map_or(catalog.as_str(), |(_, rest)| rest);
        let Ok(Ok(found)) = timeout(PATIENCE, lookup_host(authority)).await else { continue };
        for remote in found.filter(|remote| remote.is_ipv4() == family.is_ipv4()) {
            if let Some(address) = towards(family, remote).await {
                return address;
            }
        }
    }
    match family {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => {
            global_v6(&std::fs::read_to_string(IF_INET6).unwrap_or_default()).unwrap_or(Ipv6Addr::LOCALHOST).into()
        }
    }
}

/// From which address a datagram would go there. Connecting a UDP socket sends none.
async fn towards(family: IpAddr, remote: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(family, 0)).await.ok()?;
    socket.connect(remote).await.ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_unspecified())
}

/// The first global address in the text of if_inet6: the address, its interface's number, the prefix, the scope.
fn global_v6(text: &str) -> Option<Ipv6Addr> {
    text.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [digits, _, _, GLOBAL, ..] = fields.as_slice() else { return None };
        u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(given: &[&str], listen: &[&str], catalog: &str) -> Vec<String> {
        let given: Vec<_> = given.iter().map(|text| text.parse().unwrap()).collect();
        let listen: Vec<_> = listen.iter().map(|text| text.parse().unwrap()).collect();
        addresses(&given, &listen, &[catalog.to_owned()]).await.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn what_is_given_goes_before_what_is_listened_on() {
        let listen = ["127.0.0.1:53", "[::1]:53", "127.0.0.1:54"];
        assert_eq!(of(&[], &listen, "http://127.0.0.1:1").await, ["127.0.0.1", "::1"]);
        assert_eq!(of(&["192.0.2.2", "192.0.2.1"], &listen, "http://127.0.0.1:1").await, ["192.0.2.1", "192.0.2.2"]);
    }

    #[tokio::test]
    async fn an_address_that_stands_for_all_becomes_the_one_towards_the_catalog() {
        assert_eq!(of(&[], &["0.0.0.0:53"], "http://127.0.0.1:1").await, ["127.0.0.1"]);
        let v6 = of(&[], &["[::]:53"], "http://127.0.0.1:1").await;
        assert!(v6.len() == 1 && v6[0].parse::<Ipv6Addr>().is_ok_and(|address| !address.is_unspecified()), "{v6:?}");
    }

    #[test]
    fn the_first_global_address_of_the_interfaces_is_found() {
        let text = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    fe800000000000000000000000000001 02 40 20 80     eth0\n\
                    20010db8000000000000000000000007 02 40 00 80     eth0\n";
        assert_eq!(global_v6(text), Some("2001:db8::7".parse().unwrap()));
        assert_eq!(global_v6("nonsense\n"), None);
    }
}
