//! Tests: readiness as a set of named gates.

use super::*;

fn lines(readiness: &Readiness) -> Vec<String> {
    readiness.gates().iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn a_gate_starts_closed_and_a_new_reason_keeps_its_age() {
    let readiness = Readiness::default();
    assert!(readiness.is_ready(), "a process without gates is ready");
    let services = readiness.gate("services");
    assert_eq!(lines(&readiness), ["not ready: services: not started, 0 s"]);
    tokio::time::advance(Duration::from_secs(3)).await;
    services.close("listing");
    assert_eq!(lines(&readiness), ["not ready: services: listing, 3 s"]);
    services.open();
    assert_eq!(lines(&readiness), ["ready: services, 0 s"]);
    assert!(readiness.is_ready());
}

#[test]
fn one_closed_gate_of_several_makes_the_process_not_ready() {
    let readiness = Readiness::default();
    readiness.gate("pods").open();
    readiness.gate("nodes").close("forbidden");
    assert!(!readiness.is_ready());
    assert_eq!(readiness.closed().iter().map(|gate| &*gate.name).collect::<Vec<_>>(), ["nodes"]);
    readiness.gate("nodes").open();
    assert!(readiness.is_ready(), "the same name is the same gate");
}
