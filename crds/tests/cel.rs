//! Every CEL rule of the definitions, evaluated here without an API server: the objects in `tests/refused/cel` fail
//! with the message of their first line and with no other, the examples and the limits pass.
//!
//! `tests/refused/schema` holds what the schema itself refuses. Only an API server evaluates that: the end-to-end suite
//! applies both folders to a real one (server-side, where a duplicate and an unknown field read as the files say).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use rollcall_crds::{CatalogEntry, ClusterLink, DiscoveryPolicy, DiscoveryPolicySpec, ServiceRegistration};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn folder(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn schema<K: CustomResourceExt>() -> Value {
    serde_json::to_value(&K::crd().spec.versions[0].schema).expect("a schema serializes")["openAPIV3Schema"].clone()
}

/// A schema whose rules ask for the type of a value in the way that the evaluator here knows: it has no `type()`.
fn evaluable(mut schema: Value) -> Value {
    match &mut schema {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = evaluable(item.take())),
        Value::Object(map) => {
            if let Some(Value::String(rule)) = map.get_mut("rule") {
                while let Some((before, (what, after))) =
                    rule.split_once("type(").and_then(|(before, rest)| Some((before, rest.split_once(") == string")?)))
                {
                    *rule = format!("{before}{what} == string({what}){after}");
                }
                *rule = rule.replace("type(self) in [int]", "!(self == string(self))");
            }
            map.values_mut().for_each(|value| *value = evaluable(value.take()));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    schema
}

/// An object as the API server's rules see it: a `null`, such as a key without a value, is absent.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The rules of each definition, compiled once: that takes far longer than to hold an object against them.
static REGISTRATIONS: LazyLock<CompiledSchema> = LazyLock::new(compiled::<ServiceRegistration>);
static POLICIES: LazyLock<CompiledSchema> = LazyLock::new(compiled::<DiscoveryPolicy>);
static LINKS: LazyLock<CompiledSchema> = LazyLock::new(compiled::<ClusterLink>);

fn compiled<K: CustomResourceExt>() -> CompiledSchema {
    compile_schema(&evaluable(schema::<K>()))
}

/// The messages of the rules that a registration, or a policy, breaks, in order.
fn broken(object: &Value, old: Option<&Value>) -> Vec<String> {
    let rules = match object["kind"].as_str() {
        Some("DiscoveryPolicy") => &POLICIES,
        Some("ClusterLink") => &LINKS,
        _ => &REGISTRATIONS,
    };
    let errors = Validator::new().validate_compiled(rules, &without_nulls(object), old).err();
    errors.map_or_else(Vec::new, |errors| errors.into_vec().into_iter().map(|error| error.message).collect())
}

/// The files of a folder: name, first line without its `# `, and the documents.
fn files(relative: &str) -> Vec<(String, String, Vec<Value>)> {
    let mut paths: Vec<_> =
        fs::read_dir(folder(relative)).expect(relative).map(|entry| entry.expect(relative).path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("the file can be read");
        let first = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("the first line is a comment");
        let documents =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.display().to_string(), first.to_owned(), documents)
    };
    paths.into_iter().map(read).collect()
}

