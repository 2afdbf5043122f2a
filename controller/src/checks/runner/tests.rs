//! Tests: the runner.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rollcall_catalog::input::{OriginKind, Verdict};
use rollcall_catalog::model::{Health, HealthSource};
use rollcall_health::plan::Planned;
use rollcall_health::probe::{Network, Probes};
use rollcall_health::{Check, CheckKind, LocalFault, Target, Tcp};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::*;
use crate::testing::{offered, origin, registered, service_key, snapshot};
use crate::writer::Detached;

fn check(interval: Duration) -> Check {
    Check {
        port: "http".into(),
        interval,
        retry_interval: interval,
        timeout: Duration::from_secs(30),
        ..Check::new("tcp", CheckKind::Tcp(Tcp::default()))
    }
}

/// The registration `vms` of one endpoint `vm-1` at the address of `target`.
fn order(target: SocketAddr, check: Option<Check>) -> Order {
    let source = if check.is_some() { HealthSource::Verdict } else { HealthSource::Unchecked };
    let endpoint = offered("vm-1", &target.ip().to_string(), source);
    let Input::Contribution(contribution) = registered("payments", vec![Arc::clone(&endpoint)]) else {
        panic!("a contribution")
    };
    let target = |check| Target { endpoint: "vm-1".into(), check: Arc::new(check), address: target };
    let plan = Plan {
        origin: Arc::clone(&contribution.origin),
        service: service_key("payments"),
        generation: contribution.generation,
        endpoints: vec![Planned { name: "vm-1".into(), addresses: endpoint.addresses, unchecked: check.is_none() }],
        targets: check.into_iter().map(target).collect(),
        restored: Vec::new(),
        heartbeat: false,
        stuck: Vec::new(),
    };
    Order::Register(Box::new((contribution, plan)))
}

struct Running {
    orders: Sender<Order>,
    told: Detached,
    metrics: Metrics,
    catalog: watch::Sender<Option<Arc<rollcall_catalog::Snapshot>>>,
}

fn start(prober: impl Prober) -> Running {
    let (inbox, told) = Inbox::detached();
    let metrics = Metrics::new(rollcall_admin::Readiness::default().gate("checks"));
    let (catalog, snapshots) = watch::channel(None);
    let (runner, orders) =
        Runner::new(inbox, snapshots, Clock::default(), (prober, 64), Replicas::alone("a"), metrics.clone());
    tokio::spawn(runner.run());
    Running { orders, told, metrics, catalog }
}

impl Running {
    async fn send(&self, order: Order) {
        self.orders.send(order).await.expect("it runs");
    }

    /// The catalog has an endpoint `vm-1` at this address, as if the guard let it pass.
    fn publish(&self, ip: &str) {
        let vms = registered("payments", vec![offered("vm-1", ip, HealthSource::Verdict)]);
        self.catalog.send_replace(Some(snapshot([vms])));
    }

    /// The next verdict on `vm-1`, be it told alone or with its registration.
    async fn verdict(&mut self) -> Option<Verdict> {
        let of = |input| match input {
            Input::Verdict(_, _, verdict) => Some(verdict),
            _ => None,
        };
        loop {
            let told = tokio::time::timeout(Duration::from_secs(60), self.told.recv()).await.expect("a verdict");
            let inputs = match told.expect("it runs") {
                Message::Say(input) => vec![input],
                Message::Together(inputs) => inputs,
                Message::Synced(_) => Vec::new(),
            };
            if let Some(verdict) = inputs.into_iter().find_map(of) {
                return verdict;
            }
        }
    }

    async fn health(&mut self) -> Option<Health> {
        self.verdict().await.map(|verdict| verdict.health)
    }
}

/// A network in which public addresses are loopback ones: the guard refuses those.
struct Mapped(Mutex<SocketAddr>);

impl Prober for Mapped {
    async fn probe(&self, check: &Check, _: SocketAddr) -> Outcome {
        let target = *self.0.lock().expect("no panic");
        Probes::new(Network).probe(check, target).await
    }
}

const VM: &str = "198.51.100.1:8080";

fn vm() -> SocketAddr {
    VM.parse().expect("an address")
}

#[tokio::test]
async fn an_endpoint_passes_fails_and_recovers() {
    // Not 127.0.0.1, where a connection of anybody may take the port while nobody listens.
    let listener = TcpListener::bind("127.0.0.3:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    let mut running = start(Mapped(Mutex::new(target)));
    running.publish("198.51.100.1");
    running.send(order(vm(), Some(check(Duration::from_millis(20))))).await;
    assert_eq!(running.health().await, Some(Health::Unknown));
    assert_eq!(running.health().await, Some(Health::Passing));
    drop(listener);
    assert_eq!(running.health().await, Some(Health::Critical));
    let _listener = TcpListener::bind(target).await.expect("the port again");
    assert_eq!(running.health().await, Some(Health::Passing));
    assert_eq!(running.metrics.transitions(), (1, 2));
}

/// Counts probes and never has an outcome; how many were dropped.
#[derive(Clone, Default)]
struct Silent(Arc<(AtomicU64, AtomicU64)>);

impl Prober for Silent {
    async fn probe(&self, _: &Check, _: SocketAddr) -> Outcome {
        struct Dropped(Silent);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.0.1.fetch_add(1, Relaxed);
            }
        }
        self.0.0.fetch_add(1, Relaxed);
        let _dropped = Dropped(self.clone());
        std::future::pending().await
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waits = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits).await.unwrap_or_else(|_| panic!("never {what}"));
}

