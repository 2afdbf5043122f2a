//! `explain`: the whole story, for people.

use std::fmt::Write;

use serde_json::Value;

use super::get::{joined, list, seconds, text};
use crate::args::{Output, Reach};
use crate::ask::path;
use crate::failure::Failure;
use crate::output::{for_tools, print};
use crate::paint::{Paint, harmless};
use crate::reach;

pub(super) async fn run(reach: &Reach, service: &str, endpoint: Option<&str>, output: Output) -> Result<(), Failure> {
    let namespace = reach::namespace(reach).await;
    let segments = ["v1", "namespaces", &namespace, "services", service, "explain"];
    let asked = path(segments.into_iter().chain(endpoint), []);
    let answer = reach::controller(reach).await?.get(&asked).await?;
    match for_tools(&answer, output)? {
        Some(text) => print(&text),
        None => print(&story(&answer, Paint::of_stdout())),
    }
}

fn story(answer: &Value, paint: Paint) -> String {
    let counts = &answer["counts"];
    let name = format!("{}/{}", text(&answer["namespace"]), text(&answer["name"]));
    let mut told = String::new();
    line(&mut told, 0, &paint.heading(&format!("Service {name} ({})", text(&answer["serviceKind"]))));
    line(&mut told, 1, &format!("{} of {} endpoints can be called", counts["callable"], counts["endpoints"]));
    if let Some(evict) = answer["timeToEvict"].as_str() {
        line(&mut told, 1, &format!("a dead one is out of every answer after at most {}", seconds(evict)));
    }
    if answer["stale"] == true {
        let since = answer["staleSince"].as_str().map(|since| format!(", since {since}")).unwrap_or_default();
        line(
            &mut told,
            1,
            &format!("STALE: a source of it has been silent for longer than its policy trusts it{since}"),
        );
    }
    if answer["held"].as_u64().is_some_and(|held| held > 0) {
        line(&mut told, 1, &format!("HELD: {} endpoints that left together are kept", answer["held"]));
    }
    if answer["damped"].as_u64().is_some_and(|damped| damped > 0) {
        line(&mut told, 1, &format!("DAMPED: {} endpoints that fell too often are kept out", answer["damped"]));
    }
    for (section, said) in answer["policy"].as_object().into_iter().flatten() {
        let from = said["from"].as_str().unwrap_or("the cluster's default");
        line(&mut told, 1, &harmless(&format!("{section}: {} ({from})", text(&said["says"]))));
    }
    for registration in list(&answer["registrations"]) {
        for problem in list(&registration["problems"]) {
            line(&mut told, 1, &format!("PROBLEM in {}: {}", text(&registration["origin"]), harmless(text(problem))));
        }
    }
    list(&answer["endpoints"]).iter().for_each(|endpoint| tell_endpoint(&mut told, endpoint, paint));
    for excluded in list(&answer["excluded"]) {
        told.push('\n');
        line(&mut told, 0, &paint.heading(&format!("Kept out: {}", harmless(text(&excluded["name"])))));
        line(&mut told, 1, &format!("from {}", harmless(text(&excluded["origin"]))));
        line(&mut told, 1, &harmless(text(&excluded["reason"])));
    }
    for gone in list(&answer["gone"]) {
        told.push('\n');
        line(&mut told, 0, &paint.heading(&format!("Gone: {}", harmless(text(&gone["name"])))));
        line(&mut told, 1, &format!("from {}", harmless(text(&gone["origin"]))));
        transitions(&mut told, gone);
    }
    told
}

