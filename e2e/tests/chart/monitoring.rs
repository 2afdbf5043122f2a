//! Monitors, alerts and the dashboard.

use anyhow::{Result, ensure};
use serde_json::json;

use super::rendered::{chart, render, render_named};

#[test]
fn services_or_pods_are_scraped_on_ports_that_are_there() {
    let services = render("serviceMonitor: {enabled: true, additionalLabels: {release: prometheus}}");
    let pods = render("podMonitor: {enabled: true, interval: 15s}");
    for name in ["rollcall-controller", "rollcall-dns"] {
        let monitor = services.get("ServiceMonitor", name);
        assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
        let port = &monitor["spec"]["endpoints"][0]["port"];
        let service = services.get("Service", name);
        let selector = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
        assert!(selector.iter().all(|(label, value)| service["metadata"]["labels"][label] == *value), "{selector:?}");
        assert!(service["spec"]["ports"].as_array().expect("ports").iter().any(|its| its["name"] == *port));

        let endpoint = &pods.get("PodMonitor", name)["spec"]["podMetricsEndpoints"][0];
        assert_eq!(endpoint["interval"], "15s");
        let container = &pods.get("Deployment", name)["spec"]["template"]["spec"]["containers"][0];
        assert!(container["ports"].as_array().expect("ports").iter().any(|its| its["name"] == endpoint["port"]));
    }
}

#[test]
fn dns_servers_behind_a_service_of_others_are_scraped_too() -> Result<()> {
    let rendered = render_named("behind-kube-dns-values.yaml")?;
    ensure!(rendered.find("ServiceMonitor", "rollcall-controller").is_some());
    ensure!(rendered.find("ServiceMonitor", "rollcall-dns").is_none(), "it would select no Service");
    let monitor = rendered.get("PodMonitor", "rollcall-dns");
    ensure!(monitor["metadata"]["labels"]["release"] == "prometheus", "{monitor:#}");
    let template = &rendered.get("Deployment", "rollcall-dns")["spec"]["template"];
    let selector = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    ensure!(selector.iter().all(|(label, value)| template["metadata"]["labels"][label] == *value), "{selector:?}");
    let port = &monitor["spec"]["podMetricsEndpoints"][0]["port"];
    let ports = template["spec"]["containers"][0]["ports"].as_array().expect("ports");
    ensure!(ports.iter().any(|its| its["name"] == *port), "{port}");
    Ok(())
}

#[test]
fn monitors_say_what_they_were_told_and_select_by_labels_that_none_can_change() -> Result<()> {
    let rendered = render_named("cluster-dns-values.yaml")?;
    for name in ["rollcall-controller", "rollcall-dns"] {
        let monitor = rendered.get("ServiceMonitor", name);
        ensure!(monitor["metadata"]["labels"]["release"] == "prometheus", "the common label won: {monitor:#}");
        let spec = &monitor["spec"];
        ensure!(spec["jobLabel"] == "app.kubernetes.io/component" && spec["endpoints"][0]["honorLabels"] == true);
        ensure!(spec["targetLabels"] == json!(["app.kubernetes.io/version"]), "{spec:#}");
        ensure!(spec["podTargetLabels"] == json!(["pod-template-hash"]), "{spec:#}");
    }
    let labels =
        "{app.kubernetes.io/name: other, app.kubernetes.io/component: other, app.kubernetes.io/part-of: other}";
    let rendered = render(&format!("{{commonLabels: {labels}, serviceMonitor: {{enabled: true}}}}"));
    for name in ["rollcall-controller", "rollcall-dns"] {
        let selector = rendered.get("ServiceMonitor", name)["spec"]["selector"]["matchLabels"].clone();
        let labels = &rendered.get("Service", name)["metadata"]["labels"];
        let selected = selector.as_object().expect("labels").iter().all(|(label, value)| labels[label] == *value);
        ensure!(selected && labels["app.kubernetes.io/part-of"] == "other", "{selector} {labels}");
    }
    Ok(())
}

#[test]
fn alerts_are_left_out_labelled_and_added() -> Result<()> {
    let rendered = render_named("cluster-dns-values.yaml")?;
    let groups = rendered.get("PrometheusRule", "rollcall")["spec"]["groups"].as_array().expect("groups");
    let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array()).flatten().collect();
    let find = |name: &str| rules.iter().find(|rule| rule["alert"] == name);
    ensure!(find("RollcallCertificateExpiring").is_none(), "it is disabled");
    let stale = find("RollcallAnswersStale").expect("the alert");
    ensure!(stale["labels"] == json!({"severity": "critical", "team": "platform"}), "{stale:#}");
    let added = find("RollcallCertificateExpiringSoon").expect("the alert");
    ensure!(added["annotations"]["summary"] == "{{ $labels.job }} has an hour left", "{added:#}");
    let all = "[RollcallAnswersStale, RollcallEndpointsLost, RollcallServiceEndpointsLost, RollcallEndpointsHeld, \
               RollcallSlicesNotWritten, RollcallLinkSilent, RollcallLinkExpired, RollcallCertificateExpiring, \
               RollcallDnsFailing]";
    let none = render(&format!("prometheusRule: {{enabled: true, disabled: {all}}}"));
    ensure!(none.of("PrometheusRule").is_empty(), "a rule without groups");
    Ok(())
}

#[test]
fn every_alert_has_a_runbook_where_the_values_say() {
    let rendered = render("prometheusRule: {enabled: true, runbookBaseURL: 'https://runbooks.example.org/r'}");
    let groups = &rendered.get("PrometheusRule", "rollcall")["spec"]["groups"];
    let rules: Vec<_> =
        groups.as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).flatten().collect();
    let alerts: Vec<_> = rules.into_iter().filter(|rule| rule["alert"].is_string()).collect();
    assert!(alerts.len() >= 5, "{} alerts", alerts.len());
    for alert in alerts {
        let runbook = alert["annotations"]["runbook_url"].as_str().unwrap_or_default();
        assert!(runbook.starts_with("https://runbooks.example.org/r/"), "{}: {runbook:?}", alert["alert"]);
    }
}

#[test]
fn every_dashboard_is_in_a_config_map_as_it_is() {
    let rendered = render("dashboards: {enabled: true, label: dash, labelValue: 'yes'}");
    let mut count = 0;
    for entry in std::fs::read_dir(chart().join("files/dashboards")).expect("the folder") {
        let file = entry.expect("a file").path();
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let map = rendered.get("ConfigMap", &format!("rollcall-dashboard-{}", name.trim_end_matches(".json")));
        assert_eq!(map["metadata"]["labels"]["dash"], "yes");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let text = std::fs::read_to_string(&file).expect("a dashboard");
        assert_eq!(read(map["data"][&name].as_str().expect("text")), read(&text));
        count += 1;
    }
    assert!(count > 0, "no dashboard");
}

#[test]
fn nothing_of_it_is_there_unasked() {
    let names = render("").names();
    let found: Vec<_> = names
        .iter()
        .filter(|name| name.contains("Monitor") || name.contains("Rule/") || name.contains("dashboard"))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}
