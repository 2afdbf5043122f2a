//! The table of limits is true: the API server takes what is at a bound and refuses what is one past it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::layout;
use serde_json::{Value, json};

use crate::support::Shop;
use crate::support::shop::{STEADY, unchecked};

const TABLE: &str = "controller/src/writeback/limits.rs";
const NAMES: &str = "controller/src/kubernetes/syntax/names.txt";

/// What a bound counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Chars,
    Bytes,
    Items,
}

/// The constants of the table: `pub const NAME: Text = chars(63);` or `pub const NAME: usize = 100;`.
fn constants() -> Result<BTreeMap<String, (Unit, usize)>> {
    let text = std::fs::read_to_string(layout::root().join(TABLE))?;
    let mut constants = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let (name, rest) = line.split_once(": ").context("a name")?;
        let value = rest.split_once(" = ").context("a value")?.1.trim_end_matches(';');
        let (unit, number) = match value.trim_end_matches(')').split_once('(') {
            Some(("chars", number)) => (Unit::Chars, number),
            Some(("bytes", number)) => (Unit::Bytes, number),
            Some(_) => bail!("{TABLE}: this test cannot read {line:?}"),
            None => (Unit::Items, value),
        };
        let number = number.replace('_', "").parse().with_context(|| format!("{TABLE}: {line:?}"))?;
        constants.insert(name.to_owned(), (unit, number));
    }
    ensure!(constants.len() > 15, "only {} constants in {TABLE}", constants.len());
    Ok(constants)
}

/// A value that is as long as a bound allows, and one that is longer by one.
fn values(unit: Unit, bound: usize, item: impl Fn(usize) -> Value) -> [Value; 2] {
    match unit {
        // A letter of two bytes shows which of the two is counted.
        Unit::Chars => [json!("ä".repeat(bound)), json!("ä".repeat(bound + 1))],
        Unit::Bytes => [json!("a".repeat(bound)), json!("ä".repeat(bound / 2 + 1))],
        Unit::Items => [bound, bound + 1].map(|count| (0..count).map(&item).collect()),
    }
}

/// An object with a value of one field.
enum Probe {
    /// To be created.
    Object(fn(Value) -> Value),
    /// The status of a registration.
    Status(fn(Value) -> Value),
}

fn entry(content: Value) -> Value {
    let mut entry = json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "CatalogEntry", "serviceKind": "Headless"});
    entry.as_object_mut().into_iter().for_each(|entry| entry.extend(content.as_object().cloned().unwrap_or_default()));
    entry
}

fn endpoint(field: &str, value: Value) -> Value {
    let mut endpoint = json!({"name": "a", "origin": "EndpointSlice/a"});
    endpoint[field] = value;
    entry(json!({"endpoints": [endpoint]}))
}

fn event(field: &str, value: Value) -> Value {
    let mut event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Check",
        "reason": "Tested", "type": "Normal", "reportingController": "rollcall.dev/controller",
        "reportingInstance": "a", "regarding": {"kind": "Service", "name": "payments", "namespace": "shop"},
    });
    event[field] = value;
    event
}

fn said(field: &str, value: Value) -> Value {
    let mut endpoint = json!({"name": "only", "since": "2026-01-01T00:00:00Z"});
    endpoint[field] = value;
    json!({"endpoints": [endpoint]})
}

