//! The Services: their addresses, and what of them is reached from outside.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::rendered::{Rendered, render, render_named};

fn ports(service: &Value) -> Vec<&str> {
    service["spec"]["ports"].as_array().into_iter().flatten().filter_map(|port| port["name"].as_str()).collect()
}

fn checked(rendered: &Rendered) -> Vec<&str> {
    let args = &rendered.get("Pod", "rollcall-test")["spec"]["containers"][0]["args"];
    args.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn within_the_cluster_one_service_has_all_ports() {
    let rendered = render("");
    assert_eq!(rendered.of("Service").len(), 2, "{:?}", rendered.names());
    assert_eq!(ports(rendered.get("Service", "rollcall-controller")), ["grpc", "api", "http"]);
    assert_eq!(ports(rendered.get("Service", "rollcall-dns")), ["dns", "dns-tcp", "http"]);
    let checked = checked(&rendered);
    assert!(checked.contains(&"--ready=http://$(ROLLCALL_CONTROLLER_SERVICE_HOST):18080/readyz"), "{checked:?}");
    assert!(checked.contains(&"--server=[$(ROLLCALL_DNS_SERVICE_HOST)]:53"), "for IPv6 as well: {checked:?}");
}

#[test]
fn from_outside_neither_metrics_nor_debug_pages_are_reached() -> Result<()> {
    let rendered = render_named("exposed-values.yaml")?;
    for (name, apart, outside) in [
        // Its values have TLS off, and the API port does without a Service then.
        ("rollcall-controller", "rollcall-admin", &["grpc"][..]),
        ("rollcall-dns", "rollcall-dns-admin", &["dns", "dns-tcp"]),
    ] {
        let service = rendered.get("Service", name);
        ensure!(service["spec"]["type"] == "LoadBalancer" && ports(service) == outside, "{service:#}");
        ensure!(service["spec"]["loadBalancerSourceRanges"] == json!(["192.0.2.0/24"]), "{service:#}");
        ensure!(service["metadata"]["labels"]["example.org/exposed"] == "true", "{service:#}");
        let admin = rendered.get("Service", apart);
        ensure!(admin["spec"]["type"] == "ClusterIP" && ports(admin) == ["http"], "{admin:#}");
        ensure!(admin["spec"]["selector"] == service["spec"]["selector"], "{admin:#}");
        ensure!(admin["metadata"]["labels"]["example.org/exposed"].is_null(), "{admin:#}");
    }
    let controller = &rendered.get("Service", "rollcall-controller")["spec"];
    ensure!(controller["loadBalancerClass"] == "example.org/internal", "{controller:#}");
    ensure!(controller["externalTrafficPolicy"] == "Local", "{controller:#}");
    ensure!(controller["trafficDistribution"] == "PreferSameZone", "{controller:#}");
    let checked = checked(&rendered);
    ensure!(checked.contains(&"--ready=http://$(ROLLCALL_ADMIN_SERVICE_HOST):18080/readyz"), "{checked:?}");
    ensure!(checked.contains(&"--ready=http://$(ROLLCALL_DNS_ADMIN_SERVICE_HOST):9153/readyz"), "{checked:?}");
    Ok(())
}

#[test]
fn what_is_for_load_balancers_alone_is_left_out_elsewhere() {
    let rendered = render(
        "controller: {service: {loadBalancerClass: a, loadBalancerSourceRanges: [10.0.0.0/8], externalTrafficPolicy: Local}}",
    );
    let service = &rendered.get("Service", "rollcall-controller")["spec"];
    for field in ["loadBalancerClass", "loadBalancerSourceRanges", "externalTrafficPolicy"] {
        assert!(service[field].is_null(), "{service:#}");
    }
}

#[test]
fn a_service_has_an_address_of_each_family() {
    let rendered = render(
        "{listenAddresses: ['[::]', '0.0.0.0'], dns: {mode: clusterDNS, service: {clusterIPs: ['fd00::a', 10.96.0.10], \
         ipFamilies: [IPv6, IPv4], ipFamilyPolicy: RequireDualStack}}}",
    );
    let service = &rendered.get("Service", "rollcall-dns")["spec"];
    assert_eq!(service["clusterIP"], "fd00::a", "the API server wants the first here as well");
    assert_eq!(service["clusterIPs"], json!(["fd00::a", "10.96.0.10"]));
    assert_eq!(
        (&service["ipFamilies"], &service["ipFamilyPolicy"]),
        (&json!(["IPv6", "IPv4"]), &json!("RequireDualStack"))
    );
    let args = &rendered.get("Deployment", "rollcall-dns")["spec"]["template"]["spec"]["containers"][0]["args"];
    let args = args.as_array().expect("flags");
    for flag in ["--listen=[::]:1053", "--listen=0.0.0.0:1053", "--http-listen=[::]:9153"] {
        assert!(args.contains(&json!(flag)), "{flag}: {args:?}");
    }
}
