//! Names of pods by their address, as CoreDNS' option `pods` has them.

use RecordType::{A, AAAA, TXT};

use super::*;

const NO_DATA: &[&str] = &["NOERROR", "ns cluster.local. SOA"];
const NX_DOMAIN: &[&str] = &["NXDOMAIN", "ns cluster.local. SOA"];

#[track_caller]
fn expect(pod_names: PodNames, cases: &[(&str, RecordType, &[&str])]) {
    let zone = zone_with(pod_names);
    for (name, rtype, expected) in cases {
        assert_eq!(told(&zone, name, *rtype), *expected, "{name} {rtype} {pod_names}");
    }
}

#[test]
fn off_there_are_none() {
    let names = ["10-1-0-1.shop.pod.cluster.local.", "shop.pod.cluster.local.", "pod.cluster.local."];
    expect(PodNames::Off, &names.map(|name| (name, A, NX_DOMAIN)));
}

#[test]
fn insecure_every_address_has_a_name_in_every_namespace() {
    expect(
        PodNames::Insecure,
        &[
            ("10-1-0-1.shop.pod.cluster.local.", A, &["NOERROR", "an 10-1-0-1.shop.pod.cluster.local. A 10.1.0.1"]),
            (
                "192-0-2-1.nobody.pod.cluster.local.",
                A,
                &["NOERROR", "an 192-0-2-1.nobody.pod.cluster.local. A 192.0.2.1"],
            ),
            ("FD00--1.shop.POD.cluster.local.", AAAA, &["NOERROR", "an FD00--1.shop.POD.cluster.local. AAAA fd00::1"]),
            ("10-1-0-1.shop.pod.cluster.local.", AAAA, NO_DATA),
            ("10-1-0-1.shop.pod.cluster.local.", TXT, NO_DATA),
            ("10-1-0-256.shop.pod.cluster.local.", A, NX_DOMAIN),
            ("web.shop.pod.cluster.local.", A, NX_DOMAIN),
            ("x.10-1-0-1.shop.pod.cluster.local.", A, NX_DOMAIN),
            ("shop.pod.cluster.local.", A, NO_DATA),
            ("pod.cluster.local.", A, NO_DATA),
            ("10-1-0-1.shop.svc.cluster.local.", A, NX_DOMAIN),
        ],
    );
}

#[test]
fn verified_those_of_endpoints_in_the_namespace_have_one() {
    expect(
        PodNames::Verified,
        &[
            // An endpoint of a service with a virtual address, one that is not ready, one of IPv6.
            ("10-1-0-1.shop.pod.cluster.local.", A, &["NOERROR", "an 10-1-0-1.shop.pod.cluster.local. A 10.1.0.1"]),
            ("10-1-0-6.shop.pod.cluster.local.", A, &["NOERROR", "an 10-1-0-6.shop.pod.cluster.local. A 10.1.0.6"]),
            ("fd00--3.shop.pod.cluster.local.", AAAA, &["NOERROR", "an fd00--3.shop.pod.cluster.local. AAAA fd00::3"]),
            ("10-1-0-99.shop.pod.cluster.local.", A, NX_DOMAIN),
            ("10-1-0-1.sho.pod.cluster.local.", A, NX_DOMAIN),
            // A virtual address is no pod's.
            ("10-96-0-1.shop.pod.cluster.local.", A, NX_DOMAIN),
            ("shop.pod.cluster.local.", A, NO_DATA),
            ("nobody.pod.cluster.local.", A, NX_DOMAIN),
        ],
    );
}

#[test]
fn a_pod_that_goes_takes_its_name_along() {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, pod_names: PodNames::Verified, ..Settings::default() });
    let name = "10-1-0-1.shop.pod.cluster.local.";
    writer.sync("cluster.local", 1).unwrap();
    let pod = || bucket("shop/web", 1, 0, vec![endpoint(1, "", "10.1.0.1", &[])]);
    let steps = [
        (vec![pod()], "NXDOMAIN"),
        (vec![service("shop/web", cluster_ip(&["10.96.0.1"], &[]))], "NOERROR"),
        (vec![bucket("shop/web", 1, 0, vec![endpoint(2, "", "10.1.0.2", &[])])], "NXDOMAIN"),
        (vec![pod()], "NOERROR"),
        (vec![Change::ServiceGone("shop/web".into())], "NXDOMAIN"),
    ];
    for (changes, expected) in steps {
        writer.apply(changes.clone(), 2);
        assert_eq!(told(writer.zone(), name, A)[0], expected, "after {changes:?}");
    }
}
