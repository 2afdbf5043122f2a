use std::net::SocketAddr;
use std::time::Duration;

use rollcall_catalog::check::Thresholds;
use rollcall_catalog::input::OriginKind;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;

use super::super::plan::{Check, Kind};
use super::*;
use crate::testing::origin;
use crate::writer::Detached;

fn probe(endpoint: &str, target: SocketAddr) -> Probe {
    let check = Check {
        name: "tcp".into(),
        kind: Kind::Tcp,
        port: "http".into(),
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(20),
        thresholds: Thresholds::default(),
    };
    Probe { endpoint: endpoint.into(), check: Arc::new(check), target }
}

fn plan(probes: Vec<Probe>, restored: Vec<(Name, Verdict)>) -> Order {
    Order::Plan(Plan { origin: origin(OriginKind::ServiceRegistration, "vms"), probes, restored })
}

struct Running {
    orders: Sender<Order>,
    told: Detached,
    tally: Arc<Tally>,
}

fn start() -> Running {
    let (inbox, told) = Inbox::detached();
    let tally = Arc::new(Tally::default());
    let (runner, orders) = Runner::new(inbox, Clock::default(), Arc::clone(&tally));
    tokio::spawn(runner.run());
    Running { orders, told, tally }
}

impl Running {
    async fn verdict(&mut self) -> Option<Health> {
        let told = tokio::time::timeout(Duration::from_secs(20), self.told.recv()).await.expect("a verdict");
        match told {
            Some(Message::Say(Input::Verdict(_, _, verdict))) => verdict.map(|verdict| verdict.health),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_endpoint_passes_fails_and_recovers() {
    // Not 127.0.0.1, where a connection of anybody may take the port while nobody listens.
    let listener = TcpListener::bind("127.0.0.3:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    let mut running = start();
    running.orders.send(plan(vec![probe("vm-1", target)], vec![])).await.expect("runs");
    assert_eq!(running.verdict().await, Some(Health::Unknown));
    assert_eq!(running.verdict().await, Some(Health::Passing));
    drop(listener);
    assert_eq!(running.verdict().await, Some(Health::Critical));
    let _listener = TcpListener::bind(target).await.expect("the port again");
    assert_eq!(running.verdict().await, Some(Health::Passing));
    assert_eq!((running.tally.evicted.load(Relaxed), running.tally.recovered.load(Relaxed)), (1, 2));
}

#[tokio::test]
async fn a_restored_verdict_is_not_told_again_and_holds_until_results_speak_against_it() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let before = Verdict { health: Health::Passing, since_ms: 5, reason: "accepted".into() };
    let mut running = start();
    running.orders.send(plan(vec![probe("vm-1", free)], vec![("vm-1".into(), before)])).await.expect("runs");
    assert_eq!(running.verdict().await, Some(Health::Critical), "the first word is the change, after two failures");
    assert!(running.tally.failed.load(Relaxed) >= 2);
}

#[tokio::test]
async fn an_endpoint_that_is_no_longer_checked_has_no_verdict() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    let mut running = start();
    running.orders.send(plan(vec![probe("vm-1", target)], vec![])).await.expect("runs");
    assert_eq!(running.verdict().await, Some(Health::Unknown));
    assert_eq!(running.verdict().await, Some(Health::Passing));
    running.orders.send(plan(vec![], vec![])).await.expect("runs");
    assert_eq!(running.verdict().await, None);
}

#[tokio::test]
async fn another_address_is_another_machine_and_starts_unknown() {
    let (first, second) = (
        TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        TcpListener::bind("127.0.0.2:0").await.expect("a port"),
    );
    let mut running = start();
    running
        .orders
        .send(plan(vec![probe("vm-1", first.local_addr().expect("an address"))], vec![]))
        .await
        .expect("runs");
    assert_eq!(running.verdict().await, Some(Health::Unknown));
    assert_eq!(running.verdict().await, Some(Health::Passing));
    running
        .orders
        .send(plan(vec![probe("vm-1", second.local_addr().expect("an address"))], vec![]))
        .await
        .expect("runs");
    assert_eq!(running.verdict().await, Some(Health::Unknown));
    assert_eq!(running.verdict().await, Some(Health::Passing));
}
