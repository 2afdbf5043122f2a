//! Checks of pods, as DiscoveryPolicies define them, and what an earlier process knew of pods that failed.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_catalog::ServiceKey;
use rollcall_catalog::evict::TimeToEvict;
use rollcall_catalog::input::{CheckVerdict, Verdict};
use rollcall_catalog::model::{Addresses, Endpoint, Health, Name, Protocol};
use rollcall_catalog::policy::{PodChecks, PolicyKey, Statement};
use rollcall_crds::{CheckStatus, DiscoveryPolicy, FailingPod, PodChecksSpec};
use rollcall_health::plan::Restored;
use rollcall_health::{Check, schedule};
use xxhash_rust::xxh3::xxh3_64;

use super::{checks, restored};
use crate::kubernetes::ObjectKey;

/// What is checked of pods, by policy. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PodCheckBook(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    definitions: HashMap<PolicyKey, Arc<Definition>>,
    /// The policies that were seen: what their status says is of this process's own making from then on.
    seen: HashSet<PolicyKey>,
    restored: HashMap<ServiceKey, Vec<(Name, Restored)>>,
}

/// The checks of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Each with what its port speaks.
    pub checks: Vec<(Arc<Check>, Protocol)>,
    /// The port of those that name none.
    pub port: Option<u16>,
}

// === impl PodCheckBook ===

impl PodCheckBook {
    /// Takes in a policy as it is now. The first time: the pods that failed when an earlier process ended, with their services.
    pub fn set(&self, policy: &DiscoveryPolicy) -> Vec<(ServiceKey, Name, Verdict)> {
        let key = key(policy);
        let definition = policy.spec.pod_checks.as_ref().map(|said| Definition::read(&key.namespace, said).0);
        let mut pages = self.pages();
        let is_first = pages.seen.insert(key.clone());
        let is_checking = definition.as_ref().is_some_and(|definition| !definition.checks.is_empty());
        match definition {
            Some(definition) => pages.definitions.insert(key.clone(), Arc::new(definition)),
            None => pages.definitions.remove(&key),
        };
        if !is_first || !is_checking {
            return Vec::new();
        }
        let status = policy.status.iter().flat_map(|status| &status.failing_pods);
        let failing: Vec<_> = status.filter_map(|said| verdict(&key.namespace, said)).collect();
        for (service, pod, verdict) in &failing {
            let known = Restored { verdict: verdict.clone(), current: true };
            pages.restored.entry(service.clone()).or_default().push((Name::clone(pod), known));
        }
        failing
    }

    /// A policy is gone.
    pub fn forget(&self, key: &PolicyKey) {
        let mut pages = self.pages();
        pages.definitions.remove(key);
        pages.seen.remove(key);
    }

    /// The checks of a policy.
    pub fn of(&self, key: &PolicyKey) -> Option<Arc<Definition>> {
        self.pages().definitions.get(key).cloned()
    }

    /// What an earlier process knew of the pods of a service, once.
    pub fn restored(&self, service: &ServiceKey) -> Vec<(Name, Restored)> {
        self.pages().restored.remove(service).unwrap_or_default()
    }

