//! Tests: endpoints of a cluster that has fallen silent are given when there is no other, or after all others.

use super::*;

/// Two endpoints that are heard of, unless there are none, and two of a silent cluster, of which each stands in its own bucket.
fn zone(heard: bool) -> Arc<Zone> {
    let suspect = |endpoint: Endpoint| Endpoint { suspect: true, ..endpoint };
    let port = [("pg", 5432)];
    let part = |part: u32| {
        let n = u64::from(part) + 1;
        let mut endpoints = vec![suspect(endpoint(n << 62 | 2, "", &format!("10.2.0.{n}"), &port))];
        if heard {
            endpoints.push(endpoint(n << 62 | 1, "", &format!("10.1.0.{n}"), &port));
        }
        bucket("shop/db", 2, part, endpoints)
    };
    let mut writer = ZoneWriter::new(Settings::default());
    writer.apply([service("shop/db", headless()), part(0), part(1)], 7);
    writer.sync("cluster.local", 7).unwrap();
    Arc::clone(writer.zone())
}

fn told(zone: &Zone, name: &str, rtype: RecordType) -> Vec<String> {
    let answer = ask(zone, &query(name, rtype), Transport::Tcp);
    let mut told: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    told.sort();
    told
}

#[test]
fn addresses_of_silent_clusters_are_told_when_there_are_no_others() {
    let name = "db.shop.svc.cluster.local.";
    assert_eq!(told(&zone(true), name, RecordType::A), ["10.1.0.1", "10.1.0.2"]);
    assert_eq!(told(&zone(false), name, RecordType::A), ["10.2.0.1", "10.2.0.2"]);
    // By its own name each is told.
    assert_eq!(told(&zone(true), &format!("10-2-0-1.{name}"), RecordType::A), ["10.2.0.1"]);
}

#[test]
fn ports_of_silent_clusters_have_the_lower_priority() {
    let name = "_pg._tcp.db.shop.svc.cluster.local.";
    let target = |priority: u16, ip: &str| format!("{priority} 1 5432 {ip}.db.shop.svc.cluster.local.");
    let heard = [target(0, "10-1-0-1"), target(0, "10-1-0-2"), target(1, "10-2-0-1"), target(1, "10-2-0-2")];
    assert_eq!(told(&zone(true), name, RecordType::SRV), heard);
    let silent = told(&zone(false), name, RecordType::SRV);
    assert_eq!(silent, [target(1, "10-2-0-1"), target(1, "10-2-0-2")]);
}
