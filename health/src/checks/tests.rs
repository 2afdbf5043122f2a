//! Tests: all checks of a process.

mod alone;
mod beating;
mod lost;
mod machine;
mod others;
mod recent;
mod relays;
mod stuck;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use rollcall_catalog::input::{CheckVerdict, OriginKind, Verdict};
use rollcall_catalog::model::Addresses;

use super::turns::WITHHELD_MS;
use super::*;
use crate::definition::{Check, CheckKind, Tcp};
use crate::outcome::Outcome;
use crate::plan::{Plan, Planned, Restored};

fn origin(name: &str) -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", name))
}

fn check(name: &str) -> Check {
    Check { interval: Duration::from_secs(60), ..Check::new(name, CheckKind::Tcp(Tcp::default())) }
}

/// An endpoint `vm-1` at these addresses, with these checks of port 80 of each.
fn plan(ips: &str, checks: &[Check]) -> Plan {
    let ips: Vec<IpAddr> = ips.split(' ').map(|ip| ip.parse().expect("an address")).collect();
    let target = |check: &Check| {
        let check = Arc::new(check.clone());
        ips.iter()
            .map(move |ip| Target {
                endpoint: "vm-1".into(),
                check: Arc::clone(&check),
                address: SocketAddr::new(*ip, 80),
            })
            .collect::<Vec<_>>()
    };
    Plan {
        origin: origin("vms"),
        service: ServiceKey::new("shop", "payments"),
        generation: Some(1),
        endpoints: vec![Planned {
            name: "vm-1".into(),
            addresses: Addresses::from_ips(ips.iter().copied()).expect("one a family"),
            unchecked: checks.is_empty(),
        }],
        targets: checks.iter().flat_map(target).collect(),
        restored: Vec::new(),
        heartbeat: false,
        stuck: Vec::new(),
    }
}

fn restored(health: Health, checks: &[(&str, Health)]) -> Vec<(Name, Restored)> {
    let said = |(name, health): &(&str, Health)| CheckVerdict {
        name: (*name).into(),
        health: *health,
        since_ms: 5,
        reason: "as it was".into(),
        on_machine: false,
    };
    let verdict = Verdict {
        health,
        since_ms: 5,
        reason: "as it was".into(),
        addresses: Addresses::V4([198, 51, 100, 1].into()),
        checks: checks.iter().map(said).collect(),
    };
    vec![("vm-1".into(), Restored { verdict, current: true })]
}

fn ok() -> Outcome {
    Outcome::Success("answered 200".into())
}

fn bad() -> Outcome {
    Outcome::Failure("answered 503".into())
}

/// A driver without sockets or clock.
struct Driver {
    checks: Checks,
    now: Now,
    admission: Admission,
    running: VecDeque<Start>,
    changes: Vec<Change>,
    relays: Vec<Relay>,
}

impl Driver {
    fn new(probes_max: usize) -> Self {
        Self {
            checks: Checks::new(probes_max),
            now: Now { mono_ms: 0, wall_ms: 1_700_000_000_000 },
            admission: Admission::Admitted,
            running: VecDeque::new(),
            changes: Vec::new(),
            relays: Vec::new(),
        }
    }

    fn plan(&mut self, plan: Plan) -> Option<Health> {
        let replaced = self.checks.plan(plan, self.now);
        self.running.retain(|start| !replaced.ended.contains(&start.id));
        let (_, verdict) = replaced.verdicts.into_iter().find(|(endpoint, _)| &**endpoint == "vm-1")?;
        verdict.map(|verdict| verdict.health)
    }

    /// Starts all that may start now; the names of the checks.
    fn start(&mut self) -> Vec<String> {
        let mut started = Vec::new();
        let admission = self.admission;
        while let Some(step) = self.checks.next(self.now, &mut |_| admission) {
            match step {
                Step::Start(start) => {
                    started.push(start.target.check.name.to_string());
                    self.running.push_back(start);
                }
                Step::Change(change) => self.changes.push(change),
                Step::Relay(relay) => self.relays.push(relay),
            }
        }
        started
    }

    fn finish(&mut self, outcome: &Outcome) -> Option<Health> {
        let start = self.running.pop_front().expect("a probe is under way");
        self.checks.finished(start.id, outcome, self.now)?.verdict.map(|verdict| verdict.health)
    }

    fn sleep(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += i64::try_from(ms).expect("small");
    }

    fn verdict(&self) -> Option<Verdict> {
        self.checks.subject(&origin("vms"), &"vm-1".into())?.verdict()
    }

    fn health(&self) -> Option<Health> {
        self.verdict().map(|verdict| verdict.health)
    }
}

#[test]
fn a_new_endpoint_is_unknown_until_it_passes() {
    let mut driver = Driver::new(8);
    assert_eq!(driver.plan(plan("198.51.100.1", &[check("web")])), Some(Health::Unknown));
    assert_eq!(driver.start(), ["web"]);
    assert_eq!(driver.finish(&ok()), Some(Health::Passing));
}

