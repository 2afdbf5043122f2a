//! Names that a pod's resolver tries before the one that it means.

use RecordType::{A, AAAA, SRV};

use super::*;
use crate::answer::completion::Completion;
use crate::answer::{Asker, Manner};

/// Pods of two namespaces, one of them of no service that is ready, and services in both.
fn pods() -> Arc<Zone> {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, knows_pods: true, ..Settings::default() });
    let changes = [
        service("shop/web", cluster_ip(&["10.96.0.1"], &[("http", 80)])),
        bucket("shop/web", 1, 0, vec![not_ready(endpoint(1, "", "10.1.0.1", &[]))]),
        service("other/db", headless()),
        bucket("other/db", 1, 0, vec![endpoint(2, "db-0", "10.1.0.2", &[])]),
        service("other/away", external("api.example.com")),
    ];
    writer.apply(changes, 7);
    writer.sync("cluster.local", 7).unwrap();
    Arc::clone(writer.zone())
}

/// What is asked elsewhere, or the answer's code and records.
fn asked(zone: &Zone, name: &str, rtype: RecordType, from: &str, completion: Completion) -> Vec<String> {
    let asker = Asker { from: from.parse().unwrap(), ..Transport::Udp.into() };
    let manner = Manner { completion, ..Outside::Forwarded.into() };
    let (query, mut out) = (query(name, rtype).to_vec().unwrap(), Vec::new());
    let lines = |records: &[hickory_proto::rr::Record]| -> Vec<String> {
        records.iter().map(|record| format!("{} {} {}", record.name, record.record_type(), record.data)).collect()
    };
    match answer(&query, &asker, zone, &manner, &mut Rng::with_seed(1), &mut out) {
        Outcome::Foreign(foreign) => [vec![format!("ask {}", foreign.name)], lines(&foreign.chain)].concat(),
        Outcome::Answered(summary) => {
            let answer = Message::from_vec(&out).unwrap();
            [vec![summary.rcode.to_string()], lines(&answer.answers)].concat()
        }
        other => panic!("{other:?}"),
    }
}

const DENIED: &str = "Non-Existent Domain";

#[test]
fn what_a_pod_means_is_found_at_its_first_try() {
    let zone = pods();
    let own = |name: &str| format!("{name}.shop.svc.cluster.local.");
    let www = own("www.Example.com");
    for from in ["10.1.0.1", "::ffff:10.1.0.1"] {
        let said = asked(&zone, &www, AAAA, from, Completion::Endpoints);
        assert_eq!(said, ["ask www.Example.com.".to_owned(), format!("{www} CNAME www.Example.com.")]);
    }
    // By the second search domain, by the third, and by none though it is a name here.
    for (name, means) in [
        ("db.other", "db.other.svc.cluster.local."),
        ("db-0.db.other.svc", "db-0.db.other.svc.cluster.local."),
        ("db.other.svc.cluster.local", "db.other.svc.cluster.local."),
    ] {
        let (name, said) = (own(name), asked(&zone, &own(name), A, "10.1.0.1", Completion::Endpoints));
        assert_eq!(said, ["No Error".to_owned(), format!("{name} CNAME {means}"), format!("{means} A 10.1.0.2")]);
        assert_eq!(asked(&zone, &name, AAAA, "10.1.0.1", Completion::All).len(), 2, "no such data, and no further try");
    }
    let away = own("away.other");
    let said = asked(&zone, &away, A, "10.1.0.1", Completion::Endpoints);
    let chain = ["away.other.svc.cluster.local. CNAME api.example.com."];
    assert_eq!(
        said,
        [&["ask api.example.com.", &format!("{away} CNAME away.other.svc.cluster.local.")], &chain[..]].concat()
    );
}

#[test]
fn names_that_mean_nothing_else_are_denied_as_ever() {
    let zone = pods();
    let denied = |name: &str, rtype, from, completion| {
        assert_eq!(asked(&zone, &format!("{name}.svc.cluster.local."), rtype, from, completion), [DENIED], "{name}");
    };
    // Of another namespace: its address was another pod's, or it asks for a name there.
    denied("www.example.com.shop", A, "10.1.0.2", Completion::Endpoints);
    denied("www.example.com.shop", A, "10.9.9.9", Completion::Endpoints);
    denied("www.example.com.shop", A, "10.1.0.1", Completion::Off);
    denied("www.example.com.nowhere", A, "10.1.0.1", Completion::All);
    denied("www.example.com.shop", SRV, "10.1.0.1", Completion::All);
    // A host without a domain, and one below a service: nobody outside has it.
    denied("intranet.shop", A, "10.1.0.1", Completion::All);
    denied("web-7.web.shop", A, "10.1.0.1", Completion::All);
    assert_eq!(asked(&zone, "www.example.com.cluster.local.", A, "10.1.0.1", Completion::All), [DENIED]);
    assert_eq!(
        asked(&zone, "www.example.com.shop.svc.cluster.local.", A, "10.9.9.9", Completion::All)[0],
        "ask www.example.com."
    );
}

#[test]
fn the_words_are_read_and_shown_the_same() {
    for word in ["off", "endpoints", "all"] {
        assert_eq!(word.parse::<Completion>().unwrap().to_string(), word);
    }
    assert!("on".parse::<Completion>().unwrap_err().contains("off, endpoints or all"));
}
