//! The three ways to run the DNS server.

use serde_json::{Value, json};

use super::rendered::{Rendered, render};

fn pod<'a>(rendered: &'a Rendered, kind: &str) -> &'a Value {
    &rendered.get(kind, "rollcall-dns")["spec"]["template"]["spec"]
}

fn forwards(pod: &Value) -> Vec<&str> {
    let args = pod["containers"][0]["args"].as_array().expect("flags");
    args.iter().filter_map(|arg| arg.as_str()?.strip_prefix("--forward=")).collect()
}

#[test]
fn beside_another_server_it_refuses_other_names() {
    let rendered = render("");
    assert!(forwards(pod(&rendered, "Deployment")).is_empty());
    let service = &rendered.get("Service", "rollcall-dns")["spec"];
    assert!(service["clusterIP"].is_null() && service["internalTrafficPolicy"].is_null());
    let ports: Vec<_> =
        service["ports"].as_array().into_iter().flatten().map(|port| (&port["port"], &port["targetPort"])).collect();
    assert_eq!(ports, [(&json!(53), &json!("dns")), (&json!(53), &json!("dns-tcp")), (&json!(9153), &json!("http"))]);
}

#[test]
fn as_the_clusters_dns_it_has_its_address_and_asks_the_nodes_servers() {
    let rendered = render("dns: {mode: clusterDNS, service: {clusterIP: 10.96.0.10}}");
    assert_eq!(rendered.get("Service", "rollcall-dns")["spec"]["clusterIP"], "10.96.0.10");
    assert_eq!(forwards(pod(&rendered, "Deployment")), ["/etc/resolv.conf"]);
    let rendered = render("dns: {mode: clusterDNS, forward: [192.0.2.1], service: {clusterIP: 10.96.0.10}}");
    assert_eq!(forwards(pod(&rendered, "Deployment")), ["192.0.2.1"]);
}

#[test]
fn on_each_node_means_on_tainted_ones_and_is_kept_there() {
    let rendered = render("dns: {mode: nodeLocal, service: {clusterIP: 10.96.0.10}}");
    let set = rendered.get("DaemonSet", "rollcall-dns");
    assert_eq!(set["spec"]["updateStrategy"]["rollingUpdate"], json!({"maxUnavailable": 0, "maxSurge": 1}));
    let pod = pod(&rendered, "DaemonSet");
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    assert!(pod["topologySpreadConstraints"].is_null() && pod["hostNetwork"].is_null());
    assert_eq!(rendered.get("Service", "rollcall-dns")["spec"]["internalTrafficPolicy"], "Local");
    assert!(rendered.find("Deployment", "rollcall-dns").is_none());
    assert!(rendered.find("PodDisruptionBudget", "rollcall-dns").is_none());
}

#[test]
fn in_no_mode_does_it_need_dns_to_find_the_controller() {
    for (mode, kind) in [("stubDomain", "Deployment"), ("clusterDNS", "Deployment"), ("nodeLocal", "DaemonSet")] {
        let rendered = render(&format!("dns: {{mode: {mode}, service: {{clusterIP: 10.96.0.10}}}}"));
        let pod = pod(&rendered, kind);
        assert_eq!(pod["dnsPolicy"], "Default", "{mode}");
        assert_eq!(pod["enableServiceLinks"], true, "{mode}");
        assert_eq!(
            pod["containers"][0]["args"][0], "--catalog=https://$(ROLLCALL_CONTROLLER_SERVICE_HOST):18000",
            "{mode}"
        );
    }
}

#[test]
fn a_low_port_needs_no_privilege() {
    let rendered = render("dns: {listenPort: 53}");
    let pod = pod(&rendered, "Deployment");
    let sysctl = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "53"}]);
    assert_eq!(pod["securityContext"]["sysctls"], sysctl);
    assert_eq!(pod["containers"][0]["ports"][0]["containerPort"], 53);
}

#[test]
fn sysctls_of_ones_own_are_added_to_and_no_security_context_is_one() {
    let sysctls = |values: &str| pod(&render(values), "Deployment")["securityContext"]["sysctls"].clone();
    let start = |value: &str| json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": value});
    let own = json!({"name": "net.ipv4.tcp_fin_timeout", "value": "30"});
    let both = sysctls(&format!("dns: {{listenPort: 53, podSecurityContext: {{sysctls: [{own}]}}}}"));
    assert_eq!(both, json!([own, start("53")]));
    let given = sysctls(&format!("dns: {{listenPort: 53, podSecurityContext: {{sysctls: [{}]}}}}", start("0")));
    assert_eq!(given, json!([start("0")]), "twice");
    let alone = render("dns: {listenPort: 53, podSecurityContext: null}");
    assert_eq!(pod(&alone, "Deployment")["securityContext"], json!({"sysctls": [start("53")]}));
    let none = render("{controller: {podSecurityContext: null}, dns: {podSecurityContext: null}}");
    assert_eq!(pod(&none, "Deployment")["securityContext"], json!({}));
}

