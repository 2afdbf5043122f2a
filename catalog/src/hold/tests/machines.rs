//! Tests: the history of registered machines: guard, damping, `deregisterAfter`, maintenance, staleness.

use super::*;
use crate::evict::TimeToEvict;
use crate::input::Verdict;
use crate::model::{Attributes, Health, Name};
use crate::policy::{Damping, Policy};
use crate::treatment::Penalty;

/// Five machines of a registration that are checked, in as many zones, none of which is large enough by itself.
fn machines(names: &[u8]) -> Input {
    let machine = |n: &u8| {
        let attributes = Attributes { machine: Some(format!("host-{n}").into()), ..Attributes::default() };
        Arc::new(Endpoint {
            addresses: Addresses::V4([198, 51, 100, *n].into()),
            described: Arc::new(Description {
                named: Some(format!("vm-{n}").into()),
                zone: Some(format!("zone-{n}").into()),
                region: None,
                health_source: HealthSource::Verdict,
                attributes: Arc::new(attributes),
                ports: [].into(),
                hostname: None,
                node: None,
                weight: 1,
                conditions: Conditions::READY,
            }),
        })
    };
    Input::Contribution(Contribution {
        endpoints: names.iter().map(machine).collect(),
        generation: Some(1),
        deregister_after: Some(Duration::from_secs(100)),
        ..Contribution::new(registration(), key())
    })
}

fn registration() -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"))
}

fn verdict(n: u8, health: Health, since_s: i64) -> Input {
    let verdict = Verdict {
        health,
        since_ms: since_s * 1_000,
        reason: "it was refused".into(),
        addresses: Addresses::V4([198, 51, 100, n].into()),
        checks: Arc::default(),
    };
    Input::Verdict(registration(), format!("vm-{n}").into(), Some(verdict))
}

fn all(health: Health, since_s: i64) -> Vec<Input> {
    MACHINES.map(|n| verdict(n, health, since_s)).into()
}

const MACHINES: [u8; 5] = [1, 2, 3, 4, 5];

/// A catalog of five machines that pass, by policies; at 0 s of both clocks.
fn passing(policies: &[Input]) -> Catalog {
    let mut catalog = Catalog::default();
    let inputs = policies.iter().cloned().chain([service(), machines(&MACHINES)]).chain(all(Health::Passing, 0));
    at(&mut catalog, 0, inputs);
    catalog
}

/// Says something and publishes, at a second of both clocks; when to ask again, in milliseconds.
fn at(catalog: &mut Catalog, s: u64, inputs: impl IntoIterator<Item = Input>) -> Option<u64> {
    inputs.into_iter().for_each(|input| catalog.apply(input));
    catalog.publish(Now { mono_ms: s * 1_000, wall_ms: s as i64 * 1_000 }).again_ms
}

/// Health and readiness of each machine that is listed, and why the others are not.
fn seen(catalog: &Catalog) -> (Vec<(Name, Health, bool)>, Vec<String>) {
    let snapshot = catalog.snapshot();
    let service = snapshot.get(&key()).expect("the service");
    let mut members: Vec<_> = service
        .endpoints
        .iter()
        .map(|member| (member.endpoint.name().to_name(), member.health, member.conditions.ready))
        .collect();
    members.sort();
    (members, service.excluded.iter().map(|excluded| excluded.why.to_string()).collect())
}

fn callable(catalog: &Catalog) -> usize {
    seen(catalog).0.iter().filter(|(_, _, ready)| *ready).count()
}

#[test]
fn a_service_whose_targets_all_stop_is_held_says_so_and_is_let_go_when_its_registration_is() {
    let mut catalog = passing(&[guarded()]);
    // One after the other, as their checks come round. Two of five the guard believes.
    at(&mut catalog, 1, [verdict(1, Health::Critical, 1), verdict(2, Health::Critical, 1)]);
    assert_eq!(callable(&catalog), 3);
    at(&mut catalog, 2, all(Health::Critical, 2));
    assert_eq!(callable(&catalog), 5);
    let snapshot = catalog.snapshot();
    let service = snapshot.get(&key()).expect("the service");
    assert_eq!((service.held, snapshot.totals().held), (5, 5));
    let said = &*service.endpoints[0].reason;
    assert_eq!(said, "held for 60 s at most, as 5 of 5 endpoints left together; it was refused");
    assert!(service.endpoints.iter().all(|member| member.health == Health::Warning));
    let report = &snapshot.policies()[&PolicyKey::new("shop", "web")];
    assert_eq!((report.held, report.services_total), (5, 1));

    // The owner takes three out of the registration.
    at(&mut catalog, 3, [machines(&[1, 2])]);
    assert_eq!(callable(&catalog), 2);
    at(&mut catalog, 4, [Input::Gone(registration())]);
    let service = Arc::clone(catalog.snapshot().get(&key()).expect("the service"));
    assert_eq!((service.endpoints.len(), service.held), (0, 0));
}