fn tell_endpoint(told: &mut String, endpoint: &Value, paint: Paint) {
    let health = text(&endpoint["health"]);
    told.push('\n');
    line(told, 0, &paint.heading(&format!("Endpoint {}", harmless(text(&endpoint["name"])))));
    let callable = if endpoint["callable"] == true { "callers get it" } else { "callers do not get it" };
    let since = endpoint["since"].as_str().map(|since| format!(" since {since}")).unwrap_or_default();
    line(told, 1, &format!("{}{since}: {callable}", paint.health(health)));
    if !text(&endpoint["reason"]).is_empty() {
        line(told, 1, &format!("because {}", harmless(text(&endpoint["reason"]))));
    }
    let place = ["zone", "region", "node"].into_iter().filter_map(|what| Some((what, endpoint[what].as_str()?)));
    let place: String = place.map(|(what, name)| format!(", {what} {name}")).collect();
    line(
        told,
        1,
        &harmless(&format!("at {}{place}, from {}", joined(&endpoint["addresses"]), text(&endpoint["origin"]))),
    );
    if let Some(cluster) = endpoint["imported"]["cluster"].as_str() {
        line(told, 1, &harmless(&imported(cluster, &endpoint["imported"])));
    }
    for check in list(&endpoint["checks"]) {
        let since = check["since"].as_str().map(|since| format!(" since {since}")).unwrap_or_default();
        let (name, health) = (harmless(text(&check["name"])), text(&check["health"]));
        // Its name stands before it.
        let prefix = format!("check {name}: ");
        let unnamed = |reason: &Value| {
            let reason = harmless(text(reason));
            reason.strip_prefix(&prefix).map_or_else(|| reason.clone(), str::to_owned)
        };
        line(told, 1, &format!("{prefix}{}{since}: {}", paint.health(health), unnamed(&check["reason"])));
        for seen in list(&check["seen"]) {
            let (from, health) = (harmless(text(&seen["from"])), text(&seen["health"]));
            line(told, 2, &format!("{from}: {}: {}", paint.health(health), unnamed(&seen["reason"])));
        }
    }
    if let Some(judge) = endpoint["judge"].as_str().filter(|judge| !judge.is_empty()) {
        line(told, 1, &harmless(&format!("judged by {judge}")));
    }
    if let Some(value) = endpoint["penalty"]["value"].as_u64() {
        let at = text(&endpoint["penalty"]["at"]);
        line(told, 1, &format!("its falls added up to a penalty of {value} at {at}, which decays"));
    }
    transitions(told, endpoint);
}

/// Which cluster it is of, by which link, and how old the word on it is.
fn imported(cluster: &str, said: &Value) -> String {
    let Some(link) = said["link"].as_str() else { return format!("of cluster {cluster}") };
    let state = text(&said["state"]);
    match said["ageSeconds"].as_i64() {
        Some(age) => format!("of cluster {cluster}, by {link} ({state}), which was heard {age} s ago"),
        None => format!("of cluster {cluster}, by {link} ({state}), which was not heard since this replica started"),
    }
}

fn transitions(told: &mut String, of: &Value) {
    for transition in list(&of["transitions"]) {
        let word = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
        let (from, to) = (word(&transition["from"]), word(&transition["to"]));
        let (at, reason) = (text(&transition["at"]), harmless(text(&transition["reason"])));
        line(told, 1, &format!("{at}  {from} -> {to}: {reason}"));
    }
}

fn line(told: &mut String, depth: usize, text: &str) {
    // A String takes everything.
    let _ = writeln!(told, "{}{text}", "  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_story_says_what_why_and_since_when() {
        let answer = json!({
            "namespace": "shop", "name": "payments", "serviceKind": "ClusterIP", "timeToEvict": "3s", "stale": false,
            "counts": { "callable": 1, "endpoints": 2 }, "held": 0, "damped": 0, "registrations": [],
            "policy": { "guard": { "from": "DiscoveryPolicy/vms", "says": "off" } },
            "endpoints": [{
                "name": "vm-1", "health": "Critical", "callable": false, "since": "2026-11-28T20:00:00Z",
                "reason": "check web: refused", "addresses": ["192.0.2.1"], "zone": "a", "origin": "ServiceRegistration/vms",
                "checks": [{ "name": "web", "health": "Critical", "since": "2026-11-28T20:00:00Z", "reason": "check web: refused", "seen": [
                    { "from": "a probe of 192.0.2.1:80", "health": "Critical", "since": null, "reason": "refused" },
                ] }],
                "judge": "replica-1", "penalty": { "value": 2000, "at": "2026-11-28T20:00:00Z" },
                "transitions": [{ "at": "2026-11-28T20:00:00Z", "from": "Passing", "to": "Critical", "reason": "refused" }],
            }],
            "excluded": [{ "name": "vm-2", "origin": "ServiceRegistration/vms", "reason": "address 127.0.0.1 is loopback" }],
            "gone": [],
        });
        let told = story(&answer, Paint::none());
        for part in [
            "Service shop/payments (ClusterIP)",
            "1 of 2 endpoints can be called",
            "after at most 3s",
            "Critical since 2026-11-28T20:00:00Z: callers do not get it",
            "check web: Critical since 2026-11-28T20:00:00Z: refused",
            "a probe of 192.0.2.1:80: Critical: refused",
            "judged by replica-1",
            "a penalty of 2000 at",
            "guard: off (DiscoveryPolicy/vms)",
            "Passing -> Critical: refused",
            "Kept out: vm-2",
        ] {
            assert!(told.contains(part), "{part} is missing:\n{told}");
        }
    }
}
