//! A check as somebody else is asked for it. What rests on a Secret or on the catalog is asked of nobody.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::model::Name;
use rollcall_health::confirmation::Vote;
use rollcall_health::definition::tls::Verify;
use rollcall_health::definition::{Exchange, Grpc, Http, Http2, Statuses, TIMEOUT_MAX, Tcp, Tls, TlsHandshake, Udp};
use rollcall_health::{Check, CheckKind};
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::proto::rollcall::v1::found::Vote as Word;
use rollcall_xds::proto::rollcall::v1::probe::Kind;

/// The question of that number; `None` when it cannot be asked.
pub fn probe(number: u64, check: &Check, address: SocketAddr) -> Option<v1::Probe> {
    if check.kind.tls().is_some_and(|tls| tls.secret.is_some()) {
        return None;
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    Some(v1::Probe {
        number,
        address: ip.into(),
        port: address.port().into(),
        timeout_ms: u32::try_from(check.timeout.min(TIMEOUT_MAX).as_millis()).unwrap_or(u32::MAX),
        kind: Some(kind(&check.kind)?),
    })
}

/// What is asked for, and where; `None` when this version does not know it.
pub fn read(probe: v1::Probe) -> Option<(Check, SocketAddr)> {
    let v4 = <[u8; 4]>::try_from(&*probe.address).map(IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(&*probe.address).map(IpAddr::from)).ok()?;
    let address = SocketAddr::new(ip, u16::try_from(probe.port).ok()?);
    let timeout = Duration::from_millis(probe.timeout_ms.into()).min(TIMEOUT_MAX);
    Some((Check { timeout, ..Check::new("asked", read_kind(probe.kind?)?) }, address))
}

/// An answer.
pub fn found(number: u64, vote: Vote) -> v1::Found {
    let vote = match vote {
        Vote::Reached => Word::Reached,
        Vote::Failed => Word::Failed,
        Vote::Abstained => Word::Abstained,
    };
    v1::Found { number, vote: vote.into() }
}

/// What an answer says.
pub fn vote(found: &v1::Found) -> Vote {
    match found.vote() {
        Word::Reached => Vote::Reached,
        Word::Failed => Vote::Failed,
        Word::Abstained => Vote::Abstained,
    }
}

fn kind(kind: &CheckKind) -> Option<Kind> {
    Some(match kind {
        CheckKind::Http(http) => Kind::Http(v1::HttpProbe {
            method: http.method.to_string(),
            path: http.path.to_string(),
            host: text(http.host.as_ref()),
            headers: { http.headers.iter() }
                .map(|(key, value)| v1::Pair { key: key.to_string(), value: value.to_string() })
                .collect(),
            body: text(http.body.as_ref()),
            statuses: { http.statuses.ranges().iter() }
                .map(|(first, last)| v1::StatusRange { first: (*first).into(), last: (*last).into() })
                .collect(),
            contains: text(http.contains.as_ref()),
            redirects_max: http.redirects_max.into(),
            tls: http.tls.as_ref().map(tls),
        }),
        CheckKind::Tcp(tcp) => {
            Kind::Tcp(v1::TcpProbe { tls: tcp.tls.as_ref().map(tls), exchange: Some(exchange(&tcp.exchange)) })
        }
        CheckKind::Tls(handshake) => Kind::Tls(v1::TlsProbe {
            tls: Some(tls(&handshake.tls)),
            warning_days: handshake.warning_days.into(),
            critical_days: handshake.critical_days.into(),
        }),
        CheckKind::Grpc(grpc) => Kind::Grpc(v1::GrpcProbe {
            service: grpc.service.to_string(),
            authority: text(grpc.authority.as_ref()),
            tls: grpc.tls.as_ref().map(tls),
        }),
        CheckKind::Http2(http2) => Kind::Http2(v1::Http2Probe { tls: http2.tls.as_ref().map(tls) }),
        CheckKind::Udp(udp) => Kind::Udp(v1::UdpProbe { exchange: Some(exchange(&udp.exchange)) }),
        CheckKind::Alias(_) => return None,
    })
}

fn read_kind(kind: Kind) -> Option<CheckKind> {
    Some(match kind {
        Kind::Http(http) => {
            let header = |pair: v1::Pair| (Name::from(pair.key), Name::from(pair.value));
            let range =
                |range: &v1::StatusRange| Some((u16::try_from(range.first).ok()?, u16::try_from(range.last).ok()?));
            CheckKind::Http(Http {
                method: http.method.into(),
                path: http.path.into(),
                host: http.host.map(Name::from),
                headers: http.headers.into_iter().map(header).collect(),
                body: http.body.map(Name::from),
                statuses: Statuses::new(http.statuses.iter().map(range).collect::<Option<Vec<_>>>()?),
                contains: http.contains.map(Name::from),
                redirects_max: u8::try_from(http.redirects_max).ok()?,
                tls: http.tls.map(read_tls),
            })
        }
        Kind::Tcp(tcp) => CheckKind::Tcp(Tcp {
            tls: tcp.tls.map(read_tls),
            exchange: read_exchange(tcp.exchange.unwrap_or_default()),
        }),
        Kind::Tls(handshake) => CheckKind::Tls(TlsHandshake {
            tls: read_tls(handshake.tls.unwrap_or_default()),
            warning_days: u16::try_from(handshake.warning_days).ok()?,
            critical_days: u16::try_from(handshake.critical_days).ok()?,
        }),
        Kind::Grpc(grpc) => CheckKind::Grpc(Grpc {
            service: grpc.service.into(),
            authority: grpc.authority.map(Name::from),
            tls: grpc.tls.map(read_tls),
        }),
        Kind::Http2(http2) => CheckKind::Http2(Http2 { tls: http2.tls.map(read_tls) }),
        Kind::Udp(udp) => CheckKind::Udp(Udp { exchange: read_exchange(udp.exchange.unwrap_or_default()) }),
    })
}

fn tls(tls: &Tls) -> v1::ProbeTls {
    v1::ProbeTls {
        server_name: text(tls.server_name.as_ref()),
        authorities: text(tls.authorities.as_ref()),
        key_only: tls.verify == Verify::KeyOnly,
    }
}

fn read_tls(tls: v1::ProbeTls) -> Tls {
    Tls {
        server_name: tls.server_name.map(Name::from),
        authorities: tls.authorities.map(Name::from),
        verify: if tls.key_only { Verify::KeyOnly } else { Verify::All },
        secret: None,
    }
}

fn exchange(exchange: &Exchange) -> v1::Exchange {
    let bytes = |bytes: &Arc<[u8]>| bytes.to_vec().into();
    v1::Exchange { send: exchange.send.as_ref().map(bytes), expect: exchange.expect.as_ref().map(bytes) }
}

fn read_exchange(exchange: v1::Exchange) -> Exchange {
    Exchange {
        send: exchange.send.map(|bytes| bytes[..].into()),
        expect: exchange.expect.map(|bytes| bytes[..].into()),
    }
}

fn text(name: Option<&Name>) -> Option<String> {
    name.map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::ServiceKey;
    use rollcall_health::definition::{Alias, SecretKey};

    use super::*;

    fn kinds() -> Vec<CheckKind> {
        let tls = || Tls { server_name: Some("db.example.net".into()), verify: Verify::KeyOnly, ..Tls::default() };
        let exchange = Exchange { send: Some(b"PING\r\n"[..].into()), expect: Some(b"PONG"[..].into()) };
        let http = Http {
            headers: [("accept".into(), "text/plain".into())].into(),
            statuses: Statuses::new([(200, 204), (301, 301)]),
            body: Some("{}".into()),
            contains: Some("ok".into()),
            redirects_max: 3,
            tls: Some(Tls { authorities: Some("-----BEGIN".into()), ..Tls::default() }),
            host: Some("shop.example.net".into()),
            ..Http::get("/healthz?deep=1")
        };
        vec![
            CheckKind::Http(Http::get("/")),
            CheckKind::Http(http),
            CheckKind::Tcp(Tcp::default()),
            CheckKind::Tcp(Tcp { tls: Some(tls()), exchange: exchange.clone() }),
            CheckKind::Tls(TlsHandshake { tls: tls(), warning_days: 21, critical_days: 7 }),
            CheckKind::Grpc(Grpc { service: "shop".into(), authority: Some("a".into()), tls: None }),
            CheckKind::Http2(Http2 { tls: Some(tls()) }),
            CheckKind::Udp(Udp { exchange }),
        ]
    }

    #[test]
    fn what_is_asked_is_read_as_it_was_asked() {
        for address in ["198.51.100.1:80", "[2001:db8::1]:443"] {
            let address = address.parse().expect("an address");
            for kind in kinds() {
                let check = Check { timeout: Duration::from_millis(700), ..Check::new("asked", kind) };
                let asked = probe(7, &check, address).expect("it can be asked");
                assert_eq!(read(asked), Some((check, address)));
            }
        }
        for vote in [Vote::Reached, Vote::Failed, Vote::Abstained] {
            assert_eq!(super::vote(&found(7, vote)), vote);
        }
    }

    #[test]
    fn no_secret_leaves_the_controller_and_what_follows_the_catalog_is_asked_of_nobody() {
        let secret = SecretKey { namespace: "shop".into(), name: "client".into() };
        let tls = Some(Tls { secret: Some(secret), ..Tls::default() });
        let alias = Alias { service: ServiceKey::new("shop", "db"), endpoint: None };
        let address = "198.51.100.1:80".parse().expect("an address");
        for kind in [CheckKind::Http2(Http2 { tls }), CheckKind::Alias(alias)] {
            assert_eq!(probe(7, &Check::new("asked", kind), address), None);
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_not_read() {
        let asked =
            probe(7, &Check::new("asked", CheckKind::Tcp(Tcp::default())), "198.51.100.1:80".parse().expect("one"));
        let asked = asked.expect("it can be asked");
        assert_eq!(read(v1::Probe { kind: None, ..asked.clone() }), None);
        assert_eq!(read(v1::Probe { port: 70_000, ..asked.clone() }), None);
        assert_eq!(read(v1::Probe { address: vec![1, 2, 3].into(), ..asked }), None);
    }
}
