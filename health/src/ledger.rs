//! All that is known of an endpoint, and the verdict that follows from it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use rollcall_catalog::few::Few;
use rollcall_catalog::input::{CheckVerdict, Origin, Verdict};
use rollcall_catalog::model::{Addresses, Health, Name};

/// Who says something about an endpoint. Each has a place of its own in the ledger: none overwrites another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Witness {
    /// The check, or the heartbeat, by its name in the registration.
    pub name: Name,
    /// From where it is looked.
    pub vantage: Vantage,
}

/// From where an endpoint is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vantage {
    /// This process, at this address of the endpoint.
    Address(SocketAddr),
    /// The endpoint itself, by what it sends.
    Instance,
    /// The agent on its machine.
    Machine,
    /// Another process that was asked, by its name. It has been counted where it was asked; here it stands for people.
    Peer(Name),
}

/// What one witness says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Passing, Warning, Critical or Unknown.
    pub health: Health,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// What it saw, in plain words.
    pub reason: Name,
}

/// What is known of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The addresses that all of it is about.
    pub addresses: Addresses,
    /// What each witness says.
    pub evidence: Few<Witness, Evidence>,
}

/// What is known of every endpoint.
#[derive(Debug, Default)]
pub struct Ledger {
    origins: HashMap<Arc<Origin>, BTreeMap<Name, Subject>>,
}

// === impl Ledger ===

impl Ledger {
    /// Replaces what is known of all endpoints of an origin; the verdict on each, `None` for one that had some and now is not
    /// judged any more.
    pub fn replace(&mut self, origin: &Arc<Origin>, subjects: BTreeMap<Name, Subject>) -> Vec<(Name, Option<Verdict>)> {
        let before = self.origins.get(origin).into_iter().flat_map(BTreeMap::keys);
        let gone = before.filter(|name| !subjects.contains_key(*name)).map(|name| (Name::clone(name), None));
        let now = subjects.iter().map(|(name, subject)| (Name::clone(name), subject.verdict()));
        let verdicts = gone.chain(now).collect();
        self.origins.insert(Arc::clone(origin), subjects);
        verdicts
    }

    /// Takes in what a witness says now, `None` if it says nothing any more. The verdict, if that changed it.
    pub fn put(
        &mut self,
        origin: &Arc<Origin>,
        endpoint: &Name,
        witness: Witness,
        evidence: Option<Evidence>,
    ) -> Option<Option<Verdict>> {
        let subject = self.origins.get_mut(origin)?.get_mut(endpoint)?;
        if subject.evidence.get(&witness) == evidence.as_ref() {
            return None;
        }
        let before = subject.verdict();
        match evidence {
            Some(evidence) => subject.evidence.insert(witness, evidence),
            None => subject.evidence.remove(&witness),
        };
        let now = subject.verdict();
        (before != now).then_some(now)
    }

    /// Has a place for what is said of an endpoint of an origin that has some.
    pub fn open(&mut self, origin: &Arc<Origin>, endpoint: &Name, addresses: Addresses) {
        if let Some(subjects) = self.origins.get_mut(origin).filter(|subjects| !subjects.contains_key(endpoint)) {
            subjects.insert(Name::clone(endpoint), Subject { addresses, evidence: Few::new() });
        }
    }

    /// What is known of the endpoints of an origin.
    pub fn subjects(&self, origin: &Arc<Origin>) -> Option<&BTreeMap<Name, Subject>> {
        self.origins.get(origin)
    }

    /// Forgets an origin.
    pub fn remove(&mut self, origin: &Arc<Origin>) {
        self.origins.remove(origin);
    }
}

// === impl Subject ===

impl Subject {
    /// The verdict: the worst that a witness says. `None` without any.
    pub fn verdict(&self) -> Option<Verdict> {
        let counted = || self.evidence.iter().filter(|(witness, _)| !matches!(witness.vantage, Vantage::Peer(_)));
        let worst = counted().map(|(_, evidence)| evidence.clone()).reduce(Evidence::worse)?;
        let mut checks: Vec<CheckVerdict> = Vec::new();
        // Sorted by name, so that what one check says of several addresses stands side by side.
        for (witness, evidence) in counted() {
            let said = evidence.clone();
            let on_machine = witness.vantage == Vantage::Machine;
            match checks.last_mut().filter(|last| last.name == witness.name) {
                Some(last) => {
                    let Evidence { health, since_ms, reason } =
                        Evidence { health: last.health, since_ms: last.since_ms, reason: Name::clone(&last.reason) }
                            .worse(said);
                    let on_machine = last.on_machine && on_machine;
                    *last = CheckVerdict { name: Name::clone(&last.name), health, since_ms, reason, on_machine };
                }
                None => checks.push(CheckVerdict {
                    name: Name::clone(&witness.name),
                    health: said.health,
                    since_ms: said.since_ms,
                    reason: said.reason,
                    on_machine,
                }),
            }
        }
        Some(Verdict {
            health: worst.health,
            since_ms: worst.since_ms,
            reason: worst.reason,
            addresses: self.addresses,
            checks: checks.into(),
        })
    }
}

