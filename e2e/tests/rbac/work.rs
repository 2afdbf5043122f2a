//! What makes a controller use its rights.

use anyhow::{Result, bail};
use rollcall_e2e::agent::{self, Agent, Settings};
use rollcall_e2e::{clock, install};
use serde_json::{Value, json};

use crate::support::roles;
use crate::support::shop::unchecked;
use crate::support::{BOUND, Shop};

pub(crate) const AUTHORITY: [&str; 4] = ["--tls", "authority", "--tls-dns-name", "localhost"];

/// An agent that registers a service of this name.
pub(crate) fn machine(shop: &Shop, service: &str) -> Result<Agent> {
    let token = agent::account(&shop.kubectl, "shop", service)?;
    let file = format!(
        "service = \"{service}\"\nnamespace = \"shop\"\naddresses = [\"203.0.113.41\"]\nports = 80\ndrain = \"0s\"\n"
    );
    let settings = Settings {
        machine: service,
        controllers: shop.rollcall.catalogs().iter().map(|address| format!("http://{address}")).collect(),
        token: &token,
        more: "",
        services: &[("service.toml", &file)],
    };
    Agent::start(&shop.binaries.agent, &settings, shop.folder())
}

/// A Service with a registration: all kinds of objects are written for it.
pub(crate) fn write_something(shop: &Shop, namespace: &str, service: &str) -> Result<()> {
    let of_it = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let mut registration = unchecked(service, service, &json!([{"name": "only", "addresses": ["203.0.113.40"]}]));
    registration["metadata"]["namespace"] = json!(namespace);
    let both = json!({"apiVersion": "v1", "kind": "List", "items": [of_it, registration]});
    shop.kubectl.apply(&both.to_string()).map(drop)
}

/// The EndpointSlices and the CatalogEntries of a namespace that has nothing else.
pub(crate) fn written(shop: &Shop, namespace: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let slices = shop.api.list(&format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"))?;
    let entries = shop.api.list(&format!("/apis/rollcall.dev/v1alpha1/namespaces/{namespace}/catalogentries"))?;
    Ok((slices, entries))
}

/// Waits until all that [`write_something`] causes is written.
pub(crate) fn await_written(shop: &Shop, namespace: &str, service: &str) -> Result<()> {
    let path = format!("/apis/rollcall.dev/v1alpha1/namespaces/{namespace}/serviceregistrations/{service}");
    clock::wait_until(&format!("all about {namespace}/{service} to be written"), BOUND, || {
        let (slices, entries) = written(shop, namespace)?;
        let status = shop.api.get(&path)?["status"].take();
        let said = status["conditions"].as_array().into_iter().flatten();
        let is_published = said.into_iter().any(|said| said["type"] == "Published" && said["status"] == "True");
        let is_done = is_published && !slices.is_empty() && !entries.is_empty();
        if is_done { Ok(Some(())) } else { bail!("{} slices, {} entries, {status}", slices.len(), entries.len()) }
    })
}

pub(crate) fn maintenance(shop: &Shop, registration: &str, reason: &str) -> Result<()> {
    let patch = json!({"spec": {"maintenance": {"reason": reason}}}).to_string();
    let args = ["patch", "serviceregistration", registration, "-n", "shop", "--type", "merge", "--patch", &patch];
    shop.kubectl.run(&args).map(drop)
}

pub(crate) fn has_authority(shop: &Shop) -> Result<bool> {
    Ok(roles::all(&shop.kubectl)?.iter().any(|right| right.resource == "secrets"))
}

/// The two objects of the authority as an installation makes them: there, without data.
pub(crate) fn empty_authority(shop: &Shop) -> Result<()> {
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
        shop.kubectl.delete(&[kind, name, "-n", install::NAMESPACE])?;
        let object =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": install::NAMESPACE}});
        shop.kubectl.apply(&object.to_string())?;
    }
    Ok(())
}