#[test]
fn the_hold_ends_by_itself_by_a_policy_and_by_maintenance() {
    let mut catalog = passing(&[guarded()]);
    assert_eq!(at(&mut catalog, 2, all(Health::Critical, 2)), Some(62_000));
    let off = policy(Statement { removal: Some(None), ..Statement::default() });
    at(&mut catalog, 3, [off]);
    assert_eq!(callable(&catalog), 0, "an operator turned it off");

    let mut catalog = passing(&[guarded()]);
    at(&mut catalog, 2, all(Health::Critical, 2));
    at(&mut catalog, 62, []);
    assert_eq!(callable(&catalog), 0, "the time is over");

    let mut catalog = passing(&[guarded()]);
    at(&mut catalog, 2, all(Health::Critical, 2));
    let statement = Statement { maintenance: vec![("host-3".into(), "disk swap".into())], ..Statement::default() };
    at(&mut catalog, 3, [Input::Policy(PolicyKey::new("shop", "night"), Some(Arc::new(statement)))]);
    assert_eq!(seen(&catalog).0[2], ("vm-3".into(), Health::Maintenance, false));
    assert_eq!(callable(&catalog), 4);
}

#[test]
fn a_guard_of_registered_endpoints_leaves_pods_alone() {
    let guard = RemovalGuard { scope: Scope::Registered, ..GUARD };
    let default = Input::DefaultPolicy(Arc::new(Policy { removal: Some(guard), ..Policy::default() }));
    let mut catalog = passing(&[default, slice(&ZONE_A)]);
    assert_eq!(callable(&catalog), 9);
    at(&mut catalog, 1, [slice(&[])]);
    assert_eq!(callable(&catalog), 5, "pods are as their slices say");
    at(&mut catalog, 2, all(Health::Critical, 2));
    assert_eq!(callable(&catalog), 5, "machines are held");
}

#[test]
fn who_fails_for_so_long_is_taken_out_and_returns_when_it_passes() {
    let mut catalog = passing(&[]);
    assert_eq!(at(&mut catalog, 10, [verdict(1, Health::Critical, 10)]), Some(110_000));
    at(&mut catalog, 50, [verdict(2, Health::Critical, 50)]);
    assert_eq!(seen(&catalog).0.len(), 5);
    assert_eq!(at(&mut catalog, 110, []), Some(150_000));
    let (members, out) = seen(&catalog);
    assert_eq!(members.len(), 4);
    let said = "taken out, as it has been failing for longer than deregisterAfter (100 s): it was refused; it returns when \
                its checks pass";
    assert_eq!(out, [said]);
    at(&mut catalog, 120, [verdict(1, Health::Passing, 120)]);
    assert_eq!((seen(&catalog).0.len(), callable(&catalog), seen(&catalog).1.len()), (5, 4, 0));
}

#[test]
fn a_machine_in_maintenance_has_all_its_endpoints_out_and_no_other_namespace_may_say_so() {
    let maintenance = |namespace: &str, machines: &[&str]| {
        let machines = machines.iter().map(|machine| (Name::from(*machine), "disk swap".into())).collect();
        let statement = Statement { maintenance: machines, ..Statement::default() };
        Input::Policy(PolicyKey::new(namespace, "night"), Some(Arc::new(statement)))
    };
    let mut catalog = passing(&[]);
    at(&mut catalog, 1, [maintenance("bank", &["host-1"])]);
    assert_eq!(callable(&catalog), 5);
    at(&mut catalog, 2, [maintenance("shop", &["host-1", "host-4"])]);
    assert_eq!(callable(&catalog), 3);
    assert_eq!(
        &*catalog
            .snapshot()
            .get(&key())
            .expect("it")
            .endpoints
            .iter()
            .find(|m| &*m.endpoint.name() == "vm-4")
            .expect("it")
            .reason,
        "disk swap"
    );
    at(&mut catalog, 3, [maintenance("shop", &["host-4"])]);
    assert_eq!(callable(&catalog), 4);
    at(&mut catalog, 4, [Input::Policy(PolicyKey::new("shop", "night"), None)]);
    assert_eq!(callable(&catalog), 5);
}

