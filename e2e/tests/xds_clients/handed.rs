//! A pod's way to the stream: a ConfigMap that the leader fills, mounted beside a token, and one variable.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::install;
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::xds_client::{Caller, Family};
use serde_json::{Value, json};

use super::stage::{NAMESPACE, Stage};
use crate::support::{BOUND, page};

/// The ConfigMap.
const NAME: &str = "rollcall-bootstrap";

/// `NAMESPACE/NAME`, for the flag.
pub(crate) fn place() -> String {
    format!("{NAMESPACE}/{NAME}")
}

/// Makes it as the chart does: empty, and its Role.
pub(crate) fn make(stage: &Stage) -> Result<()> {
    let metadata = |name: &str| json!({ "name": name, "namespace": NAMESPACE });
    let group = "rbac.authorization.k8s.io";
    let rule =
        json!({ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [NAME], "verbs": ["get", "update"] });
    let subject = json!({ "kind": "ServiceAccount", "name": "rollcall-controller", "namespace": install::NAMESPACE });
    for object in [
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(NAME), "data": { "theirs": "stays" } }),
        json!({ "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata(NAME), "rules": [rule] }),
        json!({ "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata(NAME),
                "roleRef": { "apiGroup": group, "kind": "Role", "name": NAME }, "subjects": [subject] }),
    ] {
        stage.kubectl.apply(&object.to_string())?;
    }
    Ok(())
}

/// Starts a gRPC client with nothing but what is in it, and a token. The other replicas end, so that this one leads.
pub(crate) fn run(stage: &mut Stage, controller: &Controller, (mount, token): (&Path, &Path)) -> Result<Caller> {
    for other in &mut stage.rollcall.controllers {
        ensure!(other.process.stop()?, "{} did not end on SIGTERM", other.process.name());
    }
    let map = || stage.kubectl.get(&["configmap", NAME, "--namespace", NAMESPACE]);
    let filled = clock::wait_until("the leader to fill the ConfigMap", BOUND, || {
        let map = map()?;
        ensure!(map["data"]["grpc.json"].is_string(), "it holds {}", map["data"]);
        Ok(Some(map))
    })?;
    ensure!(filled["data"]["theirs"] == "stays", "what is not ours went: {filled}");
    // As the kubelet mounts it.
    std::fs::create_dir_all(mount)?;
    for (name, text) in filled["data"].as_object().context("it has data")? {
        std::fs::write(mount.join(name), text.as_str().context("a text")?)?;
    }
    std::fs::copy(token, mount.join("token"))?;
    let bootstrap: Value = serde_json::from_slice(&std::fs::read(mount.join("grpc.json"))?)?;
    let targets = [(super::secured::SERVICE.to_owned(), super::secured::target())];
    let mut caller = Caller::start_by(Family::Grpcio, "grpcio-handed", &bootstrap, &targets, stage.scratch.path())?;
    super::secured::await_answers(&mut caller, "grpcio-handed")?;

    let damaged = json!({ "data": { "grpc.json": "{}" } }).to_string();
    stage.kubectl.run(&["patch", "configmap", NAME, "--namespace", NAMESPACE, "--type=merge", "--patch", &damaged])?;
    clock::wait_until("the leader to mend the ConfigMap", BOUND, || {
        let (now, before) = (map()?, &filled["data"]["grpc.json"]);
        ensure!(now["data"]["grpc.json"] == *before, "it holds {}", now["data"]);
        Ok(Some(()))
    })?;
    let current = page::metric(controller.http, "rollcall_bootstrap_configmaps", "state=\"current\"")?;
    ensure!((current - 1.0).abs() < 0.5, "{current} are told to be as they should be");
    Ok(caller)
}
