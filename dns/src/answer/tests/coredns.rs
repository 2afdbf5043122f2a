//! The cases of CoreDNS's plugin kubernetes, and where answers here differ.

use super::cases::{Case, Weights};
use super::*;

const CASES: &str = include_str!("coredns/cases.txt");

/// The Services that the cases are about.
fn services(pod_names: PodNames) -> Arc<Zone> {
    let name_servers = vec!["127.0.0.1".parse().unwrap()];
    let mut writer = ZoneWriter::new(Settings { ttl: 5, name_servers, pod_names, ..Settings::default() });
    let of_one = |n, hostname: &str, address: &str| endpoint(n, hostname, address, &[("http", 80)]);
    let headless_with = |name: &str, endpoints: Vec<Endpoint>| {
        let key = format!("testns/{name}");
        [service(&key, headless()), bucket(&key, 1, 0, endpoints)]
    };
    let hdls1 = [
        ("", "172.0.0.2"),
        ("", "172.0.0.3"),
        ("dup-name", "172.0.0.4"),
        ("dup-name", "172.0.0.5"),
        ("", "5678:abcd::1"),
        ("", "5678:abcd::2"),
    ];
    let hdls1 = hdls1.iter().enumerate().map(|(n, (hostname, address))| of_one(n as u64, hostname, address)).collect();
    let by_zone = [("us-west-2a", "172.0.1.1"), ("us-west-2b", "172.0.1.2"), ("us-west-2b", "172.0.1.3")];
    let by_zone = by_zone.iter().enumerate().map(|(n, (zone, at))| in_zone(zone, of_one(n as u64, "", at))).collect();
    let mut changes = vec![
        service("testns/svc1", cluster_ip(&["10.0.0.1"], &[("http", 80)])),
        bucket("testns/svc1", 1, 0, vec![of_one(1, "ep1a", "10.0.1.100")]),
        service("testns/vip", cluster_ip(&["192.168.1.100"], &[("http", 80)])),
        service("testns/svcempty", cluster_ip(&["10.0.0.1"], &[("http", 80)])),
        service("testns/svc6", cluster_ip(&["1234:abcd::1"], &[("http", 80)])),
        service("testns/svc-dual-stack", cluster_ip(&["10.0.0.3", "10::3"], &[("http", 80)])),
        service("testns/external", external("ext.interwebs.test")),
        service("testns/external-to-service", external("svc1.testns.svc.cluster.local")),
        service("podns/pods", headless()),
        bucket("podns/pods", 1, 0, vec![of_one(1, "", "10.240.0.1")]),
    ];
    let double = || of_one(1, "double-ep", "10.0.1.99");
    let with_v6 = vec![double(), of_one(2, "ip6svc1in", "fd00:77:30::2:9ba6")];
    changes.extend(headless_with("hdls1", hdls1));
    changes.extend(headless_with("hdls", by_zone));
    changes.extend(headless_with("hdls2", vec![double()]));
    changes.extend(headless_with("double", with_v6));
    changes.extend(headless_with("hdlsprtls", vec![endpoint(1, "", "172.0.0.20", &[])]));
    writer.apply(changes, 7);
    writer.sync("cluster.local", 7).unwrap();
    Arc::clone(writer.zone())
}

#[test]
fn the_cases_of_coredns_are_answered_as_there_but_for_what_is_said() {
    let lines = table::lines(CASES);
    let (mut zone, mut count, mut wrong) = (services(PodNames::Off), 0, Vec::new());
    for (at, line) in lines.iter().enumerate() {
        if let Some(mode) = line.strip_prefix("[pods ") {
            zone = services(mode.trim_end_matches(']').parse().unwrap());
        } else if !line.starts_with(' ') {
            count += 1;
            wrong.extend(Case::at(&lines, at).fault(&zone, Weights::Hidden));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 91, "cases");
}
