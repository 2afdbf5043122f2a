//! Every policy that is there, and which of them is in force for a service: section by section the nearest, which is that
//! of the service, then that of its namespace, then the cluster's default. A section that is given is given as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Policy, PolicyKey, Statement};
use crate::hashed::HashMap;
use crate::model::{Name, ServiceKey};

/// The policies, by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Book {
    default: Arc<Policy>,
    statements: BTreeMap<PolicyKey, Arc<Statement>>,
    /// Of each namespace: those for one service, by its name, and those for all. In order of age.
    targets: HashMap<Name, BTreeMap<Option<Name>, Vec<PolicyKey>>>,
    /// What is in force where no policy names the service itself, by namespace; made when it is first asked for.
    common: HashMap<Name, Arc<Policy>>,
}

/// What has to be looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Affected {
    Service(ServiceKey),
    Namespace(Name),
}

// === impl Book ===

impl Book {
    /// Takes in the cluster's default; whether it is another one than before.
    pub(crate) fn set_default(&mut self, policy: Arc<Policy>) -> bool {
        self.common.clear();
        std::mem::replace(&mut self.default, Arc::clone(&policy)) != policy
    }

    /// Takes in a policy as it is now. What is affected by it, and by it as it was.
    pub(crate) fn set(&mut self, key: &PolicyKey, statement: Option<Arc<Statement>>) -> Vec<Affected> {
        let before = match &statement {
            Some(statement) => self.statements.insert(key.clone(), Arc::clone(statement)),
            None => self.statements.remove(key),
        };
        if before == statement {
            return Vec::new();
        }
        let mut affected = Vec::new();
        for said in before.iter().chain(&statement) {
            self.settle(key, said.service.as_ref());
            affected.push(match &said.service {
                Some(service) => {
                    Affected::Service(ServiceKey { namespace: Name::clone(&key.namespace), name: Name::clone(service) })
                }
                None => Affected::Namespace(Name::clone(&key.namespace)),
            });
        }
        affected.dedup();
        self.common.remove(&key.namespace);
        affected
    }

    /// The policy in force for a service.
    pub(crate) fn of(&mut self, key: &ServiceKey) -> Arc<Policy> {
        let Some(targets) = self.targets.get(&key.namespace) else { return Arc::clone(&self.default) };
        let first = |target: &Option<Name>| targets.get(target).and_then(|keys| keys.first());
        let common = self.common.entry(Name::clone(&key.namespace)).or_insert_with(|| {
            match first(&None).and_then(|policy| Some((policy, self.statements.get(policy)?))) {
                Some((policy, said)) => Arc::new(Policy::clone(&self.default).under(&policy.name, said)),
                None => Arc::clone(&self.default),
            }
        });
        match first(&Some(Name::clone(&key.name))).and_then(|policy| Some((policy, self.statements.get(policy)?))) {
            Some((policy, said)) => Arc::new(Policy::clone(common).under(&policy.name, said)),
            None => Arc::clone(common),
        }
    }

    /// Every policy with what it says, and the older one with the same target that it loses to, if there is one.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&PolicyKey, &Arc<Statement>, Option<&Name>)> {
        self.statements.iter().map(|(key, said)| {
            let first = self.targets.get(&key.namespace).and_then(|targets| targets.get(&said.service)?.first());
            (key, said, first.map(|first| &first.name).filter(|name| **name != key.name))
        })
    }

    /// The policies of a namespace.
    pub(crate) fn keys_in(&self, namespace: &Name) -> impl Iterator<Item = &PolicyKey> {
        let first = PolicyKey { namespace: Name::clone(namespace), name: "".into() };
        self.statements.range(first..).map(|(key, _)| key).take_while(move |key| key.namespace == *namespace)
    }

    /// Puts a policy into its place among those of one target, or takes it out of it.
    fn settle(&mut self, key: &PolicyKey, service: Option<&Name>) {
        let statements = &self.statements;
        let of_namespace = self.targets.entry(Name::clone(&key.namespace)).or_default();
        let keys = of_namespace.entry(service.cloned()).or_default();
        keys.retain(|other| other != key);
        if statements.get(key).is_some_and(|said| said.service.as_ref() == service) {
            keys.push(key.clone());
        }
        keys.sort_by_key(|key| (statements.get(key).map_or(i64::MAX, |said| said.created), Name::clone(&key.name)));
        if keys.is_empty() {
            of_namespace.remove(&service.cloned());
        }
        if of_namespace.is_empty() {
            self.targets.remove(&key.namespace);
        }
    }
}

// === impl Policy ===

impl Policy {
    /// With the sections of a nearer policy in the place of these.
    fn under(mut self, name: &Name, said: &Statement) -> Self {
        if let Some(removal) = said.removal {
            (self.removal, self.from.removal) = (removal, Some(Name::clone(name)));
        }
        if let Some(staleness) = said.staleness {
            (self.staleness, self.from.staleness) = (staleness, Some(Name::clone(name)));
        }
        if let Some(damping) = said.damping {
            (self.damping, self.from.damping) = (damping, Some(Name::clone(name)));
        }
        if let Some(confirmation) = &said.confirmation {
            (self.confirmation, self.from.confirmation) = (confirmation.clone(), Some(Name::clone(name)));
        }
        if let Some(warning) = said.warning {
            (self.warning, self.from.warning) = (warning, Some(Name::clone(name)));
        }
        if let Some(checks) = &said.pod_checks {
            (self.pod_checks, self.from.pod_checks) = (checks.clone(), Some(Name::clone(name)));
        }
        self
    }
}

#[cfg(test)]
mod tests;
