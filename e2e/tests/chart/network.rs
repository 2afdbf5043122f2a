//! Network policies.

use serde_json::{Value, json};

use super::rendered::render;

/// The rules that let a port in or out.
fn rules<'a>(policy: &'a Value, direction: &str, port: &Value) -> Vec<&'a Value> {
    let rules = policy["spec"][direction].as_array().map(Vec::as_slice).unwrap_or_default();
    let lets =
        |rule: &&Value| rule["ports"].as_array().is_some_and(|ports| ports.iter().any(|its| its["port"] == *port));
    rules.iter().filter(lets).collect()
}

fn component(name: &str) -> Value {
    let labels = [("component", name), ("instance", "rollcall"), ("name", "rollcall")];
    let labels = labels.map(|(label, value)| (format!("app.kubernetes.io/{label}"), json!(value)));
    json!({"podSelector": {"matchLabels": labels.into_iter().collect::<serde_json::Map<_, _>>()}})
}

#[test]
fn the_stream_is_for_the_dns_servers_and_whoever_is_named() {
    let rendered = render("networkPolicy: {enabled: true}");
    let policy = rendered.get("NetworkPolicy", "rollcall-controller");
    assert_eq!(rules(policy, "ingress", &json!("grpc"))[0]["from"], json!([component("dns"), component("controller")]));
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress"]), "endpoints to check can be anywhere");

    let mesh = json!({"namespaceSelector": {"matchLabels": {"mesh": "true"}}});
    let rendered = render(&format!("networkPolicy: {{enabled: true, metricsFrom: [], streamFrom: [{mesh}]}}"));
    let policy = rendered.get("NetworkPolicy", "rollcall-controller");
    assert_eq!(
        rules(policy, "ingress", &json!("grpc"))[0]["from"],
        json!([component("dns"), component("controller"), mesh])
    );
    assert_eq!(rules(policy, "ingress", &json!("http"))[0]["from"], json!([component("test")]));
}

#[test]
fn everybody_may_ask_the_dns_servers_and_they_reach_what_they_need() {
    let rendered = render("networkPolicy: {enabled: true}");
    let policy = rendered.get("NetworkPolicy", "rollcall-dns");
    let question = rules(policy, "ingress", &json!("dns"));
    assert!(
        question[0]["from"].is_null()
            && question[0]["ports"] == json!([{"port": "dns", "protocol": "UDP"}, {"port": "dns-tcp"}])
    );
    assert_eq!(rules(policy, "egress", &json!("grpc"))[0]["to"], json!([component("controller")]));
    assert_eq!(rules(policy, "egress", &json!(6443)).len(), 1);
    assert!(rules(policy, "egress", &json!(53)).is_empty(), "without upstreams there is nobody to ask");

    let rendered =
        render("{networkPolicy: {enabled: true}, dns: {mode: clusterDNS, service: {clusterIP: 10.96.0.10}}}");
    assert_eq!(rules(rendered.get("NetworkPolicy", "rollcall-dns"), "egress", &json!(53)).len(), 1);
}

#[test]
fn the_dns_servers_reach_other_catalogs_and_the_collector_and_can_find_them() {
    let rendered = render(
        "{networkPolicy: {enabled: true}, dns: {catalogs: ['https://a.example.org:18443', 'https://[fd00::b]:18443/']}}",
    );
    let policy = rendered.get("NetworkPolicy", "rollcall-dns");
    let catalogs = rules(policy, "egress", &json!(18443));
    assert_eq!((catalogs.len(), &catalogs[0]["ports"]), (1, &json!([{"port": 18443}])));
    assert!(catalogs[0]["to"].is_null(), "another cluster's are no pods of this one");
    assert!(rules(policy, "egress", &json!("grpc")).is_empty(), "nothing is asked of this release's controllers");
    assert_eq!(rules(policy, "egress", &json!(53)).len(), 1, "their names");

    let rendered =
        render("{networkPolicy: {enabled: true}, tracing: {otlpEndpoint: 'http://collector.example.org:4317'}}");
    let policy = rendered.get("NetworkPolicy", "rollcall-dns");
    assert_eq!(rules(policy, "egress", &json!(4317)).len(), 1);
    assert_eq!(rules(policy, "egress", &json!(53)).len(), 1, "its name");
}
