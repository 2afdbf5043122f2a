//! Tests: what about the gates is worth an Event.

use super::*;
use crate::readiness::Readiness;

struct Watched {
    readiness: Readiness,
    news: News,
}

// === impl Watched ===

impl Watched {
    fn new() -> Self {
        Self { readiness: Readiness::default(), news: News::default() }
    }

    /// What is told over some seconds, looked at each second.
    async fn over(&mut self, seconds: u64) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            let notices = self.news.observe(Instant::now(), &self.readiness.gates());
            told.extend(notices.into_iter().map(|it| format!("{} {}: {}", it.kind.as_str(), it.reason, it.note)));
        }
        told
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_lasts_is_told_once_and_so_is_its_end() {
    let mut watched = Watched::new();
    let gate = watched.readiness.gate("grpc");
    gate.close_for("PortInUse", "port 18000 is in use");
    assert_eq!(watched.over(4).await, Vec::<String>::new(), "most mend before");
    assert_eq!(watched.over(120).await, ["Warning PortInUse: grpc: port 18000 is in use"]);
    gate.open();
    assert_eq!(watched.over(120).await, ["Normal Ready: the fault is gone: grpc"]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_its_time_is_no_news_and_one_that_does_not_end_is() {
    let mut watched = Watched::new();
    let gate = watched.readiness.gate("end-points");
    gate.close("being listed");
    assert_eq!(watched.over(19).await, Vec::<String>::new());
    assert_eq!(watched.over(5).await, ["Warning EndPointsNotReady: end-points: being listed"]);
}

#[tokio::test(start_paused = true)]
async fn another_fault_is_told_at_once_and_other_numbers_never() {
    let mut watched = Watched::new();
    let gate = watched.readiness.gate("catalog");
    gate.close_for("NoCatalogServer", "refused; trying again in 100 ms");
    assert_eq!(watched.over(5).await.len(), 1);
    gate.close_for("NoCatalogServer", "refused; trying again in 200 ms");
    assert_eq!(watched.over(120).await, Vec::<String>::new());
    gate.close_for("CertificateExpired", "the certificate has expired");
    assert_eq!(watched.over(1).await, ["Warning CertificateExpired: catalog: the certificate has expired"]);
}

#[tokio::test(start_paused = true)]
async fn gates_that_flap_tell_a_bounded_number_of_times() {
    let mut watched = Watched::new();
    let gate = watched.readiness.gate("grpc");
    let mut told = 0;
    for n in 0..40 {
        gate.close_for(if n % 2 == 0 { "A" } else { "B" }, "fault");
        told += watched.over(7).await.len();
        gate.open();
        told += watched.over(3).await.len();
    }
    assert_eq!(told, NOTICES_MAX as usize);
    tokio::time::advance(WINDOW).await;
    gate.close_for("A", "fault");
    assert_eq!(watched.over(6).await.len(), 1, "later it may be told again");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_is_not_told_about() {
    let mut watched = Watched::new();
    watched.readiness.gate(shutdown::GATE).close("shutting down");
    assert_eq!(watched.over(300).await, Vec::<String>::new());
}
