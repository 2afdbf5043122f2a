//! The pods: who they are, where they run, how they are replaced.

use anyhow::{Result, ensure};
use rollcall_e2e::tools;
use serde_json::{Value, json};

use super::rendered::{files, render, render_file, render_named};

/// The templates of all pods, with the name of what holds them.
fn pods(objects: &[Value]) -> Vec<(String, &Value)> {
    let pod = |object: &Value| match object["kind"].as_str() {
        Some("Deployment" | "DaemonSet") => Some("/spec/template/spec"),
        Some("Pod") => Some("/spec"),
        _ => None,
    };
    let named = |object: &'_ Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    objects.iter().filter_map(|object| Some((named(object), object.pointer(pod(object)?)?))).collect()
}

fn containers(pod: &Value) -> &[Value] {
    pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn every_container_is_restricted_and_bounded_and_its_image_is_named() -> Result<()> {
    for file in files()? {
        let rendered = render_file(&tools::helm()?, &file)?;
        for (name, pod) in pods(&rendered.objects) {
            let wrong = |what: &str| format!("{}, {name}: {what}", file.display());
            let security = &pod["securityContext"];
            ensure!(security["runAsNonRoot"] == true, wrong("may be root"));
            ensure!(security["seccompProfile"]["type"] == "RuntimeDefault", wrong("no seccomp profile"));
            ensure!(pod["hostNetwork"].is_null(), wrong("is on the node's network"));
            for container in containers(pod) {
                let security = &container["securityContext"];
                ensure!(security["readOnlyRootFilesystem"] == true, wrong("may write to its root"));
                ensure!(security["allowPrivilegeEscalation"] == false, wrong("may escalate"));
                ensure!(security["capabilities"]["drop"] == json!(["ALL"]), wrong("has capabilities"));
                ensure!(container["resources"]["requests"]["cpu"].is_string(), wrong("requests no CPU"));
                ensure!(container["resources"]["limits"]["cpu"].is_null(), wrong("has a CPU limit"));
                let image = container["image"].as_str().unwrap_or_default();
                let tagged = image.rsplit_once('/').is_some_and(|(_, name)| name.contains([':', '@']));
                ensure!(tagged && !image.ends_with(":latest"), wrong(image));
            }
        }
    }
    Ok(())
}

#[test]
fn a_new_pod_is_ready_before_an_old_one_goes_and_may_end_in_peace() {
    let rendered = render("{controller: {lameDuckSeconds: 30}}");
    for (name, grace) in [("rollcall-controller", 45), ("rollcall-dns", 20)] {
        let deployment = rendered.get("Deployment", name);
        assert_eq!(deployment["spec"]["replicas"], 2);
        assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"], json!({"maxUnavailable": 0, "maxSurge": 1}));
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], grace, "{name}");
        let probes =
            ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| &pod["containers"][0][probe]["httpGet"]);
        let paths = probes.map(|probe| (probe["path"].as_str().unwrap_or_default(), &probe["port"]));
        assert_eq!(
            paths,
            [("/livez", &json!("http")), ("/livez", &json!("http")), ("/readyz", &json!("http"))],
            "{name}"
        );
        assert_eq!(rendered.get("PodDisruptionBudget", name)["spec"]["maxUnavailable"], 1);
    }
}

#[test]
fn pods_spread_over_nodes_and_matter_to_the_cluster() {
    let rendered = render("");
    for name in ["rollcall-controller", "rollcall-dns"] {
        let deployment = rendered.get("Deployment", name);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["priorityClassName"], "system-cluster-critical");
        let spread = &pod["topologySpreadConstraints"][0];
        assert_eq!(spread["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway");
        assert_eq!(spread["labelSelector"], deployment["spec"]["selector"], "{name}");
    }
}

#[test]
fn for_production_nodes_that_pods_cannot_use_do_not_hold_a_replica_back() -> Result<()> {
    let rendered = render_named("values-ha.yaml")?;
    for name in ["rollcall-controller", "rollcall-dns"] {
        let spread = &rendered.get("Deployment", name)["spec"]["template"]["spec"]["topologySpreadConstraints"];
        for constraint in spread.as_array().expect("constraints") {
            ensure!(constraint["nodeTaintsPolicy"] == "Honor", "{constraint:#}");
        }
    }
    Ok(())
}

#[test]
fn a_quota_lets_in_the_classes_that_are_used() {
    assert!(render("").of("ResourceQuota").is_empty());
    let values = "{resourceQuotas: {enabled: true, hard: {pods: '20'}}, dns: {mode: nodeLocal, service: {clusterIP: 10.96.0.10}}}";
    let rendered = render(values);
    let quota = &rendered.get("ResourceQuota", "rollcall")["spec"];
    let classes = json!(["system-cluster-critical", "system-node-critical"]);
    let scope = json!({"scopeName": "PriorityClass", "operator": "In", "values": classes});
    assert_eq!(quota, &json!({"hard": {"pods": "20"}, "scopeSelector": {"matchExpressions": [scope]}}));
}

