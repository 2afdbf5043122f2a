//! Tests: names of a hosts file, beside those of the catalog.

use RecordType::{A, AAAA, MX, PTR};

use super::*;
use crate::answer::Manner;
use crate::hosts::{Hosts, Table};

/// What is answered, as sorted lines, or where others are asked.
fn told(zone: &Zone, name: &str, rtype: RecordType, outside: Outside) -> Vec<String> {
    let text =
        "192.0.2.7 api.example.com bank.example\n2001:db8::7 api.example.com\n192.0.2.9 web.shop.svc.cluster.local";
    let manner = Manner { hosts: Table::new(Hosts::parse(text).unwrap()), ..outside.into() };
    let query = query(name, rtype).to_vec().unwrap();
    let mut out = Vec::new();
    match answer(&query, &Transport::Udp.into(), zone, &manner, &mut Rng::with_seed(1), &mut out) {
        Outcome::Answered(_) => {
            let message = Message::from_vec(&out).unwrap();
            let mut lines: Vec<_> = message.answers.iter().map(|record| record.data.to_string()).collect();
            lines.sort();
            lines.insert(0, format!("{:?} {}", message.metadata.response_code, message.authorities.len()));
            lines
        }
        Outcome::Foreign(foreign) => vec![format!("ask for {}", foreign.name)],
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_of_a_hosts_file_are_answered_before_others_are_asked_and_after_the_catalog() {
    let zone = zone();
    for outside in [Outside::Refused, Outside::Forwarded] {
        let told = |name, rtype| told(&zone, name, rtype, outside);
        assert_eq!(told("api.example.com.", A), ["NoError 0", "192.0.2.7"]);
        assert_eq!(told("API.example.com.", AAAA), ["NoError 0", "2001:db8::7"]);
        assert_eq!(told("bank.example.", AAAA), ["NoError 1"], "the name is known");
        assert_eq!(told("bank.example.", MX), ["NoError 1"]);
        assert_eq!(told("7.2.0.192.in-addr.arpa.", PTR), ["NoError 0", "api.example.com."]);
        // An ExternalName that leads there.
        assert_eq!(told("away.shop.svc.cluster.local.", A), ["NoError 0", "192.0.2.7", "api.example.com."]);
        let of_catalog = told("web.shop.svc.cluster.local.", A);
        assert!(!of_catalog.contains(&"192.0.2.9".to_owned()), "{of_catalog:?}");
        let other = match outside {
            Outside::Refused => "Refused 0",
            Outside::Forwarded => "ask for example.com.",
        };
        assert_eq!(told("example.com.", A), [other]);
    }
}

#[test]
fn they_are_answered_before_the_catalog_is_there() {
    let writer = ZoneWriter::new(Settings::default());
    let lines = told(writer.zone(), "bank.example.", A, Outside::Forwarded);
    assert_eq!(lines, ["NoError 0", "192.0.2.7"]);
}
