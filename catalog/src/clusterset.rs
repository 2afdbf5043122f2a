//! Services across clusters (KEP-1645): how the local Service that stands for one is known.
//!
//! What clusters export under one name is called through a Service of this cluster that is derived from it. Its name follows from
//! the namespace and name of the exported one, and its label says that name.

use crate::digest::Digest;
use crate::input::ServiceFacts;
use crate::model::{Name, ServiceKey};
use crate::service::Service;

/// The name that clusters export a service under, on the derived Service and on the EndpointSlices of both.
pub const SERVICE_NAME_LABEL: &str = "multicluster.kubernetes.io/service-name";

/// The zone of their names (multicluster DNS specification 1.0.0).
pub const DOMAIN: &str = "clusterset.local";

const PREFIX: &str = "derived-";

/// The name of the derived Service.
pub fn derived_name(namespace: &str, name: &str) -> String {
    let version = Digest::default().text(namespace).text(name).finish();
    format!("{PREFIX}{:016x}", version.0)
}

/// The derived Service of a service.
pub fn derived(key: &ServiceKey) -> ServiceKey {
    ServiceKey { namespace: Name::clone(&key.namespace), name: derived_name(&key.namespace, &key.name).into() }
}

/// Whether a Service may be a derived one, by its name alone.
pub fn may_be_derived(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

// === impl Service ===

impl Service {
    /// Under what name clusters export the service that this one is derived from, if it is.
    pub fn clusterset(&self) -> Option<&Name> {
        self.facts.as_deref()?.clusterset(&self.key)
    }
}

// === impl ServiceFacts ===

impl ServiceFacts {
    /// The same, of the Service of this key.
    pub fn clusterset(&self, key: &ServiceKey) -> Option<&Name> {
        let (_, name) = self.labels.iter().find(|(label, _)| &**label == SERVICE_NAME_LABEL)?;
        (may_be_derived(&key.name) && derived_name(&key.namespace, name) == *key.name).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_name_is_a_label_and_follows_from_namespace_and_name() {
        let long = "x".repeat(63);
        for (namespace, name) in [("shop", "payments"), (&*long, &*long)] {
            let derived = derived_name(namespace, name);
            assert!(may_be_derived(&derived) && derived.len() <= 63, "{derived}");
        }
        assert_ne!(derived_name("a", "bc"), derived_name("ab", "c"));
        assert!(!may_be_derived("derived-payments") && !may_be_derived("payments"));
    }
}