#[test]
fn a_first_check_on_an_endpoint_that_callers_have_takes_nothing_away_and_is_decided_at_once() {
    let mut driver = Driver::new(8);
    assert_eq!(driver.plan(plan("198.51.100.1", &[])), None);
    assert_eq!(driver.plan(plan("198.51.100.1", &[check("web")])), Some(Health::Passing));
    assert_eq!(driver.start(), ["web"]);
    driver.finish(&bad());
    assert_eq!(driver.start(), ["web"]);
    assert_eq!(driver.finish(&bad()), Some(Health::Critical));
}

#[test]
fn a_further_check_starts_from_what_callers_have_and_runs_at_once() {
    let mut driver = Driver::new(8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    driver.finish(&ok());
    assert_eq!(driver.plan(plan("198.51.100.1", &[check("web"), check("new")])), Some(Health::Passing));
    assert_eq!(driver.start(), ["new"]);
    driver.finish(&ok());
    // On an endpoint that callers do not have it has to pass first.
    let mut driver = Driver::new(8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    (0..2).for_each(|_| {
        driver.finish(&bad());
        driver.start();
    });
    assert_eq!(driver.health(), Some(Health::Critical));
    driver.plan(plan("198.51.100.1", &[check("new")]));
    assert_eq!(driver.health(), Some(Health::Unknown));
}

#[test]
fn a_check_whose_definition_changed_runs_at_once_and_speaks_of_what_it_sees_now() {
    let mut driver = Driver::new(8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    (0..2).for_each(|_| {
        driver.finish(&bad());
        driver.start();
    });
    let changed = Check { timeout: Duration::from_secs(2), ..check("web") };
    assert_eq!(driver.plan(plan("198.51.100.1", &[changed])), Some(Health::Critical));
    assert_eq!(driver.start(), ["web"]);
    driver.finish(&Outcome::Failure("was refused".into()));
    assert_eq!(driver.verdict().map(|verdict| verdict.reason.to_string()), Some("was refused".into()));
}

#[test]
fn another_address_is_another_machine() {
    let mut driver = Driver::new(8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    driver.finish(&ok());
    assert_eq!(driver.plan(plan("198.51.100.2", &[check("web")])), Some(Health::Unknown));
    let verdict = driver.verdict().expect("judged");
    assert_eq!(verdict.addresses, Addresses::V4([198, 51, 100, 2].into()), "it says what it is about");
    // A second family is one more machine to look at; unchecked endpoints are no exception.
    let mut driver = Driver::new(8);
    driver.plan(plan("198.51.100.1", &[]));
    assert_eq!(driver.plan(plan("198.51.100.1 2001:db8::1", &[check("web")])), Some(Health::Unknown));
}

#[test]
fn each_check_is_restored_by_itself() {
    let mut driver = Driver::new(8);
    let restored = restored(Health::Critical, &[("db", Health::Passing), ("web", Health::Critical)]);
    let plan = Plan { restored, ..plan("198.51.100.1", &[check("db"), check("web")]) };
    assert_eq!(driver.plan(plan), Some(Health::Critical));
    assert!(driver.start().is_empty(), "a restart is no storm");
    // What fails is asked within a retry interval; what passed keeps its phase, and does not stand in the way.
    driver.sleep(1_000);
    assert_eq!(driver.start(), ["web"]);
    assert_eq!(driver.finish(&ok()), Some(Health::Passing));
}

#[test]
fn a_restored_verdict_without_checks_is_that_of_each() {
    let mut driver = Driver::new(8);
    let plan = Plan { restored: restored(Health::Passing, &[]), ..plan("198.51.100.1", &[check("web")]) };
    assert_eq!(driver.plan(plan), Some(Health::Passing));
    assert!(driver.start().is_empty());
    assert_eq!(driver.verdict().map(|verdict| verdict.since_ms), Some(5));
}

#[test]
fn what_was_restored_of_another_generation_runs_at_once() {
    let mut driver = Driver::new(8);
    let mut restored = restored(Health::Passing, &[("web", Health::Passing)]);
    restored[0].1.current = false;
    let plan = Plan { restored, ..plan("198.51.100.1", &[check("web"), check("new")]) };
    assert_eq!(driver.plan(plan), Some(Health::Passing));
    driver.start();
    assert_eq!(driver.running.len(), 2);
}

#[test]
fn what_the_catalog_does_not_have_is_not_dialled() {
    let mut driver = Driver::new(8);
    driver.admission = Admission::Awaited;
    driver.plan(plan("198.51.100.1", &[check("web")]));
    assert!(driver.start().is_empty());
    driver.sleep(600_000);
    assert!(driver.start().is_empty(), "until the catalog says more");
    driver.admission = Admission::Withheld;
    driver.checks.catalog_changed(driver.now);
    assert!(driver.start().is_empty());
    assert_eq!(driver.health(), None, "what is not dialled has no say");
    driver.admission = Admission::Admitted;
    driver.sleep(WITHHELD_MS);
    assert_eq!(driver.start(), ["web"]);
    assert_eq!(driver.finish(&ok()), Some(Health::Passing));
}

#[test]
fn who_leaves_ends_his_probes_and_gives_his_places_back() {
    let mut driver = Driver::new(2);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    let id = driver.running[0].id;
    assert_eq!(driver.checks.plan(plan("198.51.100.1", &[]), driver.now).ended, [id]);
    assert_eq!((driver.checks.running(), driver.checks.len()), (0, 0));
    assert_eq!(driver.checks.finished(id, &ok(), driver.now), None, "its result comes too late");
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    assert_eq!(driver.checks.forget(&origin("vms")).len(), 1);
    assert!(driver.checks.running() == 0 && driver.checks.is_empty() && driver.checks.next_ms().is_none());
}

#[test]
fn a_silent_registration_makes_no_other_late() {
    let mut driver = Driver::new(64);
    let dark = |n: u8| Target {
        endpoint: "vm-1".into(),
        check: Arc::new(check(&format!("c-{n}"))),
        address: format!("198.51.100.1:{}", 1000 + u16::from(n)).parse().expect("an address"),
    };
    let greedy = Plan { targets: (0..200).map(dark).collect(), origin: origin("dark"), ..plan("198.51.100.1", &[]) };
    driver.plan(greedy);
    driver.start();
    assert!(driver.running.len() < 40, "{} of 64 places", driver.running.len());
    driver.sleep(10);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.start();
    let last = driver.running.back().expect("a probe");
    assert_eq!((&*last.origin.name, last.late), ("vms", Duration::ZERO));
}

#[test]
fn lateness_is_the_time_from_due_to_start() {
    let mut driver = Driver::new(1);
    driver.plan(plan("198.51.100.1", &[check("a"), check("b")]));
    assert_eq!(driver.start().len(), 1);
    driver.sleep(700);
    driver.finish(&ok());
    driver.start();
    assert_eq!(driver.running[0].late, Duration::from_millis(700));
}

fn beating(plan: Plan) -> Plan {
    Plan { heartbeat: true, ..plan }
}

/// What the endpoint's beats come to, told to the ledger; the health that follows if that changed.
fn beat(driver: &mut Driver, health: Health) -> Option<Health> {
    let said = crate::ledger::Evidence { health, since_ms: driver.now.wall_ms, reason: "as it was".into() };
    let change =
        driver.checks.evidence(&origin("vms"), &"vm-1".into(), crate::beat::witness(), Some(said), driver.now)?;
    change.verdict.map(|verdict| verdict.health)
}

#[test]
fn an_endpoint_that_is_to_beat_is_unknown_before_and_both_have_to_be_well() {
    let mut driver = Driver::new(8);
    assert_eq!(driver.plan(beating(plan("198.51.100.1", &[]))), Some(Health::Unknown));
    assert_eq!(beat(&mut driver, Health::Passing), Some(Health::Passing));
    assert_eq!(driver.plan(beating(plan("198.51.100.1", &[check("web")]))), Some(Health::Passing));
    assert_eq!(beat(&mut driver, Health::Critical), Some(Health::Critical));
    assert_eq!(driver.plan(plan("198.51.100.1", &[])), None, "nothing is asked of it any more");
    assert_eq!(driver.plan(beating(plan("198.51.100.2", &[]))), Some(Health::Unknown), "another machine");
}

#[test]
fn who_was_never_heard_by_anybody_stays_unknown_whoever_decides() {
    let mut driver = Driver::new(8);
    driver.plan(beating(plan("198.51.100.1", &[])));
    let heartbeat = crate::beat::Heartbeat::default();
    let mut vm = crate::beat::instance::Instance::new(crate::beat::instance::Life::Vouched, 0, driver.now);
    let silence = vm.silent(&heartbeat, 60_000, driver.now).expect("it is silent");
    let (origin, name) = (origin("vms"), "vm-1".into());
    let change = driver.checks.evidence(&origin, &name, crate::beat::witness(), Some(silence.clone()), driver.now);
    assert_eq!((change, driver.health()), (None, Some(Health::Unknown)));
    beat(&mut driver, Health::Passing);
    driver.checks.evidence(&origin, &name, crate::beat::witness(), Some(silence), driver.now);
    assert_eq!(driver.health(), Some(Health::Critical));
}

#[test]
fn a_heartbeat_takes_nothing_from_callers_before_its_silence_does() {
    let mut driver = Driver::new(8);
    assert_eq!(driver.plan(plan("198.51.100.1", &[])), None);
    assert_eq!(driver.plan(beating(plan("198.51.100.1", &[]))), Some(Health::Passing), "callers have it");
    let mut driver = Driver::new(8);
    let restored = restored(Health::Passing, &[("heartbeat", Health::Passing)]);
    assert_eq!(driver.plan(Plan { restored, ..beating(plan("198.51.100.1", &[])) }), Some(Health::Passing));
    driver.sleep(5_000);
    assert_eq!(beat(&mut driver, Health::Passing), None, "a restart changes nothing, not even since when it is so");
    assert_eq!(driver.verdict().map(|verdict| verdict.since_ms), Some(5));
}