#[test]
fn what_only_a_rolling_update_takes_goes_with_it() {
    for (values, kind, field, kind_of_update) in [
        ("dns: {strategy: {type: Recreate}}", "Deployment", "strategy", "Recreate"),
        (
            "dns: {mode: nodeLocal, service: {clusterIP: 10.96.0.10}, strategy: {type: OnDelete}}",
            "DaemonSet",
            "updateStrategy",
            "OnDelete",
        ),
    ] {
        let rendered = render(values);
        assert_eq!(rendered.get(kind, "rollcall-dns")["spec"][field], json!({"type": kind_of_update}));
    }
    let controller = render("controller: {strategy: {type: Recreate}}");
    assert_eq!(controller.get("Deployment", "rollcall-controller")["spec"]["strategy"], json!({"type": "Recreate"}));
}

#[test]
fn beside_another_server_it_may_ask_that_one() {
    let rendered = render("dns: {dnsPolicy: ClusterFirst, dnsConfig: {options: [{name: ndots, value: '2'}]}}");
    let pod = pod(&rendered, "Deployment");
    assert_eq!((&pod["dnsPolicy"], &pod["dnsConfig"]["options"][0]["name"]), (&json!("ClusterFirst"), &json!("ndots")));
}

#[test]
fn with_autoscaling_helm_does_not_set_the_number_of_replicas() {
    let rendered = render("dns: {autoscaling: {enabled: true, maxReplicas: 5}}");
    assert!(rendered.get("Deployment", "rollcall-dns")["spec"]["replicas"].is_null());
    assert_eq!(rendered.get("HorizontalPodAutoscaler", "rollcall-dns")["spec"]["maxReplicas"], 5);
}

#[test]
fn the_bounds_of_its_seats_are_values() {
    let args = |values: &str| pod(&render(values), "Deployment")["containers"][0]["args"].clone();
    let given = args("dns: {tcpConnections: 2048, forwardInFlight: 4096}");
    for flag in ["--tcp-connections=2048", "--forward-in-flight=4096"] {
        assert!(given.as_array().is_some_and(|args| args.iter().any(|arg| arg == flag)), "{given}");
    }
    let unset = args("").to_string();
    assert!(!unset.contains("--tcp-connections") && !unset.contains("--forward-in-flight"), "{unset}");
}

