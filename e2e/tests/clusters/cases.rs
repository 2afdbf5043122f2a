//! The specs of the public conformance suite of mcs-api (v0.5.0) as cases of our own, on two control planes without nodes.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::pair::{
    NAMESPACE, Pair, await_slices, condition, condition_with, does_not_resolve, endpoints, import, name, no_import,
    resolves, service,
};
use crate::report::{Case, Level};

use Level::{Optional, Required};

const CLUSTERS: [&str; 2] = ["east", "west"];

/// In the order in which they run; each leaves behind what the next ones need.
pub(crate) const ALL: [Case; 17] = [
    Case {
        what: "an export is Valid, and imported as ClusterSetIP in every cluster",
        specs: 1,
        level: Required,
        run: imported,
    },
    Case { what: "the ports of an import are those of the export", specs: 1, level: Required, run: ports },
    Case {
        what: "an import has one address of each family, in the order of its families",
        specs: 1,
        level: Required,
        run: addresses,
    },
    Case {
        what: "EndpointSlices have the labels of service and source cluster",
        specs: 1,
        level: Optional,
        run: endpoint_slices,
    },
    Case {
        what: "A and AAAA of the clusterset's name are the import's addresses",
        specs: 1,
        level: Optional,
        run: dns_addresses,
    },
    Case { what: "SRV of a named port leads to the clusterset's name", specs: 1, level: Optional, run: dns_ports },
    Case {
        what: "the name in cluster.local stays that of the local Service",
        specs: 1,
        level: Optional,
        run: own_name,
    },
    Case {
        what: "sessionAffinity with its configuration, internalTrafficPolicy and trafficDistribution come over",
        specs: 3,
        level: Required,
        run: manners,
    },
    Case { what: "exported labels and annotations come over", specs: 2, level: Optional, run: tags },
    Case {
        what: "ports of several exports are united, with a Conflict on each export where they differ, and of those that exclude each other the oldest wins",
        specs: 2,
        level: Required,
        run: union,
    },
    Case {
        what: "a headless Service is imported as Headless, without addresses",
        specs: 2,
        level: Required,
        run: headless,
    },
    Case {
        what: "the name of a headless import is its endpoints, each with a name by host and cluster, and SRV records",
        specs: 3,
        level: Optional,
        run: headless_dns,
    },
    Case {
        what: "headless and not headless: the oldest wins, with a Conflict on each export",
        specs: 1,
        level: Required,
        run: type_conflict,
    },
    Case { what: "a Service of type ExternalName is not exported", specs: 1, level: Required, run: external_name },
    Case { what: "a Service that is not exported is not found", specs: 1, level: Required, run: not_exported },
    Case {
        what: "an import lives as long as one cluster exports it, and no longer",
        specs: 1,
        level: Required,
        run: last_export,
    },
    Case {
        what: "what is deleted leaves no Service and no EndpointSlice behind",
        specs: 0,
        level: Optional,
        run: nothing_left,
    },
];

pub(crate) fn http(number: u16) -> Value {
    json!([{ "name": "http", "port": number, "protocol": "TCP", "appProtocol": "http" }])
}

/// Whether an import is of these clusters, by their names in order.
pub(crate) fn is_of(import: &Value, clusters: &[&str]) -> bool {
    let of: Vec<_> = import["status"]["clusters"].as_array().into_iter().flatten().collect();
    of.len() == clusters.len() && of.iter().zip(clusters).all(|(seen, name)| seen["cluster"] == *name)
}

fn imported(pair: &mut Pair) -> Result<()> {
    service(&pair.east, "payments", json!({ "ports": http(80) }))?;
    endpoints(&pair.east, "payments", ("http", 8080), &[("", "10.244.1.4"), ("", "10.244.1.5")])?;
    pair.east.export(NAMESPACE, "payments")?;
    condition(&pair.east, "payments", "Valid", ("True", "Valid"))?;
    condition(&pair.east, "payments", "Ready", ("True", "Ready"))?;
    condition(&pair.east, "payments", "Conflict", ("False", "NoConflicts"))?;
    for cluster in pair.both() {
        import(cluster, "payments", |import| {
            import["spec"]["type"] == "ClusterSetIP"
                && import["spec"]["internalTrafficPolicy"] == "Cluster"
                && is_of(import, &["east"])
                && !import["spec"]["ips"].is_null()
        })?;
    }
    Ok(())
}

fn ports(pair: &mut Pair) -> Result<()> {
    for cluster in pair.both() {
        import(cluster, "payments", |import| import["spec"]["ports"] == http(80))?;
    }
    Ok(())
}

fn addresses(pair: &mut Pair) -> Result<()> {
    let dual = json!({ "ports": http(80), "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"] });
    service(&pair.east, "dual", dual)?;
    pair.east.export(NAMESPACE, "dual")?;
    for cluster in pair.both() {
        let import =
            import(cluster, "dual", |import| import["spec"]["ips"].as_array().is_some_and(|ips| ips.len() == 2))?;
        ensure!(import["spec"]["ipFamilies"] == json!(["IPv6", "IPv4"]), "{import}");
        ensure!(import["spec"]["ips"][0].as_str().is_some_and(|ip| ip.contains(':')), "{import}");
    }
    Ok(())
}