/// Every message of every rule in a schema.
fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
        Value::Object(map) => {
            for rule in map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                found.insert(rule["message"].as_str().expect("every rule has a message").to_owned());
            }
            map.values().for_each(|value| messages(value, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The registrations in the pages of the documentation that a reader may copy: whole objects in blocks of the language
/// `yaml`.
fn documented() -> Vec<(String, Value)> {
    let pages = fs::read_dir(folder("../docs")).expect("docs can be read").map(|entry| entry.expect("docs").path());
    let pages = pages.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    let mut found = Vec::new();
    for page in pages.chain([folder("../README.md")]) {
        let text = fs::read_to_string(&page).expect("a page can be read");
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            if block.starts_with("apiVersion: rollcall.dev/") {
                let object =
                    serde_saphyr::from_str(block).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
                found.push((page.display().to_string(), object));
            }
        }
    }
    found
}

fn registration(spec: &Value) -> Value {
    json!({"metadata": {"name": "payments-vm", "namespace": "shop"}, "spec": spec})
}

fn full() -> Value {
    let endpoint = |index: usize| {
        json!({
            "name": format!("vm-{index}"),
            "addresses": [format!("198.51.100.{index}"), format!("2001:db8::{index}")],
            "metadata": {"k".repeat(128): "v".repeat(512)},
            "weight": 65535,
        })
    };
    let check = |index: usize| json!({"name": format!("c-{index}"), "tcp": {}, "interval": "1h", "timeout": "60s", "retryInterval": "1h"});
    registration(&json!({
        "service": "payments",
        "ports": (1..=16).map(|index| json!({"name": format!("p-{index}"), "port": index})).collect::<Vec<_>>(),
        "endpoints": (1..=100).map(endpoint).collect::<Vec<_>>(),
        "checks": (1..=8).map(check).collect::<Vec<_>>(),
        "heartbeat": {"interval": "1h", "phi": {
            "threshold": 16, "window": 200, "minDeviation": "1m", "acceptablePause": "1h", "hardDeadline": "24h",
        }},
    }))
}

#[test]
fn a_bad_object_is_refused_with_its_message_only() {
    for (file, message, documents) in files("tests/refused/cel") {
        let [object] = documents.as_slice() else { panic!("{file}: one object per file") };
        assert_eq!(broken(object, None), [message], "{file}");
    }
}

#[test]
fn every_rule_has_an_object_that_breaks_it() {
    let mut rules = BTreeSet::new();
    messages(&schema::<ServiceRegistration>(), &mut rules);
    messages(&schema::<CatalogEntry>(), &mut rules);
    messages(&schema::<DiscoveryPolicy>(), &mut rules);
    messages(&schema::<ClusterLink>(), &mut rules);
    let mut broken: BTreeSet<_> = files("tests/refused/cel").into_iter().map(|(_, message, _)| message).collect();
    // The one rule about a change; see below.
    broken.insert(SERVICE_IS_FIXED.to_owned());
    let untried: Vec<_> = rules.difference(&broken).collect();
    assert!(untried.is_empty(), "no object in tests/refused/cel breaks {untried:#?}");
    let unruled: Vec<_> = broken.difference(&rules).collect();
    assert!(unruled.is_empty(), "no rule says what stands first in a file of tests/refused/cel: {unruled:#?}");
}

const SERVICE_IS_FIXED: &str = "service cannot change: create a registration for the new service, then delete this one";

#[test]
fn the_service_of_a_registration_is_fixed() {
    let old = full();
    let mut moved = full();
    moved["spec"]["service"] = json!("billing");
    assert_eq!(broken(&moved, Some(&old)), [SERVICE_IS_FIXED]);
    moved["spec"]["service"] = json!("payments");
    moved["spec"]["endpoints"] = json!([{"name": "vm-9", "addresses": ["198.51.100.9"]}]);
    assert_eq!(broken(&moved, Some(&old)), [""; 0]);
}

#[test]
fn the_limits_themselves_are_accepted() {
    assert_eq!(broken(&full(), None), [""; 0]);
    let smallest = json!({
        "service": "payments",
        "ports": [{"port": 1}],
        "endpoints": [{"name": "a", "addresses": ["::2"]}],
        "checks": [{"name": "c", "http": {}, "interval": "100ms", "timeout": "10ms", "retryInterval": "100ms"}],
        "heartbeat": {"interval": "100ms", "ttl": "500ms"},
    });
    assert_eq!(broken(&registration(&smallest), None), [""; 0]);
    let smallest = json!({
        "service": "payments",
        "ports": [{"port": 1}],
        "endpoints": [{"name": "a", "addresses": ["::2"]}],
        "heartbeat": {"interval": "100ms", "phi": {
            "threshold": 1, "window": 10, "minDeviation": "1ms", "acceptablePause": "0s", "hardDeadline": "500ms",
        }},
    });
    assert_eq!(broken(&registration(&smallest), None), [""; 0]);
}

#[test]
fn the_examples_are_accepted_and_read_as_written() {
    let of_file = |(file, _, documents): (String, _, Vec<Value>)| {
        let registrations = documents.into_iter().filter(|document| document["apiVersion"] == "rollcall.dev/v1alpha1");
        registrations.map(|document| (file.clone(), document)).collect::<Vec<_>>()
    };
    let examples: Vec<_> = files("../manifests/examples").into_iter().flat_map(of_file).collect();
    let documented = documented();
    assert!(examples.len() >= 4, "only {} registrations in manifests/examples", examples.len());
    assert!(documented.len() >= 3, "only {} registrations in docs and README.md", documented.len());
    for (file, document) in examples.into_iter().chain(documented) {
        assert_eq!(broken(&document, None), [""; 0], "{file}");
        if document["kind"] == "ClusterLink" {
            let decoded: ClusterLink =
                serde_json::from_value(document).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_ne!(decoded.spec.addresses.is_empty(), decoded.spec.cluster_profile.is_none(), "{file}");
            continue;
        }
        if document["kind"] == "DiscoveryPolicy" {
            let decoded: DiscoveryPolicy =
                serde_json::from_value(document).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_ne!(decoded.spec, DiscoveryPolicySpec::default(), "{file}");
            continue;
        }
        let decoded: ServiceRegistration =
            serde_json::from_value(document).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!decoded.spec.endpoints.is_empty(), "{file}");
    }
}

