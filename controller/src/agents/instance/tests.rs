//! What is read of an instance, and what is said of one that cannot be used.

use super::*;

fn payments() -> wire::Instance {
    wire::Instance {
        namespace: "shop".into(),
        service: "payments".into(),
        addresses: vec!["192.0.2.17".into()],
        ports: vec![wire::InstancePort { name: "http".into(), port: 8080, ..wire::InstancePort::default() }],
        ..wire::Instance::default()
    }
}

const EACH_SECOND: &str = r#"{"interval": "1s"}"#;

#[test]
fn an_endpoint_is_called_as_its_machine_and_says_which_it_is() {
    let read = Instance::read("vm-17", &payments()).expect("good");
    let endpoint = read.endpoint.unpack();
    assert_eq!((&*read.key.endpoint, endpoint.weight), ("vm-17", 1));
    assert_eq!(endpoint.metadata[MACHINE], "vm-17");
    assert_eq!(endpoint.machine.as_deref(), Some("vm-17"), "maintenance of machines goes by it");
    let second = wire::Instance { name: "b".into(), ..payments() };
    assert_eq!(&*Instance::read("vm-17", &second).expect("good").key.endpoint, "vm-17-b");
}

#[test]
fn what_differs_by_port_numbers_alone_shares_its_objects() {
    let mut other = payments();
    other.ports[0].port = 9090;
    let set = |said: &wire::Instance| Instance::read("vm-17", said).expect("good").set.hash.clone();
    assert_eq!(set(&payments()), set(&other));
    other.checks = vec![r#"{"name": "web", "tcp": {}}"#.into()];
    assert_ne!(set(&payments()), set(&other), "checks are of the object");
    let lasting = wire::Instance { deregister_after: "1h".into(), ..payments() };
    assert_ne!(set(&payments()), set(&lasting), "so is when they are taken out");
}

#[test]
fn what_cannot_be_used_is_named_with_the_remedy() {
    type Spoil = fn(&mut wire::Instance);
    let cases: &[(Spoil, &str)] = &[
        (|said| said.namespace = "Shop".into(), "namespace \"Shop\": use a-z"),
        (|said| said.name = "_".into(), "would be called \"vm-17-_\""),
        (|said| said.addresses = vec!["db.example.net".into()], "give an IP address alone"),
        (|said| said.addresses.clear(), "there are 0; give one IPv4 address"),
        (|said| said.addresses.push("192.0.2.18".into()), "one of each"),
        (|said| said.ports.clear(), "ports: there are 0"),
        (|said| said.ports[0].port = 70_000, "70000 is no port; give 1 to 65535"),
        (|said| said.ports[0].protocol = "tcp".into(), "use TCP, UDP or SCTP"),
        (|said| said.ports.push(said.ports[0].clone()), "two have this name"),
        (|said| said.weight = 70_000, "weight 70000: give 1 to 65535"),
        (|said| said.tags = vec!["v=1".into()], "a pair goes into metadata"),
        (|said| said.zone = "eu 1".into(), "zone \"eu 1\""),
        (|said| said.maintenance = "x".repeat(257), "256 at most"),
        (|said| said.checks = vec!["{".into()], "check 1: "),
        (|said| said.deregister_after = "soon".into(), "deregister_after \"soon\": give a whole number with its unit"),
        (|said| said.checks = vec![r#"{"name": "web", "udpp": {}}"#.into()], "check web"),
        (|said| said.local_checks = vec!["disk".into()], "local checks need a heartbeat"),
        (
            |said| (said.heartbeat, said.local_checks) = (EACH_SECOND.into(), vec!["Disk".into()]),
            "local check \"Disk\"",
        ),
    ];
    for (spoil, expected) in cases {
        let mut said = payments();
        spoil(&mut said);
        let words = Instance::read("vm-17", &said).expect_err(expected);
        assert!(words.contains(expected), "{words:?} does not say {expected:?}");
    }
}
