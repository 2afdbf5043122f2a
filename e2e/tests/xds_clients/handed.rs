//! A pod's way to the stream: a ConfigMap that the leader fills, mounted beside a token, and one variable.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::install;
use rollcall_e2e::layout;
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::xds_client::{Caller, Family};
use serde_json::{Value, json};

use super::stage::{HERE, NAMESPACE, Stage};
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

/// One that says where it is, as docs/xds.md has a pod do it: it calls its own zone alone.
fn placed(map: &Value, folder: &Path) -> Result<()> {
    const VARIABLE: &str = "name: GRPC_XDS_BOOTSTRAP_CONFIG ";
    let page = std::fs::read_to_string(layout::root().join("docs/xds.md"))?;
    let mut lines = page.lines().skip_while(|line| !line.contains(VARIABLE));
    let value = lines.nth(1).and_then(|line| line.trim().strip_prefix("value: '")?.strip_suffix('\''));
    let mut value = value.context("docs/xds.md has no such variable")?.to_owned();
    // As the kubelet does.
    let servers = map["data"]["servers.json"].as_str().context("no servers")?;
    for (name, is) in [("XDS_SERVERS", servers), ("POD", "grpcio-placed"), ("REGION", "here"), ("ZONE", HERE)] {
        value = value.replace(&format!("$({name})"), is);
    }
    let targets = [("zones".to_owned(), format!("xds:///zones.{NAMESPACE}:8080"))];
    let mut caller = Caller::start_told(Family::Grpcio, "grpcio-placed", &value, &targets, folder)?;
    super::secured::await_answers(&mut caller, "grpcio-placed")?;
    clock::wait_until("calls enough to tell where they go", BOUND, || {
        let calls = caller.calls()?;
        let stray = calls.iter().find(|call| call.backend.as_deref().is_some_and(|backend| backend != "zones-near"));
        ensure!(stray.is_none(), "a call left the zone: {stray:?}");
        Ok((calls.iter().filter(|call| call.backend.is_some()).count() >= 20).then_some(()))
    })
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
    let damaged = json!({ "data": { "grpc.json": "{}" } }).to_string();
    stage.kubectl.run(&["patch", "configmap", NAME, "--namespace", NAMESPACE, "--type=merge", "--patch", &damaged])?;

    // As the kubelet mounts it; meanwhile the leader looks again.
    std::fs::create_dir_all(mount)?;
    for (name, text) in filled["data"].as_object().context("it has data")? {
        std::fs::write(mount.join(name), text.as_str().context("a text")?)?;
    }
    std::fs::copy(token, mount.join("token"))?;
    let bootstrap: Value = serde_json::from_slice(&std::fs::read(mount.join("grpc.json"))?)?;
    let targets = [(super::secured::SERVICE.to_owned(), super::secured::target())];
    let mut caller = Caller::start_by(Family::Grpcio, "grpcio-handed", &bootstrap, &targets, stage.scratch.path())?;
    super::secured::await_answers(&mut caller, "grpcio-handed")?;
    placed(&filled, stage.scratch.path())?;

    clock::wait_until("the leader to mend the ConfigMap", BOUND, || {
        let (now, before) = (map()?, &filled["data"]["grpc.json"]);
        ensure!(now["data"]["grpc.json"] == *before, "it holds {}", now["data"]);
        Ok(Some(()))
    })?;
    let current = page::metric(controller.http, "rollcall_bootstrap_configmaps", "state=\"current\"")?;
    ensure!((current - 1.0).abs() < 0.5, "{current} are told to be as they should be");
    Ok(caller)
}
