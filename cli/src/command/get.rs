//! `get`: services, or the endpoints of one.

use serde_json::Value;

use crate::args::{Filter, Output, Reach};
use crate::ask::path;
use crate::failure::Failure;
use crate::output::{for_tools, print};
use crate::paint::Paint;
use crate::reach;
use crate::table::{Cell, Table};

pub(super) async fn services(reach: &Reach, all: bool, output: Output) -> Result<(), Failure> {
    let namespace = if all { String::new() } else { reach::namespace(reach).await };
    let asked = if all { path(["v1", "services"], []) } else { path(["v1", "namespaces", &namespace, "services"], []) };
    let answer = reach::controller(reach).await?.get(&asked).await?;
    if let Some(text) = for_tools(&answer, output)? {
        return print(&text);
    }
    let listed = services_table(&answer, all, output == Output::Wide);
    if listed.is_empty() {
        let place = if all { "any namespace".to_owned() } else { format!("namespace {namespace}; -A lists all") };
        return Err(Failure::NotFound(format!("there is no service in {place}")));
    }
    print(&listed.render())
}

pub(super) async fn endpoints(reach: &Reach, service: &str, filter: &Filter, output: Output) -> Result<(), Failure> {
    let namespace = reach::namespace(reach).await;
    let asked = endpoints_path(&namespace, service, filter, &[]);
    let answer = reach::controller(reach).await?.get(&asked).await?;
    if let Some(text) = for_tools(&answer, output)? {
        return print(&text);
    }
    let listed = endpoints_table(&answer, output == Output::Wide, Paint::of_stdout());
    if listed.is_empty() {
        return Err(Failure::NotFound(format!("service {namespace}/{service} has no such endpoint")));
    }
    print(&listed.render())
}

/// People look for what is wrong, too: without a wish for a health, all are asked for.
pub(super) fn endpoints_path(namespace: &str, service: &str, filter: &Filter, more: &[(&str, &str)]) -> String {
    let lists = [
        ("tag", &filter.tag),
        ("zone", &filter.zone),
        ("region", &filter.region),
        ("origin", &filter.origin),
        ("health", &filter.health),
    ];
    let mut query: Vec<(&str, &str)> =
        lists.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, value.as_str()))).collect();
    if filter.health.is_empty() {
        query.push(("health", "any"));
    }
    query.extend_from_slice(more);
    path(["v1", "namespaces", namespace, "services", service, "endpoints"], query)
}

fn services_table(answer: &Value, all: bool, wide: bool) -> Table {
    let mut head = vec!["NAME", "KIND", "CALLABLE", "CRITICAL", "EVICT"];
    if all {
        head.insert(0, "NAMESPACE");
    }
    if wide {
        head.extend(["WARNING", "UNKNOWN", "MAINTENANCE", "STALE", "REVISION"]);
    }
    let mut table = Table::new(&head);
    for service in list(&answer["services"]) {
        let counts = &service["counts"];
        let callable = format!("{}/{}", counts["callable"], counts["endpoints"]);
        let mut row: Vec<Cell> = vec![
            text(&service["name"]).into(),
            text(&service["serviceKind"]).into(),
            callable.into(),
            counts["critical"].to_string().into(),
            seconds(text(&service["timeToEvict"])).into(),
        ];
        if all {
            row.insert(0, text(&service["namespace"]).into());
        }
        if wide {
            row.extend(["warning", "unknown", "maintenance"].map(|health| counts[health].to_string().into()));
            row.push(service["stale"].to_string().into());
            row.push(text(&service["revision"]).into());
        }
        table.push(row);
    }
    table
}

pub(super) fn endpoints_table(answer: &Value, wide: bool, paint: Paint) -> Table {
    let mut head = vec!["NAME", "HEALTH", "CALLABLE", "ADDRESS", "PORTS", "ZONE", "ORIGIN"];
    if wide {
        head.extend(["REGION", "NODE", "WEIGHT", "TAGS"]);
    }
    let mut table = Table::new(&head);
    for endpoint in list(&answer["endpoints"]) {
        let health = text(&endpoint["health"]);
        let mut row = vec![
            text(&endpoint["name"]).into(),
            Cell::painted(health, paint.health(health)),
            (if endpoint["callable"] == true { "yes" } else { "no" }).into(),
            joined(&endpoint["addresses"]).into(),
            ports(endpoint).into(),
            text(&endpoint["zone"]).into(),
            text(&endpoint["origin"]).into(),
        ];
        if wide {
            let weight = endpoint["weight"].to_string();
            row.extend([text(&endpoint["region"]).into(), text(&endpoint["node"]).into(), weight.into()]);
            row.push(joined(&endpoint["tags"]).into());
        }
        table.push(row);
    }
    table
}

/// As CatalogEntry writes them: `http:8080/TCP`.
fn ports(endpoint: &Value) -> String {
    let port = |port: &Value| {
        let name = text(&port["name"]);
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        format!("{name}{}/{}", port["port"], text(&port["protocol"]))
    };
    list(&endpoint["ports"]).iter().map(port).collect::<Vec<_>>().join(",")
}

pub(super) fn joined(value: &Value) -> String {
    list(value).iter().map(text).collect::<Vec<_>>().join(",")
}

/// `3500ms` is written as people say it: `3.5s`. Whatever else it is stays as it is.
pub(super) fn seconds(duration: &str) -> String {
    match duration.strip_suffix("ms").and_then(|digits| digits.parse::<u64>().ok()) {
        Some(ms) if ms >= 1000 => format!("{}s", ms as f64 / 1000.0),
        _ => duration.to_owned(),
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endpoints_are_lines_of_a_table() {
        let answer = json!({ "endpoints": [{
            "name": "vm-1", "health": "Critical", "callable": false, "addresses": ["192.0.2.1", "2001:db8::1"],
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" }],
            "weight": 1, "origin": "ServiceRegistration/vms", "tags": ["a", "b"],
        }] });
        let text = endpoints_table(&answer, true, Paint::none()).render();
        let line = text.lines().nth(1).expect("a line");
        let words: Vec<_> = line.split_whitespace().collect();
        let expected = [
            "vm-1",
            "Critical",
            "no",
            "192.0.2.1,2001:db8::1",
            "http:8080/TCP,53/UDP",
            "-",
            "ServiceRegistration/vms",
            "-",
            "-",
            "1",
            "a,b",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn times_are_told_in_seconds() {
        let told = ["3500ms", "5400ms", "2000ms", "500ms", "1m", "", "ms"].map(seconds);
        assert_eq!(told, ["3.5s", "5.4s", "2s", "500ms", "1m", "", "ms"]);
    }

    #[test]
    fn people_see_what_is_wrong_too() {
        let all = endpoints_path("shop", "payments", &Filter::default(), &[]);
        assert_eq!(all, "/v1/namespaces/shop/services/payments/endpoints?health=any");
        let some = Filter { health: vec!["Critical".into()], ..Filter::default() };
        assert!(endpoints_path("shop", "payments", &some, &[]).ends_with("?health=Critical"));
    }
}
