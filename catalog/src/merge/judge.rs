//! The health of an endpoint, from its conditions and its pod, from verdicts, or from an operator's will.

use std::sync::{Arc, LazyLock};

use super::offers::is_there;
use super::{Context, Lookup, Pod};
use crate::input::{CheckVerdict, Origin, Verdict};
use crate::model::{Conditions, Endpoint, Health, HealthSource, Name};

/// What was decided about an endpoint.
pub(crate) struct Judgement {
    pub(crate) health: Health,
    pub(crate) conditions: Conditions,
    pub(crate) since_ms: Option<i64>,
    pub(crate) reason: Name,
    pub(crate) checks: Arc<[CheckVerdict]>,
}

/// Words that most endpoints share.
macro_rules! words {
    ($($name:ident: $text:literal,)*) => { $(static $name: LazyLock<Name> = LazyLock::new(|| $text.into());)* };
}

words! {
    READY: "ready",
    NOT_READY: "not ready, as its EndpointSlice says",
    DELETED: "the pod is being deleted",
    ENDED: "the pod has ended",
    GONE: "the pod is gone",
    UNCHECKED: "registered without checks",
    NOT_YET: "not checked yet",
    PEER_SAYS: "as its own cluster says",
    PEER_SILENT: "its cluster is silent: kept as it was last heard, and called last",
}

// === impl Judgement ===

impl Judgement {
    /// For a registered endpoint: health decides the conditions. One in maintenance is not serving either: there are
    /// proxies that call what only serves.
    fn of(health: Health, reason: &Name, since_ms: Option<i64>) -> Self {
        let conditions = if health.is_callable() { Conditions::READY } else { Conditions::NOT_READY };
        Self { health, conditions, since_ms, reason: Name::clone(reason), checks: Arc::default() }
    }

    /// Of a pod that a policy has checked: Kubernetes says whether it is ready, and a check that fails takes it back. Before there
    /// is a result it is as Kubernetes says.
    fn checked(self, verdict: Option<&Verdict>) -> Self {
        let checked = self.with_checks(verdict);
        let Some(verdict) = verdict.filter(|_| checked.health.is_callable()) else { return checked };
        let said = |health, conditions| {
            let (reason, since_ms) = (Name::clone(&verdict.reason), Some(verdict.since_ms));
            Self { health, conditions, since_ms, reason, checks: Arc::clone(&checked.checks) }
        };
        match verdict.health {
            Health::Critical => {
                said(Health::Critical, Conditions { ready: false, serving: false, ..checked.conditions })
            }
            Health::Warning => said(Health::Warning, checked.conditions),
            Health::Passing | Health::Unknown | Health::Maintenance => checked,
        }
    }

    fn with_checks(self, verdict: Option<&Verdict>) -> Self {
        Self { checks: verdict.map(|verdict| Arc::clone(&verdict.checks)).unwrap_or_default(), ..self }
    }
}

impl<L: Lookup> Context<'_, L> {
    pub(crate) fn judge(&self, origin: &Origin, endpoint: &Endpoint, pod: Pod<'_>) -> Judgement {
        let machine = endpoint.attributes.machine.as_ref();
        let maintenance = machine.and_then(|machine| self.lookup.maintenance(&origin.namespace, machine));
        match &endpoint.health_source {
            HealthSource::Unchecked | HealthSource::Verdict if let Some(reason) = maintenance => {
                Judgement::of(Health::Maintenance, reason, None).with_checks(self.verdict(origin, endpoint))
            }
            HealthSource::Conditions { .. } => {
                let publish_not_ready = self.statements.facts.as_ref().is_some_and(|facts| facts.publish_not_ready);
                let judgement = judge_conditions(endpoint.conditions, pod, publish_not_ready);
                match is_there(endpoint, pod) {
                    true => judgement.checked(self.pod_verdict(endpoint)),
                    false => judgement,
                }
            }
            HealthSource::Unchecked => Judgement::of(Health::Passing, &UNCHECKED, None),
            HealthSource::Maintenance(reason) => {
                Judgement::of(Health::Maintenance, reason, None).with_checks(self.verdict(origin, endpoint))
            }
            HealthSource::Imported { health, suspect_since_ms, .. } => {
                judge_import(*health, *suspect_since_ms, endpoint.conditions)
            }
            HealthSource::Verdict => match self.verdict(origin, endpoint) {
                Some(verdict) => {
                    Judgement::of(verdict.health, &verdict.reason, Some(verdict.since_ms)).with_checks(Some(verdict))
                }
                None => Judgement::of(Health::Unknown, &NOT_YET, None),
            },
        }
    }

    /// The same of a pod.
    fn pod_verdict(&self, endpoint: &Endpoint) -> Option<&Verdict> {
        let verdict = self.lookup.pod_verdict(self.key, &endpoint.name())?;
        endpoint.addresses.iter().all(|ip| verdict.addresses.contains(ip)).then_some(verdict)
    }

    /// The verdict on an endpoint where it is: one about another address is about another machine. The service may take
    /// fewer addresses than were judged.
    fn verdict(&self, origin: &Origin, endpoint: &Endpoint) -> Option<&Verdict> {
        let verdict = self.lookup.verdict(origin, &endpoint.name())?;
        endpoint.addresses.iter().all(|ip| verdict.addresses.contains(ip)).then_some(verdict)
    }
}

/// For an endpoint of another cluster: that cluster is the authority. While it is silent, what can be called is only called
/// with a complaint, so that whoever can rank endpoints ranks it last.
fn judge_import(health: Health, suspect_since_ms: Option<i64>, said: Conditions) -> Judgement {
    let (health, reason) = match (suspect_since_ms, health) {
        (None, health) => (health, &PEER_SAYS),
        (Some(_), Health::Passing) => (Health::Warning, &PEER_SILENT),
        (Some(_), health) => (health, &PEER_SILENT),
    };
    Judgement {
        health,
        conditions: said,
        since_ms: suspect_since_ms,
        reason: Name::clone(reason),
        checks: Arc::default(),
    }
}

/// For an endpoint of an EndpointSlice: the slice is the authority on readiness, and the pod may take it back sooner.
fn judge_conditions(said: Conditions, pod: Pod<'_>, publish_not_ready: bool) -> Judgement {
    let (ending, over) = match pod {
        Pod::Unseen => (false, None),
        Pod::There(facts) => (facts.terminating, facts.finished.then_some(&ENDED)),
        Pod::Gone => (false, Some(&GONE)),
    };
    let terminating = said.terminating || ending;
    let ready = said.ready && over.is_none() && (publish_not_ready || !terminating);
    let (health, reason) = match (ready, over, terminating) {
        (true, ..) => (Health::Passing, &READY),
        (false, Some(over), _) => (Health::Critical, over),
        (false, None, true) => (Health::Critical, &DELETED),
        (false, None, false) => (Health::Critical, &NOT_READY),
    };
    let conditions = Conditions { ready, serving: said.serving && over.is_none(), terminating };
    Judgement { health, conditions, since_ms: None, reason: Name::clone(reason), checks: Arc::default() }
}