fn damping() -> Damping {
    Damping {
        penalty: 1000,
        half_life: Duration::from_secs(60),
        suppress: 3000,
        reuse: 1000,
        maximum: Duration::from_secs(180),
    }
}

fn damped() -> Input {
    policy(Statement { damping: Some(Some(damping())), ..Statement::default() })
}

fn first(catalog: &Catalog) -> (Health, bool, Option<Penalty>, String) {
    let snapshot = catalog.snapshot();
    let service = snapshot.get(&key()).expect("the service");
    let member = service.endpoints.iter().find(|member| &*member.endpoint.name() == "vm-1").expect("the machine");
    let penalty = member.treatment.as_ref().and_then(|treatment| treatment.penalty);
    (member.health, member.conditions.ready, penalty, member.reason.to_string())
}

#[test]
fn who_flips_every_three_seconds_is_damped_visibly_and_comes_back() {
    let mut catalog = passing(&[damped()]);
    let (mut s, mut ready, mut changes) = (0, Vec::new(), 0);
    let mut version = catalog.snapshot().get(&key()).expect("it").version;
    while s < 120 {
        s += 3;
        let health = if s % 6 == 3 { Health::Critical } else { Health::Passing };
        at(&mut catalog, s, [verdict(1, health, s as i64)]);
        let now = catalog.snapshot().get(&key()).expect("it").version;
        changes += usize::from(std::mem::replace(&mut version, now) != now);
        ready.push(first(&catalog).1);
    }
    // Three falls are borne, with the fourth it is out and stays out, whatever it says: callers are told seven times of forty.
    assert_eq!(ready[..8], [false, true, false, true, false, true, false, false]);
    assert!(ready[6..].iter().all(|ready| !ready));
    assert_eq!(changes, 7);
    let (health, _, penalty, said) = first(&catalog);
    assert_eq!(health, Health::Critical);
    assert!(penalty.is_some_and(|penalty| penalty.damped && (3000..=8000).contains(&penalty.value)), "{penalty:?}");
    assert!(said.starts_with("damped, as it fell ") && said.contains("kept out until that is down to 1000"), "{said}");
    assert_eq!(catalog.snapshot().policies()[&PolicyKey::new("shop", "web")].damped, 1);

    // It stays up: it is back by itself, within the maximum, and is forgotten later.
    let back_ms = at(&mut catalog, s, []).expect("it is looked at again");
    assert!((s * 1_000 + 60_000..=(s + 180) * 1_000).contains(&back_ms), "{back_ms}");
    at(&mut catalog, back_ms / 1_000, []);
    assert!(!first(&catalog).1);
    let forgotten_ms = at(&mut catalog, back_ms / 1_000 + 1, []).expect("it is looked at again");
    assert_eq!((first(&catalog).0, first(&catalog).1), (Health::Passing, true));
    at(&mut catalog, forgotten_ms / 1_000 + 1, []);
    assert_eq!(first(&catalog).2, None);
}

#[test]
fn a_penalty_outlives_the_registration_and_the_process() {
    let flip = |catalog: &mut Catalog| {
        for s in 1..=8 {
            let health = if s % 2 == 1 { Health::Critical } else { Health::Passing };
            at(catalog, s, [verdict(1, health, s as i64)]);
        }
    };
    let mut catalog = passing(&[damped()]);
    flip(&mut catalog);
    let (_, ready, penalty, _) = first(&catalog);
    assert!(!ready);
    // Gone and registered anew, even without its Service meanwhile.
    at(&mut catalog, 9, [Input::Gone(registration()), Input::Service(key(), None)]);
    at(&mut catalog, 10, [service(), machines(&MACHINES)].into_iter().chain(all(Health::Passing, 10)));
    assert_eq!((first(&catalog).1, callable(&catalog)), (false, 4));

    // Another process, half a minute later, by what the status says.
    let Input::Contribution(contribution) = machines(&MACHINES) else { unreachable!("it is one") };
    let penalties = vec![("vm-1".into(), penalty.expect("it was told"))];
    let restored = Input::Contribution(Contribution { penalties, ..contribution });
    let mut catalog = Catalog::default();
    at(&mut catalog, 40, [damped(), service(), restored].into_iter().chain(all(Health::Passing, 10)));
    assert_eq!((first(&catalog).1, callable(&catalog)), (false, 4));
    at(&mut catalog, 200, []);
    assert!(first(&catalog).1);
}

