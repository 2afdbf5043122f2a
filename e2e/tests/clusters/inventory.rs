//! A link that finds its cluster by a ClusterProfile: as the definition of others has it, and with the rights of the manifests.

use anyhow::{Context, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::install;
use serde_json::{Value, json};

use crate::pair::Pair;
use crate::support::BOUND;

/// Of the inventory, in the cluster that links.
const NAMESPACE: &str = "fleet";

/// The north calls the east by a profile: by another address, with the authority that it has from there alone.
pub(crate) fn followed(pair: &mut Pair) -> Result<()> {
    let north = pair.north.as_ref().context("the third cluster has joined")?;
    let (kubectl, way) = (&north.kubectl, pair.relay.address().to_string());
    let secrets = format!("/api/v1/namespaces/{}/secrets/link-east", install::NAMESPACE);
    let authority = north.api.get(&secrets)?["data"]["ca.crt"].take();
    kubectl.apply(&definition().to_string())?;
    let name = "crd/clusterprofiles.multicluster.x-k8s.io";
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", name])?;
    kubectl.run(&["create", "namespace", NAMESPACE])?;
    let spec = json!({ "spec": { "displayName": "East", "clusterManager": { "name": "by-hand" } } });
    clock::wait_until("the definition to be served", BOUND, || kubectl.apply(&profile(&spec).to_string()).map(Some))?;
    let cluster = json!({
        "server": format!("https://{way}"), "certificate-authority-data": authority, "tls-server-name": "localhost",
    });
    let status = json!({ "status": {
        "properties": [{ "name": "cluster.clusterset.k8s.io", "value": "east" }],
        "accessProviders": [{ "name": "rollcall.dev", "cluster": cluster }],
    } });
    let apply = ["apply", "--server-side", "--subresource=status", "--filename", "-"];
    kubectl.run_with_input(&apply, &profile(&status).to_string())?;
    let patch = |kind: &str, object: &str, patch: &Value, more: &[&str]| {
        let args = ["patch", kind, object, "--type", "merge", "--patch", &patch.to_string()];
        kubectl.run(&[&args, more].concat()).map(drop)
    };
    let of_release = ["--namespace", install::NAMESPACE];
    patch("secret", "link-east", &json!({ "data": { "ca.crt": null } }), &of_release)?;
    let named =
        json!({ "addresses": null, "serverName": null, "clusterProfile": { "namespace": NAMESPACE, "name": "east" } });
    patch("clusterlink", "east", &json!({ "spec": named }), &[])?;
    clock::wait_until("the stream to stand where the profile says", BOUND, || {
        let status = north.link("east")?;
        ensure!(status["address"] == way && status["state"] == "Connected" && status["problems"].is_null(), "{status}");
        Ok(Some(()))
    })
}

fn profile(more: &Value) -> Value {
    let mut profile = json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ClusterProfile",
        "metadata": { "name": "east", "namespace": NAMESPACE },
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        profile[field] = value.clone();
    }
    profile
}

/// What sigs.k8s.io/cluster-inventory-api defines, of what is used here.
fn definition() -> Value {
    let text = json!({ "type": "string" });
    let named = |fields: Value| {
        json!({
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": { "type": "object", "required": ["name"], "properties": fields },
        })
    };
    let cluster = json!({
        "type": "object", "required": ["server"],
        "properties": {
            "server": text, "tls-server-name": text, "certificate-authority-data": { "type": "string", "format": "byte" },
        },
    });
    let manager = json!({ "type": "object", "required": ["name"], "properties": { "name": text } });
    let spec = json!({
        "type": "object", "required": ["clusterManager"], "properties": { "displayName": text, "clusterManager": manager },
    });
    let status = json!({ "type": "object", "properties": {
        "accessProviders": named(json!({ "name": text, "cluster": cluster })),
        "properties": named(json!({ "name": text, "value": text })),
    } });
    let schema = json!({ "type": "object", "required": ["spec"], "properties": { "spec": spec, "status": status } });
    let version = json!({
        "name": "v1alpha1", "served": true, "storage": true, "subresources": { "status": {} },
        "schema": { "openAPIV3Schema": schema },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "clusterprofiles.multicluster.x-k8s.io" },
        "spec": {
            "group": "multicluster.x-k8s.io", "scope": "Namespaced", "versions": [version],
            "names": { "kind": "ClusterProfile", "plural": "clusterprofiles", "singular": "clusterprofile" },
        },
    })
}
