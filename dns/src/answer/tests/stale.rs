//! Tests: answers about services that are older than their policy allows.

use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use super::*;
use crate::zone::model::{Staleness, WhenStale};

/// A zone with a headless service and one with an address, each with this bound, and a headless one without any.
fn zone_of(then: WhenStale, at_source: bool) -> Arc<Zone> {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    let staleness = Some(Staleness { after_s: 30, then, at_source });
    let changes = [
        service("shop/db", Service { staleness, ..headless() }),
        bucket("shop/db", 1, 0, vec![endpoint(1, "db-0", "10.1.0.2", &[("pg", 5432)])]),
        service("shop/empty", Service { staleness, ..headless() }),
        service("shop/web", Service { staleness, ..cluster_ip(&["10.96.0.1"], &[("http", 80)]) }),
        service("shop/old", headless()),
        bucket("shop/old", 1, 0, vec![endpoint(2, "old-0", "10.1.0.3", &[])]),
    ];
    writer.apply(changes, 1_700_000_000);
    writer.sync("cluster.local", 1_700_000_000).unwrap();
    Arc::clone(writer.zone())
}

/// The code of an answer, how many records it has, and its extended error.
fn asked(zone: &Zone, name: &str, rtype: RecordType) -> (ResponseCode, usize, Option<u16>) {
    let mut message = query(&format!("{name}.svc.cluster.local."), rtype);
    message.set_edns(hickory_proto::op::Edns::new());
    let answer = ask(zone, &message, Transport::Udp);
    let option = answer.edns.as_ref().and_then(|edns| match edns.option(EdnsCode::Unknown(15)) {
        Some(EdnsOption::Unknown(_, data)) => Some(u16::from_be_bytes([data[0], data[1]])),
        _ => None,
    });
    (answer.metadata.response_code, answer.answers.len(), option)
}

#[test]
fn what_is_served_although_it_is_stale_says_so() {
    let zone = zone_of(WhenStale::Serve, false);
    assert_eq!(asked(&zone, "db.shop", RecordType::A), (ResponseCode::NoError, 1, None));
    zone.disconnected();
    zone.grow_older(29);
    assert_eq!(asked(&zone, "db.shop", RecordType::A), (ResponseCode::NoError, 1, None));
    zone.grow_older(1);
    for (name, rtype) in [
        ("db.shop", RecordType::A),
        ("web.shop", RecordType::A),
        ("db-0.db.shop", RecordType::A),
        ("_pg._tcp.db.shop", RecordType::SRV),
    ] {
        assert_eq!(asked(&zone, name, rtype), (ResponseCode::NoError, 1, Some(3)), "{name}");
    }
    assert_eq!(asked(&zone, "old.shop", RecordType::A), (ResponseCode::NoError, 1, None), "it has no bound");
    zone.connected();
    zone.grow_older(100);
    assert_eq!(asked(&zone, "db.shop", RecordType::A), (ResponseCode::NoError, 1, None));
}

#[test]
fn what_is_refused_fails_and_is_not_said_not_to_exist() {
    let zone = zone_of(WhenStale::Refuse, false);
    assert_eq!(asked(&zone, "empty.shop", RecordType::A).0, ResponseCode::NXDomain);
    zone.disconnected();
    zone.grow_older(30);
    for name in ["db.shop", "web.shop", "db-0.db.shop", "nobody.db.shop", "_x._tcp.db.shop", "empty.shop"] {
        assert_eq!(asked(&zone, name, RecordType::A), (ResponseCode::ServFail, 0, Some(22)), "{name}");
    }
    assert_eq!(asked(&zone, "old.shop", RecordType::A), (ResponseCode::NoError, 1, None));
    zone.connected();
    assert_eq!(asked(&zone, "db.shop", RecordType::A), (ResponseCode::NoError, 1, None));
}

#[test]
fn a_silent_source_of_the_controller_counts_while_the_stream_is_there() {
    assert_eq!(asked(&zone_of(WhenStale::Serve, true), "db.shop", RecordType::A), (ResponseCode::NoError, 1, Some(3)));
    assert_eq!(
        asked(&zone_of(WhenStale::Refuse, true), "db.shop", RecordType::A),
        (ResponseCode::ServFail, 0, Some(22))
    );
}