#[test]
fn without_it_nothing_of_it_is_there() {
    let rendered = render("dns: {enabled: false}");
    let left: Vec<_> =
        rendered.names().into_iter().filter(|name| name.contains("dns") || name.starts_with("Pod/")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn answers_are_kept_and_domains_have_servers_of_their_own_as_the_values_say() {
    let args = |values: &str| pod(&render(values), "Deployment")["containers"][0]["args"].to_string();
    let given = args(
        "dns: {cache: {bytes: 67108864, ttl: 60, negativeTTL: 5, staleSeconds: 0}, \
         stubDomains: {corp.example: [192.0.2.53, '192.0.2.54:5353']}}",
    );
    for flag in [
        "--cache-bytes=67108864",
        "--cache-ttl=60",
        "--cache-negative-ttl=5",
        "--cache-stale=0",
        "--stub-domain=corp.example=192.0.2.53,192.0.2.54:5353",
    ] {
        assert!(given.contains(&format!("\"{flag}\"")), "{flag}: {given}");
    }
    assert!(args("dns: {cache: {bytes: 0}}").contains("--cache-bytes=0"));
    let unset = args("");
    assert!(!unset.contains("--cache-bytes") && !unset.contains("--stub-domain"), "{unset}");
}

#[test]
fn who_is_answered_and_how_and_names_of_a_registry_are_values() {
    let of = |values: &str| pod(&render(values), "Deployment").clone();
    let given = of(
        "dns: {allow: [10.0.0.0/8, 'fd00::/8'], transferTo: [10.0.0.53/32], searchCompletion: endpoints, queryLog: failed, dnstap: /run/tap/socket, topMetrics: 10, forward: ['tls://192.0.2.53#dns.example.com'], hostsConfigMap: dns-hosts, answersPerSecond: 5000, cookieSecretName: dns-cookies, \
         registry: {domains: [rollcall, consul], namespace: shop, datacenter: east, onlyPassing: true}, \
         external: {domains: [k8s.example.com, k8s.example.net], headless: true, service: edge/dns}}",
    );
    for flag in [
        "--allow=10.0.0.0/8",
        "--allow=fd00::/8",
        "--transfer-to=10.0.0.53/32",
        "--search-completion=endpoints",
        "--query-log=failed",
        "--dnstap=/run/tap/socket",
        "--top-metrics=10",
        "--forward=tls://192.0.2.53#dns.example.com",
        "--hosts=/etc/rollcall/hosts/hosts",
        "--answers-per-second=5000",
        "--cookie-secret-file=/etc/rollcall/cookies/secret",
        "--nsid=$(POD_NAME)",
        "--registry-domain=rollcall,consul",
        "--registry-namespace=shop",
        "--registry-datacenter=east",
        "--registry-only-passing",
        "--external-domain=k8s.example.com,k8s.example.net",
        "--external-headless",
        "--external-service=edge/dns",
    ] {
        let args = &given["containers"][0]["args"];
        assert!(args.as_array().is_some_and(|args| args.contains(&json!(flag))), "{flag}: {args:#}");
    }
    let secret = json!({"name": "cookies", "secret": {"secretName": "dns-cookies",
        "items": [{"key": "secret", "path": "secret"}]}});
    assert!(given["volumes"].as_array().is_some_and(|volumes| volumes.contains(&secret)), "{given:#}");
    let hosts =
        json!({"name": "hosts", "configMap": {"name": "dns-hosts", "items": [{"key": "hosts", "path": "hosts"}]}});
    assert!(given["volumes"].as_array().is_some_and(|volumes| volumes.contains(&hosts)), "{given:#}");
    let unset = of("dns: {nsid: false, registry: {domains: []}}").to_string();
    assert!(unset.contains("--registry-domain=none"), "{unset}");
    for flag in [
        "--allow",
        "--answers-per-second",
        "cookie",
        "--nsid",
        "--registry-datacenter",
        "only-passing",
        "dnstap",
        "--top-metrics",
        "--hosts",
        "--external",
    ] {
        assert!(!unset.contains(flag), "{flag}: {unset}");
    }
}

#[test]
fn the_only_server_of_a_node_has_its_sockets_held() {
    let holds = |values: &str, kind| pod(&render(values), kind).to_string().contains("--hold-sockets");
    let on_each_node = "mode: nodeLocal, service: {clusterIP: 10.96.0.10}";
    assert!(holds(&format!("dns: {{{on_each_node}}}"), "DaemonSet"));
    assert!(!holds(&format!("dns: {{{on_each_node}, holdSockets: false}}"), "DaemonSet"));
    assert!(!holds("", "Deployment"));
    assert!(holds("dns: {holdSockets: true}", "Deployment"));
}

#[test]
fn with_a_secret_dns_over_tls_is_spoken() {
    let rendered = render("dns: {tls: {secretName: dns-tls}}");
    let pod = pod(&rendered, "Deployment");
    let container = &pod["containers"][0];
    for flag in
        ["--tls-listen=0.0.0.0:1853", "--https-listen=0.0.0.0:1443", "--tls-cert-file=/etc/rollcall/tls/tls.crt"]
    {
        assert!(container["args"].as_array().is_some_and(|args| args.contains(&json!(flag))), "{container:#}");
    }
    let secret = json!({"name": "tls", "secret": {"secretName": "dns-tls"}});
    assert!(pod["volumes"].as_array().is_some_and(|volumes| volumes.contains(&secret)), "{pod:#}");
    let ports = &rendered.get("Service", "rollcall-dns")["spec"]["ports"];
    for (name, port) in [("dns-tls", 853), ("dns-https", 443)] {
        let port = json!({"name": name, "port": port, "targetPort": name});
        assert!(ports.as_array().is_some_and(|ports| ports.contains(&port)), "{ports:#}");
    }
    assert!(!render("").get("Service", "rollcall-dns").to_string().contains("dns-tls"));
}

#[test]
fn the_catalog_is_kept_on_disk_where_the_values_say() {
    let at = "--snapshot=/var/lib/rollcall-dns/catalog";
    let of = |values: &str| pod(&render(values), "Deployment").clone();
    let mount = json!({"name": "snapshot", "mountPath": "/var/lib/rollcall-dns"});
    for (values, volume) in [
        ("", json!({"name": "snapshot", "emptyDir": {}})),
        (
            "dns: {snapshot: hostPath, snapshotHostPath: /srv/dns}",
            json!({"name": "snapshot", "hostPath": {"path": "/srv/dns", "type": "Directory"}}),
        ),
    ] {
        let pod = of(values);
        let has = |list: &Value, one: &Value| list.as_array().is_some_and(|list| list.contains(one));
        let container = &pod["containers"][0];
        assert!(has(&container["args"], &json!(at)) && has(&container["volumeMounts"], &mount), "{container:#}");
        assert!(has(&pod["volumes"], &volume), "{pod:#}");
    }
    let none = of("dns: {snapshot: none}").to_string();
    assert!(!none.contains("--snapshot") && !none.contains("rollcall-dns/catalog"), "{none}");
}
