//! The labels of a CatalogEntry: those of the registrations of its service, so that entries can be selected as
//! registrations are.

use std::collections::BTreeMap;

use rollcall_crds::CatalogEntry;

use super::observed::SeenRegistration;
use super::owned;

/// At most so many; further ones, late in the alphabet, are left out.
const LABELS_MAX: usize = 64;

/// By these, tools know what they made and delete what they make no more: an entry is none of theirs.
const OF_TOOLS: [&str; 7] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "applyset.kubernetes.io/",
    "argocd.argoproj.io/",
    "helm.sh/",
    "kapp.k14s.io/",
    "toolkit.fluxcd.io/",
];

/// The labels of all registrations of a service. Where two differ about one, the older registration has it.
pub(super) fn of<'a>(registrations: impl Iterator<Item = &'a SeenRegistration>) -> BTreeMap<String, String> {
    let mut registrations: Vec<_> = registrations.collect();
    registrations.sort_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)));
    let mut labels = BTreeMap::new();
    for (key, value) in registrations.iter().flat_map(|registration| &registration.labels) {
        if !OF_TOOLS.iter().any(|tool| key.contains(tool)) && !labels.contains_key(key) {
            labels.insert(key.clone(), value.clone());
        }
    }
    labels.into_iter().take(LABELS_MAX).collect()
}

/// Those of an entry that are of our making; what others add is theirs.
pub(super) fn own(entry: &CatalogEntry) -> Vec<(&String, &String)> {
    let own = owned::labels(&entry.metadata);
    let labels = entry.metadata.labels.iter().flatten();
    labels.filter(|(key, _)| own.as_ref().is_none_or(|own| own.contains(*key))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::entries::version;
    use super::super::observed::Seen;
    use super::*;
    use crate::testing::registration;

    fn seen(created: &str, labels: serde_json::Value) -> SeenRegistration {
        let mut registration = registration(json!({
            "service": "payments", "ports": [{ "name": "http", "port": 80 }],
            "endpoints": [{ "name": "vm-1", "addresses": ["198.51.100.1"] }],
        }));
        registration.metadata = serde_json::from_value(json!({
            "name": "vms", "namespace": "shop", "uid": created, "creationTimestamp": created, "labels": labels,
        }))
        .expect("metadata");
        match Seen::registration(&registration) {
            Seen::Registration(_, seen) => *seen,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_older_registration_has_a_label_that_two_have_and_those_of_tools_stay_behind() {
        let older = seen("2026-11-01T00:00:00Z", json!({ "team": "pay", "app.kubernetes.io/instance": "shop" }));
        let newer = seen("2026-11-02T00:00:00Z", json!({ "team": "other", "tier": "gold", "helm.sh/chart": "shop-1" }));
        let labels = of([&newer, &older].into_iter());
        let expected = [("team", "pay"), ("tier", "gold")];
        assert_eq!(labels, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_label_of_ours_is_compared_and_one_of_somebody_else_is_not() {
        let entry = |labels: serde_json::Value, ours: serde_json::Value| -> CatalogEntry {
            let managed = json!([{ "manager": "rollcall", "operation": "Apply", "apiVersion": "rollcall.dev/v1alpha1",
                "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": { "f:labels": ours } } }]);
            let metadata =
                json!({ "name": "payments", "namespace": "shop", "labels": labels, "managedFields": managed });
            let mut entry = CatalogEntry::new("payments", rollcall_crds::CatalogEntryContent::default());
            entry.metadata = serde_json::from_value(metadata).expect("metadata");
            entry
        };
        let own = entry(json!({ "team": "pay" }), json!({ "f:team": {} }));
        let beside = entry(json!({ "team": "pay", "seen-by": "me" }), json!({ "f:team": {} }));
        let changed = entry(json!({ "team": "mine" }), json!({ "f:team": {} }));
        assert_eq!(version(&own), version(&beside));
        assert_ne!(version(&own), version(&changed));
    }
}