#[test]
fn whom_its_owner_takes_away_has_not_fallen() {
    let mut catalog = passing(&[damped()]);
    for s in 1..40 {
        at(
            &mut catalog,
            s,
            if s % 2 == 1 {
                vec![machines(&MACHINES[1..])]
            } else {
                vec![machines(&MACHINES), verdict(1, Health::Passing, 1)]
            },
        );
    }
    at(&mut catalog, 41, [machines(&MACHINES), verdict(1, Health::Passing, 1)]);
    assert_eq!(callable(&catalog), 5);
}

#[test]
fn a_stale_service_says_since_when_and_keeps_saying_so() {
    let staleness = Staleness { after: Duration::from_secs(30), then: WhenStale::Serve };
    let stale = policy(Statement { staleness: Some(Some(staleness)), ..Statement::default() });
    let heard = |at: u64| Input::Contact(SourceId::only(SourceKind::ServiceRegistrations), at * 1_000);
    let mut catalog = passing(&[stale, heard(0)]);
    let since = |catalog: &Catalog| catalog.snapshot().get(&key()).expect("the service").stale;
    let fresh = catalog.snapshot().get(&key()).expect("the service").version;
    assert_eq!(since(&catalog), None);
    at(&mut catalog, 35, [heard(0)]);
    assert_eq!((since(&catalog), callable(&catalog)), (Some(30), 5));
    assert_ne!(catalog.snapshot().get(&key()).expect("the service").version, fresh);
    at(&mut catalog, 50, [verdict(1, Health::Critical, 50)]);
    assert_eq!(since(&catalog), Some(30));
    assert_eq!(
        (catalog.snapshot().totals().stale, catalog.snapshot().policies()[&PolicyKey::new("shop", "web")].stale),
        (1, 1)
    );
    at(&mut catalog, 60, [heard(60), verdict(1, Health::Passing, 0)]);
    assert_eq!(since(&catalog), None);
    assert_eq!(catalog.snapshot().get(&key()).expect("the service").version, fresh);
}

#[test]
fn what_was_there_before_its_source_was_heard_of_grows_old_as_well() {
    let staleness = Staleness { after: Duration::from_secs(30), then: WhenStale::Serve };
    let stale = policy(Statement { staleness: Some(Some(staleness)), ..Statement::default() });
    let heard = Input::Contact(SourceId::only(SourceKind::ServiceRegistrations), 5_000);
    let mut catalog = passing(&[stale]);
    let again_ms = at(&mut catalog, 5, [heard]);
    assert_eq!(again_ms, Some(30_000));
    at(&mut catalog, 30, []);
    at(&mut catalog, 36, []);
    assert_eq!(catalog.snapshot().get(&key()).expect("the service").stale, Some(35));
}

#[test]
fn who_asks_nobody_waits_for_nobody() {
    let confirmation = Some(crate::policy::Confirmation::by_replicas(0));
    let statement = Statement { confirmation, ..Statement::default() };
    let mut catalog = passing(&[]);
    let Input::Contribution(machines) = machines(&MACHINES) else { panic!("a contribution") };
    let second = Duration::from_secs(1);
    let time_to_evict = Some(TimeToEvict { detection: second, confirmation: second, lateness: Duration::ZERO });
    at(&mut catalog, 1, [Input::Contribution(Contribution { time_to_evict, ..machines })]);
    let total =
        |catalog: &Catalog| catalog.snapshot().get(&key()).and_then(|of| of.time_to_evict()).map(|time| time.total());
    assert_eq!(total(&catalog), Some(2 * second));
    at(&mut catalog, 2, [Input::Policy(PolicyKey::new("shop", "quick"), Some(Arc::new(statement)))]);
    assert_eq!(total(&catalog), Some(second));
}