fn condition(kind: usize, message: &Value) -> Value {
    json!({
        "type": format!("T{kind}"), "status": "True", "reason": "Tested", "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn item(name: &str, index: usize) -> Value {
    match name {
        "ENTRY_ENDPOINTS" => json!({"name": format!("e{index}"), "origin": "EndpointSlice/a"}),
        "ENTRY_ORIGINS" => json!({"origin": "EndpointSlice"}),
        "ENTRY_CONFLICTS" => json!({"address": "192.0.2.1", "winner": "a", "loser": "b", "rule": "c"}),
        "STATUS_CONDITIONS" => condition(index, &json!("")),
        _ => json!(format!("p{index}")),
    }
}

/// Every object in which a constant of the table counts.
fn probes(name: &str) -> Vec<Probe> {
    use Probe::{Object, Status};
    match name {
        "ENTRY_ENDPOINT_NAME" => vec![Object(|value| endpoint("name", value))],
        "ENTRY_ZONE" => vec![Object(|value| endpoint("zone", value))],
        "ENTRY_PORT" => vec![Object(|value| endpoint("ports", json!([value])))],
        "ENTRY_TAG" => vec![Object(|value| endpoint("tags", json!([value])))],
        "ENTRY_ORIGIN" => vec![
            Object(|value| endpoint("origin", value)),
            Object(|value| entry(json!({"conflicts": [{"address": "a", "winner": value, "loser": "b", "rule": "c"}]}))),
            Object(|value| entry(json!({"conflicts": [{"address": "a", "winner": "b", "loser": value, "rule": "c"}]}))),
        ],
        "ENTRY_REASON" => vec![Object(|value| endpoint("reason", value))],
        "ENTRY_PORTS" => vec![Object(|value| endpoint("ports", value))],
        "ENTRY_TAGS" => vec![Object(|value| endpoint("tags", value))],
        "ENTRY_ENDPOINTS" => vec![Object(|value| entry(json!({"endpoints": value})))],
        "ENTRY_ORIGINS" => vec![Object(|value| entry(json!({"origins": value})))],
        "ENTRY_CONFLICTS" => vec![Object(|value| entry(json!({"conflicts": value})))],
        "STATUS_REASON" => vec![Status(|value| said("reason", value)), Status(|value| said("message", value))],
        "STATUS_CONDITIONS" => vec![Status(|value| json!({"conditions": value}))],
        "CONDITION_MESSAGE" => vec![Status(|value| json!({"conditions": [condition(0, &value)]}))],
        "EVENT_NOTE" => vec![Object(|value| event("note", value))],
        "EVENT_INSTANCE" => vec![Object(|value| event("reportingInstance", value))],
        _ => Vec::new(),
    }
}

/// Shows objects to the API server, which keeps none; what it said against each that it refuses.
fn refusals(shop: &Shop, objects: &BTreeMap<String, Value>) -> Result<Vec<String>> {
    let named = objects.iter().map(|(name, object)| {
        let mut object = object.clone();
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!("shop");
        object
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": named.collect::<Vec<_>>()});
    let said = match shop.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &list.to_string()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let said = |name: &&String| said.lines().find(|line| line.contains(&format!("\"{name}\" is invalid")));
    Ok(objects.keys().filter(|name| said(name).is_some()).cloned().collect())
}

pub(crate) fn bounds(shop: &Shop) -> Result<()> {
    let (mut fit, mut past) = (BTreeMap::new(), BTreeMap::new());
    for (name, (unit, bound)) in constants()? {
        let probes = probes(&name);
        ensure!(!probes.is_empty() || name == "REGISTRATION_BYTES", "no test of {name}: add where it counts");
        let [fits, longer] = values(unit, bound, |index| item(&name, index));
        for (number, probe) in probes.iter().enumerate() {
            let object = format!("{}-{number}", name.to_lowercase().replace('_', "-"));
            match probe {
                Probe::Object(make) => {
                    fit.insert(format!("fits-{object}"), make(fits.clone()));
                    past.insert(format!("past-{object}"), make(longer.clone()));
                }
                Probe::Status(make) => {
                    let patch = |value: &Value| patch_status(shop, &make(value.clone()));
                    patch(&fits).with_context(|| format!("{name} at its bound"))?;
                    let is_convention = name == "CONDITION_MESSAGE";
                    ensure!(is_convention || patch(&longer).is_err(), "the API server takes more than {name} says");
                }
            }
        }
    }
    let refused = refusals(shop, &fit)?;
    ensure!(refused.is_empty(), "refused at their bounds: {refused:?}");
    let refused = refusals(shop, &past)?;
    let taken: Vec<_> = past.keys().filter(|name| !refused.contains(name)).collect();
    ensure!(taken.is_empty(), "the API server takes more than the table says: {taken:?}");
    println!("    {} bounds in objects", past.len());
    Ok(())
}

fn patch_status(shop: &Shop, status: &Value) -> Result<()> {
    let patch = json!({"status": status}).to_string();
    let args = ["patch", "serviceregistration", STEADY, "-n", "shop", "--subresource=status", "--dry-run=server"];
    shop.kubectl.run(&[&args[..], &["--type=merge", "--patch", &patch]].concat()).map(drop)
}

pub(crate) fn names(shop: &Shop) -> Result<()> {
    let text = std::fs::read_to_string(layout::root().join(NAMES))?;
    let (mut objects, mut expected) = (BTreeMap::new(), BTreeMap::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let mut words = line.splitn(2, ' ');
        let field = words.next().context("a field")?;
        let (said, text) = words.next().unwrap_or_default().trim_start().split_once(' ').context("takes or refuses")?;
        let name = format!("name-{index}");
        objects.insert(name.clone(), slice(field, text.trim_start())?);
        expected.insert(name, (said == "takes", line));
    }
    // What has no bound there, and is cut in entries only.
    let mut unbounded = slice("hostname", "a")?;
    unbounded["endpoints"][0]["zone"] = json!("z".repeat(1000));
    unbounded["endpoints"][0]["targetRef"] = json!({"kind": "Pod", "name": "p".repeat(1000)});
    objects.insert("unbounded".into(), unbounded);
    expected.insert("unbounded".into(), (true, "a long zone and a long name"));
    let refused = refusals(shop, &objects)?;
    let wrong: Vec<_> = expected.iter().filter(|(name, (takes, _))| refused.contains(name) == *takes).collect();
    ensure!(wrong.is_empty(), "{NAMES} is wrong about {wrong:?}");
    Ok(())
}

fn slice(field: &str, text: &str) -> Result<Value> {
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "endpoints": [{"addresses": ["192.0.2.1"]}],
    });
    match field {
        "appProtocol" => slice["ports"][0]["appProtocol"] = json!(text),
        "hostname" => slice["endpoints"][0]["hostname"] = json!(text),
        "zone" => slice["endpoints"][0]["hints"] = json!({"forZones": [{"name": text}]}),
        _ => bail!("{NAMES}: this test does not know the field {field}"),
    }
    Ok(slice)
}

/// A registration that is so large as JSON, on the whole, by what it tells callers.
fn large(name: &str, bytes: usize) -> Value {
    const ENDPOINTS: usize = 100;
    const PAIRS: usize = 32;
    let with = |size: usize| {
        let pair = |pair: usize| {
            (format!("{pair:02}{}", "k".repeat(size.saturating_sub(500))), json!("v".repeat(size.min(500))))
        };
        let metadata: serde_json::Map<_, _> = (0..PAIRS).map(pair).collect();
        let endpoint = |index: usize| json!({"name": format!("vm-{index}"), "addresses": [format!("203.0.113.{}", 100 + index)], "metadata": metadata});
        unchecked(name, name, &json!((0..ENDPOINTS).map(endpoint).collect::<Vec<_>>()))
    };
    let empty = with(0).to_string().len();
    with(bytes.saturating_sub(empty) / ENDPOINTS / PAIRS)
}

/// What etcd takes: a registration of that size is taken and given a status, which says how much of it was left out.
pub(crate) fn whole(shop: &Shop) -> Result<()> {
    let (_, bound) = *constants()?.get("REGISTRATION_BYTES").context("REGISTRATION_BYTES")?;
    let create = |object: &Value| shop.kubectl.run_with_input(&["create", "-f", "-"], &object.to_string());
    let object = large("large", bound - 10_000);
    println!("    {} bytes of {bound}", object.to_string().len());
    create(&object)?;
    shop.api.await_condition("large", "Accepted", &["True"])?;
    let status = shop.api.registration("large")?["status"].clone();
    let listed = status["endpoints"].as_array().map_or(0, Vec::len);
    let omitted = status["endpointsOmitted"].as_u64().unwrap_or(0);
    println!("    {listed} endpoints in the status, {omitted} left out");
    ensure!(omitted > 0, "nothing is left out: this does not reach the bound");
    ensure!(listed as u64 + omitted == 100, "not all of 100 endpoints are accounted for");
    ensure!(create(&large("larger", 1_700_000)).is_err(), "etcd takes more than is thought");
    shop.kubectl.delete(&["serviceregistration", "large", "-n", "shop"])
}
