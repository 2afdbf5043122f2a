//! The harness itself: is its control plane a real one, can it fail in parts, and does it leave nothing behind?

use std::time::Duration;

use anyhow::Result;
use rollcall_e2e::control_plane::{Component, ControlPlane, NODES};
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::{Kubectl, clock};
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(60);

const WEB: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: registry.example/web:1}]
"#;

#[test]
fn pods_run_slices_follow_and_a_stopped_api_server_comes_back_with_its_data() -> Result<()> {
    let scratch = Scratch::new("control-plane")?;
    let start = clock::now();
    let mut plane = ControlPlane::start(scratch.path())?;
    println!("control plane ready after {:.1} s", start.elapsed().as_secs_f32());

    let kubectl = plane.kubectl().clone();
    kubectl.apply(WEB)?;
    if plane.has(Component::Kwok) {
        let slices = ready_slices(&kubectl)?;
        println!("four pods in {} EndpointSlices after {:.1} s", slices.len(), start.elapsed().as_secs_f32());
        assert_both_families(&slices);
        assert_both_zones(&slices);
    }

    let before = resource_versions(&kubectl)?;
    let stopping = clock::now();
    plane.stop(Component::ApiServer)?;
    println!("API server stopped in {:.1} s", stopping.elapsed().as_secs_f32());
    assert!(kubectl.run(&["get", "services"]).is_err(), "the API server answers although it was stopped");
    plane.start_again(Component::ApiServer)?;
    assert_eq!(resource_versions(&kubectl)?, before, "Services and EndpointSlices after a restart of the API server");

    println!("and ready again after {:.1} s", stopping.elapsed().as_secs_f32());
    plane.kill(Component::Etcd)?;
    plane.start_again(Component::Etcd)?;
    plane.wait_ready(Component::ApiServer)?;
    assert_eq!(resource_versions(&kubectl)?, before, "Services and EndpointSlices after etcd was killed");

    let processes = plane.identities();
    assert!(processes.len() >= 2 && processes.iter().all(rollcall_e2e::process::Identity::is_alive), "{processes:?}");
    drop(plane);
    let left: Vec<_> = processes.into_iter().filter(rollcall_e2e::process::Identity::is_alive).collect();
    assert!(left.is_empty(), "still running: {left:?}");
    scratch.remove()
}

/// The EndpointSlices of `web` once they hold four ready pods of each family.
fn ready_slices(kubectl: &Kubectl) -> Result<Vec<Value>> {
    let of_web = ["endpointslices", "-l", "kubernetes.io/service-name=web"];
    let list = kubectl.wait_until("four ready pods of both families in EndpointSlices", BOUND, &of_web, |list| {
        endpoints(list["items"].as_array().map_or(&[], Vec::as_slice))
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .count()
            == 8
    })?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

fn endpoints(slices: &[Value]) -> impl Iterator<Item = &Value> {
    slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
}

fn assert_both_families(slices: &[Value]) {
    let mut families: Vec<_> = slices.iter().map(|slice| slice["addressType"].as_str().unwrap_or("?")).collect();
    families.sort_unstable();
    assert_eq!(families, ["IPv4", "IPv6"]);
}

fn assert_both_zones(slices: &[Value]) {
    for node in NODES {
        let in_zone = endpoints(slices).filter(|endpoint| endpoint["zone"] == node.zone).count();
        assert!(in_zone > 0, "no endpoint in {}: {slices:#?}", node.zone);
    }
}

fn resource_versions(kubectl: &Kubectl) -> Result<Vec<(String, String)>> {
    let objects = kubectl.list(&["services,endpointslices", "--all-namespaces"])?;
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let version = |object: &Value| {
        let metadata = &object["metadata"];
        (format!("{}/{}", text(&object["kind"]), text(&metadata["name"])), text(&metadata["resourceVersion"]))
    };
    Ok(objects.iter().map(version).collect())
}
