//! What Consul's DNS server is tested for, test by test, and where answers here differ.

use std::collections::BTreeSet;
use std::path::Path;

use super::cases::{Case, Weights};
use super::*;
use crate::zone::Registry;
use crate::zone::machines::{self, Machine};

const CASES: &str = include_str!("consul/cases.txt");

/// What the cases are about: services of the namespace `default`, and machines.
fn catalog() -> Arc<Zone> {
    let domains = ["consul.", "test-domain."].map(|name| Name::from_ascii(name).unwrap()).to_vec();
    let registry = Registry { domains, namespace: "default".into(), datacenter: "dc1".into(), only_passing: false };
    let name_servers = vec!["127.0.0.1".parse().unwrap()];
    let mut writer = ZoneWriter::new(Settings { ttl: 5, name_servers, registry, ..Settings::default() });
    let of = |id, hostname: &str, address: &str, ports: &[(&str, u16)], texts: &[&str]| {
        let texts: Vec<Box<str>> = texts.iter().map(|text| (*text).into()).collect();
        Endpoint { texts: texts.into(), ..endpoint(id, hostname, address, ports) }
    };
    let one = |id, hostname: &str, address: &str| of(id, hostname, address, &[("http", 80)], &[]);
    let db = |id, hostname: &str, address: &str, tag: &str| of(id, hostname, address, &[("db", 12345)], &[tag]);
    let well = weighted(5, one(1, "passing", "10.1.3.1"));
    let ill = Endpoint { warns: true, ..one(2, "warning", "10.1.3.2") };
    let services = [
        ("db", vec![db(1, "db-1", "10.1.0.1", "tag=primary"), db(2, "db-2", "10.1.0.2", "tag=secondary")]),
        ("six", vec![one(1, "six-1", "2607:20:4005:808::200e")]),
        ("tagged", vec![of(1, "t-1", "10.1.1.1", &[("http", 80)], &["tag=v1.primary", "tag=tag1", "tag=tag2"])]),
        ("twice", vec![one(1, "same", "10.1.2.1"), of(2, "same", "10.1.2.1", &[("other", 81)], &[])]),
        ("health", vec![well, ill, not_ready(one(3, "critical", "10.1.3.3"))]),
        ("down", vec![not_ready(one(1, "down-1", "10.1.5.1"))]),
        ("meta", vec![of(1, "m-1", "10.1.4.1", &[], &["version=1.2"])]),
    ];
    let headless = |(name, endpoints): (&str, Vec<Endpoint>)| {
        let key = format!("default/{name}");
        [service(&key, headless()), bucket(&key, 1, 0, endpoints)]
    };
    let mut changes: Vec<_> = services.into_iter().flat_map(headless).collect();
    changes.push(service("default/vip", cluster_ip(&["10.96.0.7"], &[("http", 80)])));
    let names = [
        ("named", "www.google.com"),
        ("alias", "db.service.consul"),
        ("nested", "alias.service.consul"),
        ("loop", "loop.service.consul"),
    ];
    changes.extend(names.map(|(name, target)| service(&format!("default/{name}"), external(target))));
    writer.apply(changes, 7);
    let machines = [("foo", "10.2.0.1", "east-a"), ("foo.bar", "10.2.0.2", ""), ("bar", "::4242:4242", "")];
    let machine = |(name, address, zone): (&str, &str, &str)| -> machines::Change {
        let texts = if zone.is_empty() { Arc::default() } else { Arc::from([format!("zone={zone}").into()]) };
        (name.into(), Some(Arc::new(Machine::new([address.parse().unwrap()], zone, texts))))
    };
    writer.apply_machines(machines.map(machine).into(), 7);
    writer.sync("cluster.local", 7).unwrap();
    Arc::clone(writer.zone())
}

/// A test of ours that is said to show something, by its file and name.
fn is_there(of: &str) -> bool {
    let (file, function) = of.split_once(' ').unwrap();
    let path = if file.contains('/') { file.to_owned() } else { format!("src/answer/tests/{file}.rs") };
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default();
    text.contains(&format!("fn {function}("))
}

#[test]
fn what_consul_is_tested_for_is_answered_as_there_but_for_what_is_said() {
    let lines = table::lines(CASES);
    let (zone, mut names, mut count, mut wrong) = (catalog(), BTreeSet::new(), 0, Vec::new());
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix("= ") {
            assert!(names.insert(name), "{name} is there twice");
            assert!(lines.get(at + 1).is_some_and(|next| !next.starts_with("= ")), "{name} says nothing");
        } else if let Some(of) = line.strip_prefix("in ") {
            assert!(is_there(of), "no test: {of}");
        } else if let Some(why) = line.strip_prefix("not: ") {
            assert!(why.len() > 5, "{line}");
        } else if !line.starts_with(' ') {
            count += 1;
            wrong.extend(Case::at(&lines, at).fault(&zone, Weights::Shown));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((names.len(), count), (104, 88), "tests and cases");
}