fn endpoint_slices(pair: &mut Pair) -> Result<()> {
    for cluster in pair.both() {
        await_slices(cluster, "payments", &[("east", &["10.244.1.4", "10.244.1.5"])])?;
        import(cluster, "payments", |import| import["status"]["endpointSliceObjects"] == "Present")?;
    }
    Ok(())
}

fn ips(import: &Value, v6: bool) -> Vec<String> {
    let all = import["spec"]["ips"].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.filter(|ip| ip.contains(':') == v6).map(str::to_owned).collect()
}

fn dns_addresses(pair: &mut Pair) -> Result<()> {
    for cluster in pair.both() {
        let import = import(cluster, "dual", |_| true)?;
        resolves(cluster, &name("dual"), "A", &ips(&import, false))?;
        resolves(cluster, &name("dual"), "AAAA", &ips(&import, true))?;
        resolves(cluster, "dns-version.clusterset.local", "TXT", &["\"1.0.0\"".to_owned()])?;
    }
    Ok(())
}

fn dns_ports(pair: &mut Pair) -> Result<()> {
    let (both, own) = (
        json!([{ "name": "tcp", "port": 42, "protocol": "TCP" }, { "name": "udp", "port": 42, "protocol": "UDP" }]),
        name("hello"),
    );
    service(&pair.east, "hello", json!({ "ports": both }))?;
    pair.east.export(NAMESPACE, "hello")?;
    for cluster in pair.both() {
        resolves(cluster, &format!("_tcp._tcp.{own}"), "SRV", &[format!("0 0 42 {own}.")])?;
        // Of both ports, which have one number, there is one record.
        resolves(cluster, &own, "SRV", &[format!("0 0 42 {own}.")])?;
    }
    Ok(())
}

fn own_name(pair: &mut Pair) -> Result<()> {
    let own = format!("payments.{NAMESPACE}.svc.cluster.local");
    let service = pair.east.api.get("/api/v1/namespaces/shop/services/payments")?;
    let ip = service["spec"]["clusterIP"].as_str().context("an address")?.to_owned();
    resolves(&pair.east, &own, "A", &[ip])?;
    does_not_resolve(&pair.west, &own)
}

fn manners(pair: &mut Pair) -> Result<()> {
    let config = json!({ "clientIP": { "timeoutSeconds": 60 } });
    let spec = json!({
        "ports": http(80), "sessionAffinity": "ClientIP", "sessionAffinityConfig": config,
        "internalTrafficPolicy": "Local", "trafficDistribution": "PreferClose",
    });
    service(&pair.east, "sticky", spec)?;
    pair.east.export(NAMESPACE, "sticky")?;
    for cluster in pair.both() {
        import(cluster, "sticky", |import| {
            let spec = &import["spec"];
            (&spec["sessionAffinity"], &spec["sessionAffinityConfig"]) == (&json!("ClientIP"), &config)
                && spec["internalTrafficPolicy"] == "Local"
                && spec["trafficDistribution"] == "PreferClose"
        })?;
    }
    Ok(())
}

fn tags(pair: &mut Pair) -> Result<()> {
    let object = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": { "name": "sticky", "namespace": NAMESPACE },
        "spec": { "exportedLabels": { "team": "pay" }, "exportedAnnotations": { "example.com/why": "because" } },
    });
    pair.east.kubectl.apply(&object.to_string())?;
    for cluster in pair.both() {
        import(cluster, "sticky", |import| {
            let meta = &import["metadata"];
            meta["labels"]["team"] == "pay" && meta["annotations"]["example.com/why"] == "because"
        })?;
    }
    Ok(())
}

fn union(pair: &mut Pair) -> Result<()> {
    let more = json!([
        { "name": "http", "port": 8000, "protocol": "TCP" }, { "name": "admin", "port": 9000, "protocol": "TCP" },
    ]);
    service(&pair.west, "payments", json!({ "ports": more }))?;
    endpoints(&pair.west, "payments", ("http", 8001), &[("", "10.245.1.9")])?;
    pair.west.export(NAMESPACE, "payments")?;
    for cluster in pair.both() {
        let said = condition(cluster, "payments", "Conflict", ("True", "PortConflict"))?;
        let words = said["message"].as_str().unwrap_or_default();
        ensure!(words.contains("8000/TCP) of west") && words.contains("cluster east, decides"), "{words}");
        let mut all = http(80);
        all.as_array_mut().context("a list")?.push(json!({ "name": "admin", "port": 9000, "protocol": "TCP" }));
        import(cluster, "payments", |import| import["spec"]["ports"] == all && is_of(import, &CLUSTERS))?;
        // The port in dispute leads to no endpoint of who lost it.
        await_slices(cluster, "payments", &[("east", &["10.244.1.4", "10.244.1.5"])])?;
    }
    // Without the dispute both have what each has, and are told what the other has not.
    let mut more = http(80);
    more.as_array_mut().context("a list")?.push(json!({ "name": "admin", "port": 9000, "protocol": "TCP" }));
    service(&pair.west, "payments", json!({ "ports": more }))?;
    for cluster in pair.both() {
        condition_with(cluster, "payments", "Conflict", ("True", "PortConflict", "east has no port \"admin\""))?;
        import(cluster, "payments", |import| import["spec"]["ports"] == more)?;
    }
    // Where they agree, all have it.
    service(&pair.west, "payments", json!({ "ports": http(80) }))?;
    for cluster in pair.both() {
        condition(cluster, "payments", "Conflict", ("False", "NoConflicts"))?;
        await_slices(cluster, "payments", &[("east", &["10.244.1.4", "10.244.1.5"]), ("west", &["10.245.1.9"])])?;
    }
    Ok(())
}