#[tokio::test]
async fn who_leaves_ends_his_probes() {
    let silent = Silent::default();
    let running = start(silent.clone());
    running.publish("198.51.100.1");
    running.send(order(vm(), Some(check(Duration::from_secs(60))))).await;
    until("asked", || silent.0.0.load(Relaxed) == 1).await;
    running.send(Order::Gone(origin(OriginKind::ServiceRegistration, "vms"))).await;
    until("broken off", || silent.0.1.load(Relaxed) == 1).await;
    until("counted", || running.metrics.probes("ended") == 1 && running.metrics.running.get() == 0).await;
}

#[tokio::test]
async fn an_address_that_the_guard_refuses_is_never_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    let silent = Silent::default();
    let mut running = start(silent.clone());
    running.send(order(target, Some(check(Duration::from_millis(10))))).await;
    assert_eq!(running.health().await, Some(Health::Unknown));
    running.publish("127.0.0.1");
    assert_eq!(running.verdict().await, None, "it has no say");
    assert_eq!(silent.0.0.load(Relaxed), 0);
}

/// Passes once, and then lacks descriptors for ever.
#[derive(Default)]
struct Exhausted(AtomicU64);

impl Prober for Exhausted {
    async fn probe(&self, _: &Check, _: SocketAddr) -> Outcome {
        match self.0.fetch_add(1, Relaxed) {
            0 => Outcome::Success("was accepted".into()),
            _ => Outcome::LocalFault(LocalFault::Descriptors, "too many open files".into()),
        }
    }
}

#[tokio::test]
async fn what_we_lack_convicts_nobody_and_is_counted() {
    let mut running = start(Exhausted::default());
    running.publish("198.51.100.1");
    running.send(order(vm(), Some(check(Duration::from_millis(1))))).await;
    assert_eq!(running.health().await, Some(Health::Unknown));
    assert_eq!(running.health().await, Some(Health::Passing));
    until("tried often", || running.metrics.probes("local_fault") > 20).await;
    assert!(running.told.try_recv().is_err(), "not a word about the target");
    assert_eq!(running.metrics.probes("failed"), 0);
}

#[tokio::test]
async fn an_endpoint_and_its_verdict_are_told_together() {
    let mut running = start(Silent::default());
    running.send(order(vm(), None)).await;
    let first = running.told.recv().await;
    assert!(matches!(&first, Some(Message::Together(inputs)) if inputs.len() == 1), "{first:?}");
    running.send(order(vm(), Some(check(Duration::from_secs(60))))).await;
    let Some(Message::Together(inputs)) = running.told.recv().await else { panic!("both together") };
    let told = |input: &Input| match input {
        Input::Contribution(_) => "contribution".to_owned(),
        Input::Verdict(_, endpoint, verdict) => {
            format!("{endpoint} {}", verdict.as_ref().map_or(Health::Unknown, |verdict| verdict.health))
        }
        other => format!("{other:?}"),
    };
    assert_eq!(inputs.iter().map(told).collect::<Vec<_>>(), ["contribution", "vm-1 Passing"], "as callers have it");
}

#[tokio::test]
async fn an_endpoint_that_is_no_longer_checked_has_no_verdict() {
    let mut running = start(Silent::default());
    running.send(order(vm(), Some(check(Duration::from_secs(60))))).await;
    assert_eq!(running.health().await, Some(Health::Unknown));
    running.send(order(vm(), None)).await;
    assert_eq!(running.verdict().await, None);
}

#[tokio::test]
async fn what_is_said_of_a_registration_keeps_its_order() {
    let mut running = start(Silent::default());
    let vms = origin(OriginKind::ServiceRegistration, "vms");
    running.send(order(vm(), None)).await;
    running.send(Order::Gone(Arc::clone(&vms))).await;
    running.send(Order::Synced(Source::ServiceRegistrations)).await;
    assert!(matches!(running.told.recv().await, Some(Message::Together(_))));
    assert!(matches!(running.told.recv().await, Some(Message::Say(Input::Gone(gone))) if gone == vms));
    assert!(matches!(running.told.recv().await, Some(Message::Synced(Source::ServiceRegistrations))));
}

#[tokio::test]
async fn another_address_is_another_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut running = start(Mapped(Mutex::new(listener.local_addr().expect("an address"))));
    running.publish("198.51.100.1");
    running.send(order(vm(), Some(check(Duration::from_millis(20))))).await;
    assert_eq!(running.health().await, Some(Health::Unknown));
    assert_eq!(running.health().await, Some(Health::Passing));
    running.send(order("198.51.100.2:8080".parse().expect("an address"), Some(check(Duration::from_millis(20))))).await;
    let verdict = running.verdict().await.expect("judged");
    assert_eq!((verdict.health, verdict.addresses.contains([198, 51, 100, 2].into())), (Health::Unknown, true));
}
