//! Tests: events about the process itself, regarding its own pod.

use super::*;

fn pod() -> Pod {
    Pod { name: "rollcall-dns-5f-x".to_owned(), namespace: "rollcall-system".to_owned(), uid: "u-1".to_owned() }
}

fn warning(note: &str) -> Notice {
    Notice { kind: Kind::Warning, reason: "PortInUse".to_owned(), action: "Readiness", note: note.to_owned() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn an_event_regards_the_pod_and_keeps_the_limits_of_the_api() {
    let event = event(&pod(), "dns", &warning(&"ä".repeat(2000)), at(1_700_000_000));
    assert_eq!(event["eventTime"], "2023-11-14T22:13:20.000000Z");
    assert_eq!(event["regarding"]["uid"], "u-1");
    assert_eq!(event["reportingController"], "rollcall.dev/dns");
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("PortInUse")));
    assert_eq!(event["note"].as_str().unwrap().len(), 1024);
    let long = Pod { name: "x".repeat(253), ..pod() };
    let event = super::event(&long, "dns", &warning("x"), at(0));
    assert_eq!(event["metadata"]["name"].as_str().unwrap().len(), 253);
    assert_eq!(event["reportingInstance"].as_str().unwrap().len(), 128);
}

#[test]
fn told_again_within_ten_minutes_it_is_the_same_object_and_later_or_otherwise_another() {
    let name = |note: &str, second| event(&pod(), "dns", &warning(note), at(second))["metadata"]["name"].to_string();
    assert_eq!(name("in 100 ms", 1200), name("in 200 ms", 1799));
    assert_ne!(name("in 100 ms", 1200), name("in 100 ms", 1800));
    assert_ne!(name("in 100 ms", 1200), name("refused", 1200));
}

#[tokio::test]
async fn outside_of_a_cluster_nothing_is_sent() {
    let notices = Notices { component: "dns", to: None, refused: AtomicBool::new(false) };
    notices.fatal("CannotStart", "no").await;
    notices.watch(Readiness::default(), CancellationToken::new()).await;
}
