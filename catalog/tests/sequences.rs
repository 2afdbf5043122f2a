//! Sequences of changes of objects, after each of which the catalog says what a small model of the documented rules says.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use rollcall_catalog::catalog::Catalog;
use rollcall_catalog::input::{Input, PodFacts};
use rollcall_catalog::model::{Conditions, Endpoint, Health, HealthSource};
use rollcall_catalog::time::Now;
use support::*;

/// An endpoint of a slice: pod, which of that name, address, port, readiness.
type Pod = (u8, u8, u8, u8, bool);
/// An endpoint of a registration: name, address, port, and what its health comes from.
type Machine = (u8, u8, u8, Care);

#[derive(Clone, Copy, Debug)]
enum Care {
    Unchecked,
    Checked,
    Maintenance,
}

/// One change of one object.
#[derive(Clone, Debug)]
enum Step {
    Service(bool),
    Slice(u8, Vec<Pod>),
    SliceGone(u8),
    Registration(u8, Vec<Machine>),
    RegistrationGone(u8),
    /// Name, which of that name, and whether it is being deleted.
    Pod(u8, u8, bool),
    PodGone(u8),
    /// Registration, endpoint, the address that was checked, and whether it passes.
    Verdict(u8, u8, u8, bool),
}

/// The documented rules, without any of the means.
#[derive(Default)]
struct Model {
    service: bool,
    slices: BTreeMap<u8, Vec<Pod>>,
    registrations: BTreeMap<u8, Vec<Machine>>,
    pods: BTreeMap<u8, (u8, bool)>,
    gone: BTreeSet<(u8, u8)>,
    verdicts: BTreeMap<(u8, u8), (u8, bool)>,
}

/// Address, port, and who is called there.
type Called = BTreeSet<(u8, u8, String)>;

impl Model {
    fn apply(&mut self, step: &Step) {
        match step.clone() {
            Step::Service(there) => self.service = there,
            Step::Slice(name, pods) => _ = self.slices.insert(name, pods),
            Step::SliceGone(name) => _ = self.slices.remove(&name),
            Step::Registration(name, machines) => {
                self.verdicts
                    .retain(|(of, endpoint), _| *of != name || machines.iter().any(|machine| machine.0 == *endpoint));
                self.registrations.insert(name, machines);
            }
            Step::RegistrationGone(name) => {
                self.registrations.remove(&name);
                self.verdicts.retain(|(of, _), _| *of != name);
            }
            Step::Pod(name, uid, leaving) => {
                self.bury(name, Some(uid));
                self.gone.remove(&(name, uid));
                self.pods.insert(name, (uid, leaving));
            }
            Step::PodGone(name) => self.bury(name, None),
            Step::Verdict(of, endpoint, ip, passing) => {
                let named =
                    self.registrations.get(&of).is_some_and(|list| list.iter().any(|machine| machine.0 == endpoint));
                if named {
                    self.verdicts.insert((of, endpoint), (ip, passing));
                }
            }
        }
    }

    /// A name has one pod at a time: whichever had it is gone.
    fn bury(&mut self, name: u8, unless: Option<u8>) {
        if let Some((uid, _)) = self.pods.remove(&name)
            && Some(uid) != unless
        {
            self.gone.insert((name, uid));
        }
    }

    fn is_fit(&self, (name, uid, _, _, ready): &Pod) -> bool {
        let leaving = self.pods.get(name).is_some_and(|(there, leaving)| there == uid && *leaving);
        *ready && !leaving && !self.gone.contains(&(*name, *uid))
    }

    fn is_healthy(&self, registration: u8, (name, ip, _, care): &Machine) -> bool {
        match care {
            Care::Unchecked => true,
            Care::Maintenance => false,
            Care::Checked => self.verdicts.get(&(registration, *name)) == Some(&(*ip, true)),
        }
    }

    fn called(&self) -> Called {
        let mut called = Called::new();
        if self.service {
            let fit = self.slices.values().flatten().filter(|pod| self.is_fit(pod));
            called.extend(fit.map(|(name, _, ip, port, _)| (*ip, *port, format!("pod-{name}"))));
        }
        for (registration, machines) in &self.registrations {
            for machine in machines.iter().filter(|machine| self.is_healthy(*registration, machine)) {
                let (name, ip, port, _) = machine;
                if !called.iter().any(|(other, of, _)| (other, of) == (ip, port)) {
                    called.insert((*ip, *port, format!("vm-{registration}-{name}")));
                }
            }
        }
        called
    }
}

fn address_of(ip: u8) -> String {
    format!("192.0.2.{ip}")
}

