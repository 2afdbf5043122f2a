//! One instance of a service, as a file says it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_crds::CheckSpec;
use rollcall_xds::proto::rollcall::v1 as wire;
use serde_json::{Value, json};
use toml::de::DeValue;

use super::local::{self, LocalCheck, Scripts};
use super::reader::{Table, as_number};

/// One instance of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `NAMESPACE/SERVICE`, and `/NAME` if it has a name.
    pub id: String,
    /// What the controller is told.
    pub instance: wire::Instance,
    /// What is checked on the machine.
    pub checks: Vec<Arc<LocalCheck>>,
    /// From one beat to the next, until the controller says.
    pub beat: Duration,
    /// How long callers have to turn away before this agent ends, after it has said goodbye.
    pub drain: Duration,
}

/// What services have that give nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) namespace: Option<String>,
    pub(super) addresses: Vec<String>,
    pub(super) zone: Option<String>,
    pub(super) drain: Option<Duration>,
    pub(super) scripts: Scripts,
}

/// Without a beat for this long the instance is out of the answers.
const TTL: &str = "10s";
/// Between two beats where nothing else is given.
const BEAT: Duration = Duration::from_secs(2);
/// Where nothing else is given.
const DRAIN: Duration = Duration::from_secs(5);
/// The longest that a machine's end waits.
const DRAIN_MAX: Duration = Duration::from_secs(600);
/// What the API server takes as `deregisterAfter`.
const DEREGISTER_MIN: Duration = Duration::from_secs(1);
const DEREGISTER_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Reads one; `None` when it cannot be registered. All that is wrong is noted.
pub(super) fn read(mut table: Table<'_>, defaults: &Defaults) -> Option<Service> {
    let service = table.parsed("service", label);
    let namespace = table.parsed("namespace", label).or_else(|| defaults.namespace.clone());
    let name = table.parsed("name", label).unwrap_or_default();
    let addresses = addresses(&mut table, defaults);
    let ports = ports(&mut table);
    let checks = checks(&mut table);
    let (heartbeat, beat) = heartbeat(&mut table);
    let mut local_checks = Vec::new();
    for check in table.tables("local_check") {
        local_checks.extend(local::read(check, defaults.scripts).map(Arc::new));
    }
    let metadata = table.pairs("metadata");
    let deregister_after = table.duration("deregister_after", DEREGISTER_MIN, DEREGISTER_MAX);
    let drain = table.duration("drain", Duration::ZERO, DRAIN_MAX).or(defaults.drain).unwrap_or(DRAIN);
    let instance = wire::Instance {
        namespace: namespace.clone().unwrap_or_default(),
        service: service.clone().unwrap_or_default(),
        name: name.clone(),
        addresses: addresses.clone().unwrap_or_default(),
        ports: ports.clone().unwrap_or_default(),
        hostname: table.parsed("hostname", label).unwrap_or_default(),
        zone: table.text("zone").or_else(|| defaults.zone.clone()).unwrap_or_default(),
        weight: table.number("weight", 1..=65_535).unwrap_or(1),
        tags: table.texts("tags").unwrap_or_default(),
        metadata: metadata.into_iter().map(|(key, value)| wire::Pair { key, value }).collect(),
        heartbeat: heartbeat.to_string(),
        checks,
        local_checks: names(&table, &local_checks),
        maintenance: String::new(),
        deregister_after: deregister_after
            .map_or_else(String::new, |after| rollcall_crds::ApiDuration::rounded_up(after).to_string()),
    };
    if service.is_none() && table.line_of("service") == table.line() {
        table.missing::<()>("service", "give the name of the service, such as payments");
    }
    if namespace.is_none() {
        table.missing::<()>("namespace", "give the namespace of the service, here or in the agent's file for all");
    }
    table.finish();
    let suffix = if name.is_empty() { String::new() } else { format!("/{name}") };
    let id = format!("{}/{}{suffix}", namespace?, service?);
    (addresses.is_some() && ports.is_some()).then_some(Service { id, instance, checks: local_checks, beat, drain })
}

