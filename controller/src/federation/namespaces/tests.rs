//! Which namespaces fit, and when that changes.

use serde_json::{Value, json};

use super::*;

fn import(import: &Value) -> ImportSpec {
    serde_json::from_value(import.clone()).expect("an import")
}

fn labels(pairs: &[(&str, &str)]) -> Option<Labels> {
    Some(Arc::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()))
}

/// Of namespaces `none` (no labels), `pay` (team=pay, tier=2), `buy` (team=buy), `odd` (team="").
fn known() -> Namespaces {
    let all = Namespaces::default();
    all.put(&"none".into(), labels(&[]));
    all.put(&"pay".into(), labels(&[("team", "pay"), ("tier", "2")]));
    all.put(&"buy".into(), labels(&[("team", "buy")]));
    all.put(&"odd".into(), labels(&[("team", "")]));
    all.complete();
    all
}

fn names(imported: &Imported) -> Vec<String> {
    let now = imported.now().expect("known").expect("not all");
    now.iter().map(ToString::to_string).collect()
}

#[test]
fn a_selector_fits_as_those_of_kubernetes_do() {
    let one =
        |key: &str, operator: &str, values: &[&str]| json!({ "key": key, "operator": operator, "values": values });
    let (pay, expressions) = (json!({ "team": "pay" }), |all: Value| json!({ "matchExpressions": all }));
    for (selector, fit) in [
        (json!({ "matchLabels": pay }), vec!["pay"]),
        (json!({ "matchLabels": { "team": "" } }), vec!["odd"]),
        (json!({ "matchLabels": { "team": "pay", "tier": "3" } }), vec![]),
        (expressions(json!([one("team", "In", &["pay", "buy"])])), vec!["buy", "pay"]),
        (expressions(json!([one("team", "NotIn", &["pay"])])), vec!["buy", "none", "odd"]),
        (expressions(json!([one("team", "Exists", &[])])), vec!["buy", "odd", "pay"]),
        (expressions(json!([one("tier", "DoesNotExist", &[])])), vec!["buy", "none", "odd"]),
        (expressions(json!([one("team", "Exists", &[]), one("tier", "DoesNotExist", &[])])), vec!["buy", "odd"]),
        (json!({ "matchLabels": pay, "matchExpressions": [one("tier", "NotIn", &["2"])] }), vec![]),
    ] {
        let mut imported = Imported::new(known());
        assert!(imported.look(&import(&json!({ "namespaceSelector": selector }))), "{selector}");
        assert_eq!(names(&imported), fit, "{selector}");
        assert_eq!((imported.count(), imported.problem().is_some()), (Some(fit.len()), fit.is_empty()), "{selector}");
    }
}

#[test]
fn names_count_whether_or_not_there_is_such_a_namespace_and_beside_labels() {
    let mut imported = Imported::new(known());
    assert!(imported.look(&import(&json!({ "namespaces": ["elsewhere", "pay"] }))));
    assert_eq!(names(&imported), ["elsewhere", "pay"]);
    let both = json!({ "namespaces": ["elsewhere", "pay"], "namespaceSelector": { "matchLabels": { "team": "buy" } } });
    assert!(imported.look(&import(&both)));
    assert_eq!(names(&imported), ["buy", "elsewhere", "pay"]);
    assert!(imported.look(&import(&json!({ "namespaces": ["*"] }))));
    assert_eq!((imported.now(), imported.count(), imported.problem()), (Ok(None), None, None));
}

#[test]
fn a_namespace_joins_and_leaves_with_its_labels() {
    let (all, team) = (known(), import(&json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } })));
    let mut imported = Imported::new(all.clone());
    assert!(imported.look(&team));
    assert!(!imported.look(&team), "nothing happened");
    all.put(&"none".into(), labels(&[("team", "pay")]));
    assert!(imported.look(&team));
    assert_eq!(names(&imported), ["none", "pay"]);
    all.put(&"none".into(), labels(&[("team", "pay"), ("more", "1")]));
    all.put(&"buy".into(), labels(&[("team", "sell")]));
    assert!(!imported.look(&team), "others fit no more than before");
    all.put(&"pay".into(), None);
    all.put(&"none".into(), labels(&[]));
    assert!(imported.look(&team));
    assert_eq!(names(&imported), [""; 0]);
    let said = imported.problem().expect("none fits");
    assert!(said.contains("fits none of the 3 namespaces"), "{said}");
}

#[test]
fn nothing_is_said_before_all_namespaces_are_known_nor_by_words_of_a_newer_version() {
    let all = Namespaces::default();
    all.put(&"pay".into(), labels(&[("team", "pay")]));
    let team = import(&json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } }));
    let mut imported = Imported::new(all.clone());
    imported.look(&team);
    assert!(imported.now().expect_err("not listed").contains("not been listed yet"), "{imported:?}");
    assert_eq!(imported.problem(), None);
    // Names need no list.
    let mut named = Imported::new(all.clone());
    named.look(&import(&json!({ "namespaces": ["shop"] })));
    assert_eq!(names(&named), ["shop"]);
    all.complete();
    assert!(imported.look(&team));
    assert_eq!(names(&imported), ["pay"]);
    let newer = json!({ "namespaceSelector": { "matchExpressions": [{ "key": "team", "operator": "StartsWith", "values": ["p"] }] } });
    assert!(imported.look(&import(&newer)));
    assert!(imported.now().expect_err("unknown").contains("compares the label team"), "{imported:?}");
    assert!(imported.look(&team), "and back");
    assert_eq!(names(&imported), ["pay"]);
}