// === impl Evidence ===

impl Evidence {
    /// The worse of two, in the words of the first if they are alike. All are well since the last of them is; something is
    /// wrong since the first of them was.
    fn worse(self, other: Self) -> Self {
        let (here, there) = (rank(self.health), rank(other.health));
        if there > here {
            return other;
        }
        if there < here {
            return self;
        }
        let since_ms = if self.health.is_callable() {
            self.since_ms.max(other.since_ms)
        } else {
            self.since_ms.min(other.since_ms)
        };
        Self { since_ms, ..self }
    }
}

fn rank(health: Health) -> u8 {
    match health {
        Health::Critical => 4,
        Health::Unknown => 3,
        Health::Maintenance => 2,
        Health::Warning => 1,
        Health::Passing => 0,
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::input::OriginKind;

    use super::*;

    fn origin() -> Arc<Origin> {
        Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"))
    }

    fn witness(name: &str, vantage: Vantage) -> Witness {
        Witness { name: name.into(), vantage }
    }

    fn evidence(health: Health, since_ms: i64) -> Evidence {
        Evidence { health, since_ms, reason: format!("said {health}").into() }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let subject = Subject { addresses: Addresses::V4([198, 51, 100, 1].into()), evidence: Few::new() };
        assert_eq!(ledger.replace(&origin(), [("vm-1".into(), subject)].into()), [("vm-1".into(), None)]);
        ledger
    }

    fn told(ledger: &mut Ledger, witness: Witness, evidence: Evidence) -> Option<Health> {
        let verdict = ledger.put(&origin(), &"vm-1".into(), witness, Some(evidence))?;
        verdict.map(|verdict| verdict.health)
    }

    #[test]
    fn sources_of_evidence_do_not_overwrite_each_other() {
        let mut ledger = ledger();
        let beats = || witness("beats", Vantage::Instance);
        let check = || witness("web", Vantage::Address("198.51.100.1:80".parse().expect("an address")));
        let peer = || witness("web", Vantage::Peer("replica-b".into()));
        assert_eq!(told(&mut ledger, beats(), evidence(Health::Critical, 5)), Some(Health::Critical));
        told(&mut ledger, check(), evidence(Health::Passing, 6));
        told(&mut ledger, peer(), evidence(Health::Passing, 7));
        assert_eq!(told(&mut ledger, check(), evidence(Health::Passing, 6)), None, "the same again is no news");
        assert_eq!(told(&mut ledger, peer(), evidence(Health::Critical, 8)), None, "who was asked has been counted");
        let before = ledger.subjects(&origin()).expect("known")["vm-1"].verdict().expect("judged");
        assert_eq!((before.health, before.since_ms), (Health::Critical, 5), "beats still say so");
        assert_eq!(told(&mut ledger, beats(), evidence(Health::Passing, 9)), Some(Health::Passing));
        let now = ledger.subjects(&origin()).expect("known")["vm-1"].verdict().expect("judged");
        assert_eq!(
            (now.since_ms, now.checks.len()),
            (9, 2),
            "well since the last of them is; checks of one name are one"
        );
    }

    #[test]
    fn the_worst_decides_and_failing_began_with_the_first() {
        let mut ledger = ledger();
        let at = |last: u8| Vantage::Address(format!("198.51.100.{last}:80").parse().expect("an address"));
        told(&mut ledger, witness("web", at(1)), evidence(Health::Critical, 20));
        told(&mut ledger, witness("web", at(2)), evidence(Health::Critical, 10));
        told(&mut ledger, witness("new", at(1)), evidence(Health::Unknown, 30));
        let verdict = ledger.subjects(&origin()).expect("known")["vm-1"].verdict().expect("judged");
        assert_eq!((verdict.health, verdict.since_ms), (Health::Critical, 10));
        let checks: Vec<_> = verdict.checks.iter().map(|check| (&*check.name, check.health)).collect();
        assert_eq!(checks, [("new", Health::Unknown), ("web", Health::Critical)]);
    }
}