/// A DNS label (RFC 1123).
pub(super) fn label(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label =
        (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    is_label.then(|| text.to_owned()).ok_or_else(|| "use a-z, 0-9 and - only, 63 at most".to_owned())
}

fn addresses(table: &mut Table<'_>, defaults: &Defaults) -> Option<Vec<String>> {
    let line = table.line_of("addresses");
    let Some(addresses) = table.texts("addresses") else {
        if defaults.addresses.is_empty() {
            return table.missing(
                "addresses",
                "give the IP address under which callers reach this machine, here or in the agent's file",
            );
        }
        return Some(defaults.addresses.clone());
    };
    good_addresses(&addresses).map_err(|words| table.wrong::<()>(line, "addresses", &words)).ok()?;
    Some(addresses)
}

/// One IPv4 address, one IPv6 address, or one of each.
pub(super) fn good_addresses(addresses: &[String]) -> Result<(), String> {
    let ips = addresses.iter().map(|text| {
        text.parse::<IpAddr>()
            .map_err(|_| format!("{text:?}: give an IP address such as 192.0.2.17; names are not resolved"))
    });
    match &*ips.collect::<Result<Vec<_>, _>>()? {
        [_] => Ok(()),
        [one, other] if one.is_ipv4() != other.is_ipv4() => Ok(()),
        _ => Err("give one IPv4 address, one IPv6 address, or one of each".to_owned()),
    }
}

/// `8080`, `{ http = 8080, grpc = 9090 }`, or tables with a protocol.
fn ports(table: &mut Table<'_>) -> Option<Vec<wire::InstancePort>> {
    const WORDS: &str = "give a number such as 8080, numbers by name such as { http = 8080, grpc = 9090 }, or [[…ports]] with name, port, protocol and app_protocol";
    let Some((line, value)) = table.value("ports") else { return table.missing("ports", WORDS) };
    let number = |value: &DeValue<'_>| as_number(value).filter(|number| (1..=65_535).contains(number));
    let port =
        |name: &str, port: u32| wire::InstancePort { name: name.to_owned(), port, ..wire::InstancePort::default() };
    match value {
        DeValue::Integer(_) => match number(value) {
            Some(number) => Some(vec![port("", number)]),
            None => table.wrong(line, "ports", "give a port from 1 to 65535"),
        },
        DeValue::Table(names) => {
            let inner = table.inner("ports", line, names);
            let mut ports = Vec::new();
            for (name, line, value) in inner.entries() {
                match (label(name), number(value)) {
                    (Ok(name), Some(number)) => ports.push(port(&name, number)),
                    (Err(words), _) => return inner.wrong(line, name, &words),
                    (_, None) => return inner.wrong(line, name, "give a port from 1 to 65535"),
                }
            }
            if ports.is_empty() { table.wrong(line, "ports", WORDS) } else { Some(ports) }
        }
        DeValue::Array(values) => {
            let mut ports = Vec::new();
            for value in values.iter() {
                match value.get_ref() {
                    DeValue::Table(one) => ports.push(named_port(table.inner("ports", line, one))?),
                    _ => return table.wrong(line, "ports", WORDS),
                }
            }
            Some(ports)
        }
        _ => table.wrong(line, "ports", WORDS),
    }
}

fn named_port(mut table: Table<'_>) -> Option<wire::InstancePort> {
    let port = wire::InstancePort {
        name: table.parsed("name", label).unwrap_or_default(),
        port: table.number("port", 1..=65_535).or_else(|| table.missing("port", "give its number"))?,
        protocol: table.text("protocol").unwrap_or_default(),
        app_protocol: table.text("app_protocol").unwrap_or_default(),
    };
    table.finish();
    Some(port)
}

/// What the controller runs, each as it would stand in a ServiceRegistration.
fn checks(table: &mut Table<'_>) -> Vec<String> {
    let mut checks = Vec::new();
    for check in table.tables("check") {
        let line = check.line();
        let said = check.into_json();
        let read = serde_json::from_value::<CheckSpec>(said.clone()).map_err(|error| error.to_string());
        match read.and_then(|read| understood(&said, read)) {
            Ok(check) => checks.push(check),
            Err(words) => drop(table.wrong::<()>(line, "check", &words)),
        }
    }
    checks
}

fn understood(said: &Value, read: CheckSpec) -> Result<String, String> {
    if read.kind().is_none() {
        return Err("it says nothing to do; give one of http, tcp and the other kinds of docs/objects.md, or make it a local_check".to_owned());
    }
    let read = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    match unknown(said, &read, "") {
        Some(key) => Err(format!("{key}: there is no such key; docs/objects.md has those of each kind of check")),
        None => Ok(said.to_string()),
    }
}

/// A key that was not read: it is in what was said and not in what was understood.
fn unknown(said: &Value, read: &Value, path: &str) -> Option<String> {
    let Value::Object(said) = said else { return None };
    let is_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    said.iter().find_map(|(key, value)| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match read.get(key) {
            None if is_nothing(value) => None,
            None => Some(path),
            Some(read) => unknown(value, read, &path),
        }
    })
}

/// As `spec.heartbeat` of a ServiceRegistration, and from one beat to the next. A duration alone is the TTL.
fn heartbeat(table: &mut Table<'_>) -> (Value, Duration) {
    let default = || json!({ "interval": "2s", "ttl": TTL });
    let Some((line, said)) = table.json("heartbeat") else { return (default(), BEAT) };
    let said = match said {
        Value::String(ttl) => json!({ "ttl": ttl }),
        said @ Value::Object(_) => said,
        _ => {
            table.wrong::<()>(line, "heartbeat", "give a duration such as \"10s\", or a table with interval and ttl");
            return (default(), BEAT);
        }
    };
    let duration =
        |key: &str| said.get(key)?.as_str()?.parse::<rollcall_crds::ApiDuration>().ok().map(|parsed| parsed.get());
    let third = duration("ttl").map(|ttl| ttl / 3);
    let beat =
        duration("interval").or(third).unwrap_or(BEAT).clamp(Duration::from_millis(100), Duration::from_secs(60));
    (said, beat)
}

fn names(table: &Table<'_>, checks: &[Arc<LocalCheck>]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for check in checks {
        if !names.insert(check.check.name.to_string()) {
            table.wrong::<()>(
                table.line(),
                "local_check",
                &format!("two are called {:?}; give each its own name", check.check.name),
            );
        }
    }
    names.into_iter().collect()
}