    /// The services of which an earlier process knew something that nobody has asked for.
    pub fn unasked(&self) -> Vec<ServiceKey> {
        self.pages().restored.keys().cloned().collect()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Definition ===

impl Definition {
    /// The checks that can be run, and what is wrong with the others.
    pub fn read(namespace: &Name, said: &PodChecksSpec) -> (Self, Vec<Name>) {
        let (mut checks, mut problems) = (Vec::new(), Vec::new());
        for check in said.checks.iter().filter(|_| said.enabled) {
            match checks::of_pods(namespace, check) {
                Ok((check, speaks)) => checks.push((Arc::new(check), speaks)),
                Err(problem) => problems.push(problem.words),
            }
        }
        (Self { checks, port: said.port }, problems)
    }

    /// What of it can be told; `None` when nothing is checked.
    pub fn told(&self) -> Option<PodChecks> {
        let bounds = self.checks.iter().map(|(check, _)| schedule::time_to_evict(check));
        let time_to_evict = bounds.min_by_key(TimeToEvict::total)?;
        let names: Vec<_> = self.checks.iter().map(|(check, _)| &*check.name).collect();
        let says = format!("pods that Kubernetes gives out are checked: {}", names.join(", "));
        Some(PodChecks { says: says.into(), version: xxh3_64(format!("{self:?}").as_bytes()), time_to_evict })
    }

    /// The port of a pod that a check calls.
    pub fn port(&self, check: &Check, speaks: Protocol, endpoint: &Endpoint) -> Option<u16> {
        let mut ports = endpoint.ports.iter().filter(|port| port.protocol == speaks);
        match &*check.port {
            "" => self.port.or_else(|| ports.next().map(|port| port.number)),
            name => ports.find(|port| *port.name == *name).map(|port| port.number),
        }
    }
}

/// What a policy says, with what it says of pods; a check that cannot be used is left out, and told.
pub fn stated(policy: &DiscoveryPolicy, statement: Statement) -> Statement {
    let Some(said) = &policy.spec.pod_checks else { return statement };
    let (definition, problems) = Definition::read(&key(policy).namespace, said);
    let problems = statement.problems.iter().cloned().chain(problems).collect();
    Statement { pod_checks: Some(definition.told().map(Arc::new)), problems, ..statement }
}

fn key(policy: &DiscoveryPolicy) -> PolicyKey {
    let ObjectKey { namespace, name } = ObjectKey::of(&policy.metadata);
    PolicyKey { namespace, name }
}

fn verdict(namespace: &Name, said: &FailingPod) -> Option<(ServiceKey, Name, Verdict)> {
    let ips: Result<Vec<IpAddr>, _> = said.addresses.iter().map(|ip| ip.parse()).collect();
    let check = |said: &CheckStatus| CheckVerdict {
        name: said.name.as_str().into(),
        health: restored::health(said.health),
        since_ms: said.since.0.as_millisecond(),
        reason: said.reason.as_str().into(),
        on_machine: false,
    };
    let checks: Arc<[_]> = said.checks.iter().map(check).collect();
    let worst = checks.iter().find(|check| check.health == Health::Critical)?;
    let verdict = Verdict {
        health: worst.health,
        since_ms: worst.since_ms,
        reason: Name::clone(&worst.reason),
        addresses: Addresses::from_ips(ips.ok()?)?,
        checks: Arc::clone(&checks),
    };
    let service = ServiceKey { namespace: Name::clone(namespace), name: said.service.as_str().into() };
    Some((service, said.pod.as_str().into(), verdict))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(spec: serde_json::Value, status: serde_json::Value) -> DiscoveryPolicy {
        let object = json!({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "DiscoveryPolicy",
            "metadata": {"namespace": "shop", "name": "web"}, "spec": spec, "status": status,
        });
        serde_json::from_value(object).expect("a policy")
    }

    fn failing() -> serde_json::Value {
        json!({"failingPods": [{
            "service": "payments", "pod": "payments-1", "addresses": ["10.1.0.4"],
            "checks": [{"name": "web", "health": "Critical", "since": "2026-11-28T12:00:00Z", "reason": "check web: refused"}],
        }]})
    }

    #[test]
    fn what_failed_before_a_restart_is_known_once_and_only_while_it_is_checked() {
        let checks = || json!({"podChecks": {"checks": [{"name": "web", "http": {}}], "port": 8081}});
        let book = PodCheckBook::default();
        let known = book.set(&policy(checks(), failing()));
        let (service, pod, verdict) = &known[0];
        assert_eq!(
            (service.to_string(), &**pod, verdict.health),
            ("shop/payments".into(), "payments-1", Health::Critical)
        );
        assert_eq!(book.set(&policy(checks(), failing())), Vec::new(), "from then on it is of our own making");
        assert_eq!((book.restored(service).len(), book.restored(service).len()), (1, 0));
        let off = json!({"podChecks": {"enabled": false, "checks": [{"name": "web", "http": {}}]}});
        assert_eq!(PodCheckBook::default().set(&policy(off, failing())), Vec::new());
    }

    #[test]
    fn a_check_that_cannot_be_used_is_named_and_the_others_are_run() {
        let said =
            json!({"checks": [{"name": "web", "http": {}}, {"name": "other", "alias": {"service": "payments"}}]});
        let (definition, problems) =
            Definition::read(&"shop".into(), &serde_json::from_value(said).expect("a section"));
        assert_eq!((definition.checks.len(), problems.len()), (1, 1));
        assert!(problems[0].contains("podChecks: check other: its kind is not known"), "{problems:?}");
        let told = definition.told().expect("one is run");
        assert_eq!(&*told.says, "pods that Kubernetes gives out are checked: web");
    }
}
