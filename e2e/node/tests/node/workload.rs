//! Pods of the image for tests, as a user of a restricted namespace would write them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall_e2e::Kubectl;
use rollcall_e2e::node::WORKLOAD_IMAGE;
use serde_json::{Value, json};

/// How long a condition may take to come true. Generous: what is slower is broken, not loaded.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// A namespace in which pods must be as restricted as Kubernetes can ask for. It goes when dropped.
pub(crate) struct Namespace<'a> {
    pub(crate) name: &'static str,
    pub(crate) kubectl: &'a Kubectl,
}

/// What `workload call` and `workload resolve` report: everything since their start.
#[derive(Debug)]
pub(crate) struct Report {
    /// Attempts so far, those under way included.
    pub(crate) begun: u64,
    /// So many of them, counted from the first, have ended all: what was lost among them is in `failed`.
    pub(crate) settled: u64,
    /// Attempts that have ended.
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    pub(crate) errors: Value,
    /// How often each answer was given.
    pub(crate) answers: Value,
}

/// A container of the workload that is allowed in a restricted namespace.
pub(crate) fn container(args: &[&str]) -> Value {
    json!({
        "name": "main",
        "image": WORKLOAD_IMAGE,
        "imagePullPolicy": "Never",
        "args": args,
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// A Service with a Deployment of HTTP servers that are probed each second.
pub(crate) fn web(name: &str, replicas: u32) -> Vec<Value> {
    let labels = json!({"app": name});
    let mut container = container(&["serve"]);
    container["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    let probe = |failures: u32| {
        let get = json!({"path": "/healthz", "port": "http"});
        json!({"httpGet": get, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": failures})
    };
    container["readinessProbe"] = probe(2);
    // A start on a loaded machine is slow, and no reason to begin anew.
    container["startupProbe"] = probe(60);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    });
    vec![deployment, service]
}

/// A pod that runs once with these arguments.
pub(crate) fn pod(name: &str, args: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [container(args)], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1},
    })
}

// === impl Namespace ===

impl<'a> Namespace<'a> {
    /// Makes it, and waits for its ServiceAccount, without which no pod can be made.
    pub(crate) fn create(kubectl: &'a Kubectl, name: &'static str) -> Result<Self> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        kubectl.apply(&object.to_string())?;
        let namespace = Self { name, kubectl };
        kubectl.wait_until("the ServiceAccount", BOUND, &["serviceaccount", "default", "-n", name], |_| true)?;
        Ok(namespace)
    }

    /// kubectl in it.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        // Before the words, which may end in a command for a pod.
        self.kubectl.run(&[&["--namespace", self.name], args].concat())
    }

    /// Applies objects.
    pub(crate) fn apply(&self, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.into_iter().collect::<Vec<_>>()});
        let args = ["apply", "--server-side", "--namespace", self.name, "-f", "-"];
        self.kubectl.run_with_input(&args, &list.to_string()).map(drop)
    }

    /// Objects once a condition holds for them.
    pub(crate) fn wait(&self, what: &str, args: &[&str], condition: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.kubectl.wait_until(what, BOUND, &[args, &["--namespace", self.name]].concat(), condition)
    }

    /// The addresses of a Service's ready endpoints once there are so many, sorted.
    pub(crate) fn ready(&self, service: &str, count: usize) -> Result<Vec<String>> {
        let what = format!("{count} ready endpoints of {service}");
        let selector = format!("kubernetes.io/service-name={service}");
        let slices = self.wait(&what, &["endpointslices", "-l", &selector], |list| ready(list).len() == count)?;
        Ok(ready(&slices))
    }

    /// The output of a pod that runs once, when it has ended; an error if it ended badly.
    pub(crate) fn run_once(&self, name: &str, args: &[&str]) -> Result<String> {
        self.apply([pod(name, args)])?;
        let ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let pod = self.wait(&format!("the end of pod {name}"), &["pod", name], ended)?;
        let log = self.kubectl(&["logs", name])?;
        self.kubectl(&["delete", "pod", name, "--wait=false"])?;
        if pod["status"]["phase"] != "Succeeded" {
            bail!("pod {name} failed: {log}");
        }
        Ok(log)
    }

    /// The latest report of a pod that calls or resolves.
    pub(crate) fn report(&self, pod: &str) -> Result<Report> {
        let line = self.kubectl(&["logs", pod, "--tail=1"])?;
        let line: Value = serde_json::from_str(&line).with_context(|| format!("pod {pod} says: {line}"))?;
        let count = |name: &str| line[name].as_u64().with_context(|| format!("pod {pod} reports no {name}: {line}"));
        Ok(Report {
            begun: count("begun")?,
            settled: count("settled")?,
            sent: count("sent")?,
            failed: count("failed")?,
            errors: line["errors"].clone(),
            answers: line["answers"].clone(),
        })
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        // Without waiting: the next scenario has a namespace of another name, and what fails here is not its fault.
        let _ = self.kubectl.run(&["delete", "namespace", self.name, "--wait=false", "--ignore-not-found"]);
    }
}

fn ready(slices: &Value) -> Vec<String> {
    let items = slices["items"].as_array().into_iter().flatten();
    let endpoints = items.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let mut addresses: Vec<String> =
        ready.filter_map(|endpoint| endpoint["addresses"][0].as_str().map(String::from)).collect();
    addresses.sort();
    addresses
}