fn said_by(step: &Step) -> Input {
    let at = |mut endpoint: Endpoint, port: u8| {
        endpoint.ports = ports(&[("http", 8_000 + u16::from(port))]);
        endpoint
    };
    match step.clone() {
        Step::Service(true) => headless("payments"),
        Step::Service(false) => Input::Service(key("payments"), None),
        Step::Slice(name, pods) => {
            let pod = |(name, uid, ip, port, ready): Pod| {
                let mut pod = at(pod_of(&format!("pod-{name}"), &format!("uid-{uid}"), &address_of(ip)), port);
                pod.conditions = if ready { Conditions::READY } else { Conditions::NOT_READY };
                pod
            };
            said(&slice(&format!("slice-{name}")), "payments", pods.into_iter().map(pod).collect())
        }
        Step::SliceGone(name) => Input::Gone(slice(&format!("slice-{name}"))),
        Step::Registration(name, machines) => {
            let machine = |(endpoint_name, ip, port, care): Machine| {
                let source = match care {
                    Care::Unchecked => HealthSource::Unchecked,
                    Care::Checked => HealthSource::Verdict,
                    Care::Maintenance => HealthSource::Maintenance("upgrade".into()),
                };
                at(endpoint(&format!("vm-{name}-{endpoint_name}"), &address_of(ip), source), port)
            };
            said(&registration(&format!("vms-{name}")), "payments", machines.into_iter().map(machine).collect())
        }
        Step::RegistrationGone(name) => Input::Gone(registration(&format!("vms-{name}"))),
        Step::Pod(name, uid, terminating) => {
            pod_is(&format!("pod-{name}"), Some(PodFacts { terminating, ..pod_facts(&format!("uid-{uid}")) }))
        }
        Step::PodGone(name) => pod_is(&format!("pod-{name}"), None),
        Step::Verdict(of, name, ip, passing) => {
            let health = if passing { Health::Passing } else { Health::Critical };
            verdict(&registration(&format!("vms-{of}")), &format!("vm-{of}-{name}"), &address_of(ip), health)
        }
    }
}

fn called(catalog: &Catalog) -> Called {
    let snapshot = catalog.snapshot();
    let Some(service) = snapshot.get(&key("payments")).filter(|service| service.exists()) else { return Called::new() };
    let each = service.callable().flat_map(|member| {
        let endpoint = Arc::clone(&member.endpoint);
        let name = endpoint.name().to_string();
        let ports: Vec<_> = endpoint.ports.iter().map(|port| (port.number - 8_000) as u8).collect();
        let ips: Vec<_> = endpoint.addresses.v4().into_iter().map(|ip| ip.octets()[3]).collect();
        ips.into_iter().flat_map(move |ip| {
            let name = name.clone();
            ports.clone().into_iter().map(move |port| (ip, port, name.clone()))
        })
    });
    each.collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let care = prop_oneof![Just(Care::Unchecked), Just(Care::Checked), Just(Care::Maintenance)];
    let pods = prop::collection::vec((0..3_u8, 0..2_u8, 1..4_u8, 0..2_u8, any::<bool>()), 0..4);
    let machines = prop::collection::btree_map(0..3_u8, (1..4_u8, 0..2_u8, care), 0..3)
        .prop_map(|list| list.into_iter().map(|(name, (ip, port, care))| (name, ip, port, care)).collect());
    let step = prop_oneof![
        2 => prop::bool::weighted(0.8).prop_map(Step::Service),
        4 => (0..2_u8, pods).prop_map(|(name, pods)| Step::Slice(name, pods)),
        1 => (0..2_u8).prop_map(Step::SliceGone),
        3 => (0..2_u8, machines).prop_map(|(name, list)| Step::Registration(name, list)),
        1 => (0..2_u8).prop_map(Step::RegistrationGone),
        3 => (0..3_u8, 0..2_u8, any::<bool>()).prop_map(|(name, uid, leaving)| Step::Pod(name, uid, leaving)),
        2 => (0..3_u8).prop_map(Step::PodGone),
        4 => (0..2_u8, 0..3_u8, 1..4_u8, any::<bool>()).prop_map(|(of, name, ip, passing)| Step::Verdict(of, name, ip, passing)),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn after_every_change_callers_are_given_what_the_rules_say(steps in steps(), batch in 1..4_usize) {
        let mut model = Model::default();
        let mut catalog = Catalog::with_drafts_above(0);
        for (at, steps) in steps.chunks(batch).enumerate() {
            for step in steps {
                model.apply(step);
                catalog.apply(said_by(step));
            }
            catalog.publish(Now::default());
            prop_assert_eq!(called(&catalog), model.called(), "after batch {}: {:?}", at, steps);
        }
    }
}