#[test]
fn a_runtime_class_is_that_of_all_its_pods() {
    let rendered = render("{controller: {runtimeClassName: gvisor}, dns: {runtimeClassName: gvisor}}");
    for name in ["rollcall-controller", "rollcall-dns"] {
        let pod = &rendered.get("Deployment", name)["spec"]["template"]["spec"];
        assert_eq!(pod["runtimeClassName"], "gvisor", "{name}");
    }
}

#[test]
fn selectors_select_the_pods_and_know_nothing_that_changes() -> Result<()> {
    for file in files()? {
        let rendered = render_file(&tools::helm()?, &file)?;
        for object in rendered.of("Deployment").into_iter().chain(rendered.of("DaemonSet")) {
            let selector = object["spec"]["selector"]["matchLabels"].as_object().expect("labels");
            let labels = &object["spec"]["template"]["metadata"]["labels"];
            ensure!(selector.iter().all(|(label, value)| labels[label] == *value), "{selector:?} {labels}");
            let keys: Vec<_> = selector.keys().map(|label| label.rsplit('/').next().unwrap_or_default()).collect();
            ensure!(keys == ["component", "instance", "name"], "{keys:?}");
            let service = rendered.find("Service", object["metadata"]["name"].as_str().unwrap_or_default());
            let selected =
                service.is_none_or(|service| service["spec"]["selector"] == object["spec"]["selector"]["matchLabels"]);
            ensure!(selected, "the Service of {} selects others", object["metadata"]["name"]);
        }
    }
    Ok(())
}

#[test]
fn what_is_given_is_added() -> Result<()> {
    let rendered = render_named("everything-values.yaml")?;
    for object in &rendered.objects {
        if object["metadata"]["name"].as_str().is_some_and(|name| name.ends_with("-extra") || name.ends_with("-text")) {
            continue;
        }
        let labels = &object["metadata"]["labels"];
        ensure!(labels["team"] == "platform" && labels["cost-center"] == "42", "{object:#}");
        ensure!(
            labels["app.kubernetes.io/part-of"] == "platform" && labels["app.kubernetes.io/name"] == "rc",
            "{object:#}"
        );
        ensure!(object["metadata"]["annotations"]["example.org/owner"] == "platform", "{object:#}");
    }
    for name in ["rollcall-rc-controller", "rollcall-rc-dns"] {
        let template = &rendered.get("Deployment", name)["spec"]["template"];
        let (pod, container) = (&template["spec"], &template["spec"]["containers"][0]);
        let image = container["image"].as_str().unwrap_or_default();
        ensure!(image.starts_with("registry.example.org/mirror/rollcall-") && image.contains("@sha256:"), "{image}");
        ensure!(template["metadata"]["labels"]["example.org/tier"] == "control");
        ensure!(template["metadata"]["annotations"]["example.org/scrape"] == "true");
        ensure!(pod["imagePullSecrets"] == json!([{"name": "registry"}]));
        ensure!(pod["containers"][1]["name"] == "beside" && pod["terminationGracePeriodSeconds"] == 45);
        ensure!(pod["tolerations"][0]["key"] == "dedicated" && pod["affinity"]["nodeAffinity"].is_object());
        ensure!(pod["initContainers"][0]["name"] == "before" && pod["hostAliases"][0]["ip"] == "192.0.2.80");
        ensure!(pod["dnsPolicy"] == "None" && pod["dnsConfig"]["nameservers"] == json!(["192.0.2.53"]));
        ensure!(container["envFrom"][0]["configMapRef"]["name"] == "more");
        let spec = &rendered.get("Deployment", name)["spec"];
        ensure!(spec["minReadySeconds"] == 5 && spec["strategy"] == json!({"type": "Recreate"}), "{spec:#}");
        // After those of the chart, so that a name given twice has the user's value.
        let env = container["env"].as_array().expect("variables");
        ensure!(env.last() == Some(&json!({"name": "TOKIO_WORKER_THREADS", "value": "2"})), "{env:?}");
        // Behind the chart's own.
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        ensure!(mounts.last() == Some(&json!({"name": "more", "mountPath": "/more"})), "{mounts:?}");
        let args = container["args"].as_array().expect("flags");
        ensure!(args.contains(&json!("--otlp-endpoint=http://otel-collector.observability:4317")), "{args:?}");
        ensure!(args.contains(&json!("--log-level=info,rollcall_controller::writeback=debug")), "{args:?}");
    }
    ensure!(
        rendered.find("ConfigMap", "rollcall-extra").is_some() && rendered.find("ConfigMap", "rollcall-text").is_some()
    );
    Ok(())
}
