//! Tests: where beats go.

use std::time::Duration;

use rollcall_catalog::input::OriginKind;
use rollcall_catalog::model::{Addresses, Health};
use rollcall_health::beat::Status;
use tokio::sync::mpsc;

use super::*;
use crate::beats::listener;
use crate::checks::runner::Order;
use crate::replicas::Roster;

struct Rig {
    hearing: Hearing,
    orders: mpsc::Receiver<Order>,
}

fn vms() -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"))
}

fn start() -> Rig {
    let (sender, orders) = mpsc::channel(16);
    let hearing = Hearing::new(Roster::alone("a"), Clock::default(), Metrics::default());
    tokio::spawn(listener::keep_time(hearing.clone()));
    tokio::spawn(listener::tell(hearing.clone(), sender));
    Rig { hearing, orders }
}

impl Rig {
    fn register(&self, vouched: bool) {
        let vm = Beating { name: "vm-1".into(), addresses: Addresses::V4([198, 51, 100, 1].into()), vouched };
        self.hearing.register(&vms(), Some(Arc::default()), &[vm]);
        self.hearing.registered(&vms());
    }

    /// What the checks are told next.
    async fn told(&mut self) -> (Health, String) {
        let order = tokio::time::timeout(Duration::from_secs(3_600), self.orders.recv()).await.expect("it is told");
        match order {
            Some(Order::Beat(beat)) if &*beat.endpoint == "vm-1" => {
                let evidence = beat.evidence;
                (evidence.health, evidence.reason.to_string())
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_told_when_it_is_heard_and_when_it_falls_silent() {
    let mut rig = start();
    rig.register(false);
    assert_eq!(rig.told().await.0, Health::Unknown);
    let due = rig.hearing.beat(&vms(), "vm-1").expect("known");
    assert_eq!(due, Due { within: Duration::from_secs(3), interval: Duration::from_secs(1) });
    assert_eq!(rig.told().await, (Health::Passing, "heartbeat heard".to_owned()));
    assert_eq!(rig.told().await, (Health::Critical, "no heartbeat for 3.4s".to_owned()));
    rig.hearing.stopped(&vms(), "vm-1").expect("known");
    assert_eq!(rig.told().await, (Health::Critical, "said that it stops".to_owned()));
    rig.hearing.report(&vms(), "vm-1", &Said::new(Status::Warn, "hot")).expect("known");
    assert_eq!(rig.told().await, (Health::Warning, "heartbeat says warn: hot".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn who_was_relied_on_is_told_after_a_full_period_and_not_before() {
    let mut rig = start();
    rig.register(true);
    let began = tokio::time::Instant::now();
    assert_eq!(rig.told().await.0, Health::Critical);
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_read_again_tells_its_beats_again() {
    let mut rig = start();
    rig.register(false);
    rig.hearing.beat(&vms(), "vm-1").expect("known");
    rig.register(true);
    assert_eq!(rig.told().await.0, Health::Passing, "what was not told yet is not lost");
}

#[tokio::test]
async fn a_refusal_names_what_is_wrong_and_what_to_do() {
    let rig = start();
    let refused = |endpoint: &str| rig.hearing.beat(&vms(), endpoint).expect_err("refused").to_string();
    assert!(refused("vm-1").starts_with("there is no ServiceRegistration shop/vms; create it first"));
    rig.register(false);
    assert!(refused("vm-9").contains("has no endpoint \"vm-9\"; beat for a name in its spec.endpoints"));
    assert!(refused(&"x".repeat(10_000)).len() < 300);
    rig.hearing.register(&vms(), None, &[]);
    assert!(refused("vm-1").contains("has no heartbeat, so beats would say nothing; give it `heartbeat: {}`"));
    rig.hearing.forget(&vms());
    assert!(refused("vm-1").starts_with("there is no ServiceRegistration"));
}