#[test]
fn a_policy_of_empty_sections_has_the_documented_defaults() {
    let policy = json!({"kind": "DiscoveryPolicy", "spec": {"staleness": {}, "guard": {}, "damping": {}, "confirmation": {}, "warning": {}}});
    assert_eq!(broken(&policy, None), [""; 0]);
    let spec: DiscoveryPolicySpec = serde_json::from_value(policy["spec"].clone()).expect("it reads");
    let written = json!({
        "staleness": {"enabled": true, "after": "2m", "then": "Serve"},
        "guard": {"enabled": true, "percent": 50, "minimum": 4, "window": "30s", "hold": "5m", "scope": "All"},
        "damping": {"enabled": true, "penalty": 1000, "halfLife": "1m", "suppress": 3000, "reuse": 1000, "maximum": "10m"},
        "confirmation": {"replicas": 3},
        "warning": {"percent": 10},
    });
    assert_eq!(serde_json::to_value(&spec).expect("it serializes"), written);
}

/// Every path at which a schema has this keyword.
fn places(schema: &Value, keyword: &str, path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        places(property, keyword, &format!("{path}.{name}"), found);
    }
    if let Some(items) = schema.get("items") {
        places(items, keyword, &format!("{path}[]"), found);
    }
    if schema.get(keyword).is_some_and(|value| *value != json!(false)) {
        found.push(path.to_owned());
    }
}

#[test]
fn nothing_is_written_into_a_spec_that_was_not_in_the_file() {
    let mut found = Vec::new();
    places(&schema::<ServiceRegistration>()["properties"]["spec"], "default", "spec", &mut found);
    assert_eq!(found, [""; 0], "`kubectl apply` of an unchanged file would say configured");
}

#[test]
fn a_key_without_a_value_is_read_as_absent_where_the_schema_lets_it_pass() {
    let mut found = Vec::new();
    places(&schema::<ServiceRegistration>()["properties"]["spec"], "nullable", "spec", &mut found);
    found.sort();
    let known = [
        "alias",
        "grpc",
        "grpc.port",
        "http",
        "http.port",
        "http2",
        "http2.port",
        "interval",
        "retryInterval",
        "tcp",
        "tcp.port",
        "timeout",
        "tls",
        "tls.port",
        "udp",
        "udp.port",
    ];
    let of_heartbeat = ["interval", "phi.acceptablePause", "phi.hardDeadline", "phi.minDeviation", "ttl"];
    let known = known.map(|field| format!("spec.checks[].{field}")).into_iter();
    let known = known.chain(["spec.deregisterAfter".to_owned()]);
    let known: Vec<_> = known.chain(of_heartbeat.map(|field| format!("spec.heartbeat.{field}"))).collect();
    assert_eq!(found, known);
    let empty: rollcall_crds::HeartbeatSpec =
        serde_json::from_value(json!({"interval": null, "ttl": null})).expect("as if they were absent");
    assert_eq!(empty, rollcall_crds::HeartbeatSpec::default());
    let read = |check: Value| {
        serde_json::from_value::<rollcall_crds::CheckSpec>(check.clone())
            .unwrap_or_else(|error| panic!("{check}: {error}"))
    };
    let empty = read(json!({
        "name": "accepts", "http": null, "tcp": {"port": null}, "interval": null, "retryInterval": null, "timeout": null,
    }));
    assert_eq!(empty, read(json!({"name": "accepts", "tcp": {}})));
    assert_eq!(read(json!({"name": "a", "http": {"port": null}})), read(json!({"name": "a", "http": {}})));
}

#[test]
fn a_rule_speaks_where_a_pattern_would_show_an_expression() {
    let mut found = Vec::new();
    places(&schema::<ServiceRegistration>()["properties"]["spec"], "pattern", "spec", &mut found);
    assert_eq!(found, [""; 0], "give the field a CEL rule whose message says what to write");
}

#[test]
fn what_the_api_server_refuses_in_its_own_words_is_explained() {
    let page = fs::read_to_string(folder("../docs/troubleshooting.md")).expect("the page can be read");
    // The place differs from object to object.
    let told = |words: &str| {
        let words = words.replace("[name=\"vm-1\"].", "[…].");
        page.contains(&words)
            || page.contains(words.trim_start_matches('.'))
            || page.contains(words.trim_start_matches(' '))
    };
    let untold: Vec<_> =
        files("tests/refused/schema").into_iter().map(|(_, words, _)| words).filter(|words| !told(words)).collect();
    assert_eq!(untold, [""; 0], "docs/troubleshooting.md says of each what to write");
}

/// The rules of a schema that is wrong on purpose: the evaluator used above does find faults.
#[derive(Clone, Debug, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(group = "rollcall.dev", version = "v1alpha1", kind = "Wrong", namespaced)]
#[x_kube(validation = Rule::new("self.size.nonsense()").message("never said"))]
struct WrongSpec {
    size: u8,
}

#[test]
fn a_rule_that_does_not_evaluate_is_an_error() {
    let object = json!({"metadata": {"name": "wrong"}, "spec": {"size": 1}});
    assert!(Validator::new().validate_compiled(&compiled::<Wrong>(), &object, None).is_err());
}
