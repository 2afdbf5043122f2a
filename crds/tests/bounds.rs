//! What a rule may walk through has an end: the API server estimates the cost of each rule by the largest object that the
//! schema lets pass, and refuses a definition whose rules could cost too much. What they do cost is tried in `e2e/tests/limits`.

use kube::CustomResourceExt;
use rollcall_crds::{CatalogEntry, ClusterLink, DiscoveryPolicy, ServiceRegistration};
use serde_json::Value;

/// What has no bound below a rule, by its path.
fn unbounded(schema: &Value, ruled: bool, path: &str, found: &mut Vec<String>) {
    let has = |keyword: &str| !schema[keyword].is_null();
    let ruled = ruled || has("x-kubernetes-validations");
    if ruled {
        let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        let mut rules = rules.filter_map(|rule| rule["rule"].as_str());
        let bound = match schema["type"].as_str() {
            Some("array") => Some("maxItems"),
            Some("object") if has("additionalProperties") => Some("maxProperties"),
            Some("string") if !has("enum") && schema["format"] != "date-time" => Some("maxLength"),
            // A number or a text: only a rule that reads the text has to go through it.
            None if rules.any(|rule| rule.contains("self.")) => Some("maxLength"),
            _ => None,
        };
        if let Some(bound) = bound.filter(|bound| !has(bound)) {
            found.push(format!("{path} has no {bound}"));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(property, ruled, &format!("{path}.{name}"), found);
    }
    for (keyword, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[keyword].is_object() {
            unbounded(&schema[keyword], ruled, &format!("{path}{suffix}"), found);
        }
    }
}

fn of<K: CustomResourceExt>() -> (Value, Vec<String>) {
    let schema = serde_json::to_value(&K::crd().spec.versions[0].schema).expect("a schema serializes");
    let schema = schema["openAPIV3Schema"].clone();
    let mut found = Vec::new();
    unbounded(&schema["properties"]["spec"], !schema["x-kubernetes-validations"].is_null(), ".spec", &mut found);
    (schema, found)
}

#[test]
fn every_list_and_text_below_a_rule_has_a_bound() {
    for (kind, (_, found)) in [
        ("ServiceRegistration", of::<ServiceRegistration>()),
        ("DiscoveryPolicy", of::<DiscoveryPolicy>()),
        ("ClusterLink", of::<ClusterLink>()),
    ] {
        assert!(found.is_empty(), "{kind}: {}", found.join(", "));
    }
    // Nobody but us writes entries: they have no rules at all.
    let (schema, _) = of::<CatalogEntry>();
    assert!(!schema.to_string().contains("x-kubernetes-validations"), "an entry has rules: add it above");
}