fn headless(pair: &mut Pair) -> Result<()> {
    service(&pair.east, "db", json!({ "clusterIP": "None", "ports": [{ "name": "pg", "port": 5432 }] }))?;
    endpoints(&pair.east, "db", ("pg", 5432), &[("db-0", "10.244.2.1"), ("", "10.244.2.2")])?;
    pair.east.export(NAMESPACE, "db")?;
    for cluster in pair.both() {
        import(cluster, "db", |import| {
            let spec = &import["spec"];
            spec["type"] == "Headless" && spec["ips"].is_null() && spec["ipFamilies"][0] == "IPv4"
        })?;
        await_slices(cluster, "db", &[("east", &["10.244.2.1", "10.244.2.2"])])?;
    }
    Ok(())
}

fn headless_dns(pair: &mut Pair) -> Result<()> {
    let own = name("db");
    for cluster in pair.both() {
        resolves(cluster, &own, "A", &["10.244.2.1".to_owned(), "10.244.2.2".to_owned()])?;
        resolves(cluster, &format!("db-0.east.{own}"), "A", &["10.244.2.1".to_owned()])?;
        let targets = ["10-244-2-2.east", "db-0.east"].map(|host| format!("0 1 5432 {host}.{own}."));
        resolves(cluster, &format!("_pg._tcp.{own}"), "SRV", &targets)?;
        does_not_resolve(cluster, &format!("west.{own}"))?;
    }
    Ok(())
}

fn type_conflict(pair: &mut Pair) -> Result<()> {
    service(&pair.west, "db", json!({ "ports": [{ "name": "pg", "port": 5432 }] }))?;
    pair.west.export(NAMESPACE, "db")?;
    for cluster in pair.both() {
        condition(cluster, "db", "Conflict", ("True", "TypeConflict"))?;
        import(cluster, "db", |import| import["spec"]["type"] == "Headless" && is_of(import, &CLUSTERS))?;
    }
    Ok(())
}

fn external_name(pair: &mut Pair) -> Result<()> {
    service(&pair.east, "away", json!({ "type": "ExternalName", "externalName": "api.example.com" }))?;
    pair.east.export(NAMESPACE, "away")?;
    condition(&pair.east, "away", "Valid", ("False", "InvalidServiceType"))?;
    pair.east.export(NAMESPACE, "nothing")?;
    condition(&pair.east, "nothing", "Valid", ("False", "NoService"))?;
    pair.both().into_iter().try_for_each(|cluster| no_import(cluster, "away"))
}

fn not_exported(pair: &mut Pair) -> Result<()> {
    service(&pair.east, "secret", json!({ "ports": http(80) }))?;
    for cluster in pair.both() {
        no_import(cluster, "secret")?;
        does_not_resolve(cluster, &name("secret"))?;
    }
    Ok(())
}

fn last_export(pair: &mut Pair) -> Result<()> {
    let before = import(&pair.west, "payments", |_| true)?["spec"]["ips"].clone();
    pair.west.kubectl.run(&["delete", "serviceexport", "payments", "--namespace", NAMESPACE])?;
    for cluster in pair.both() {
        import(cluster, "payments", |import| is_of(import, &["east"]))?;
    }
    let after = import(&pair.west, "payments", |_| true)?["spec"]["ips"].clone();
    ensure!(before == after, "the address went from {before} to {after}");
    pair.east.kubectl.run(&["delete", "serviceexport", "sticky", "--namespace", NAMESPACE])?;
    pair.both().into_iter().try_for_each(|cluster| no_import(cluster, "sticky"))
}

fn nothing_left(pair: &mut Pair) -> Result<()> {
    for export in ["hello", "dual"] {
        pair.east.kubectl.run(&["delete", "serviceexport", export, "--namespace", NAMESPACE])?;
    }
    for cluster in pair.both() {
        no_import(cluster, "hello")?;
        no_import(cluster, "dual")?;
        does_not_resolve(cluster, &name("hello"))?;
    }
    Ok(())
}
