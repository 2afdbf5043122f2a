//! The Kubernetes API through `kubectl proxy`: a look costs a request, where kubectl would cost a process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rollcall_e2e::{Kubectl, Process, clock, http, net};
use serde_json::Value;

use super::BOUND;

/// The namespace of the shop.
pub(crate) const NAMESPACE: &str = "shop";

/// The API as cluster administrator, to read.
pub(crate) struct Api {
    proxy: SocketAddr,
    _process: Process,
}

/// resourceVersions by kind, namespace and name.
pub(crate) type Versions = BTreeMap<String, String>;

const SLICES: &str = "/apis/discovery.k8s.io/v1";
const OURS: &str = "/apis/rollcall.dev/v1alpha1";

// === impl Api ===

impl Api {
    pub(crate) fn start(kubectl: &Kubectl, folder: &Path) -> Result<Self> {
        let proxy = net::free_loopback()?;
        let args = ["proxy", "--port", &proxy.port().to_string()];
        let mut process = kubectl.program("kubectl-proxy", &args, folder)?.start()?;
        process.wait_until("kubectl proxy to answer", BOUND, || http::get_json(proxy, "/version").map(Some))?;
        Ok(Self { proxy, _process: process })
    }

    /// An object; an error when it does not exist.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        http::get_json(self.proxy, path)
    }

    /// An object, if it exists.
    pub(crate) fn find(&self, path: &str) -> Result<Option<Value>> {
        let answer = http::get(self.proxy, path)?;
        match answer.status {
            200 => serde_json::from_str(&answer.body).map(Some).with_context(|| format!("{path} is not JSON")),
            404 => Ok(None),
            status => bail!("{path} answers {status}: {}", answer.body.trim()),
        }
    }

    /// The items of a list.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>> {
        match self.get(path)?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("{path} is no list"),
        }
    }

    /// All EndpointSlices of a Service of the shop.
    pub(crate) fn slices(&self, service: &str) -> Result<Vec<Value>> {
        self.list(&format!(
            "{SLICES}/namespaces/{NAMESPACE}/endpointslices?labelSelector=kubernetes.io/service-name%3D{service}"
        ))
    }

    /// The EndpointSlices of a Service that Rollcall wrote.
    pub(crate) fn our_slices(&self, service: &str) -> Result<Vec<Value>> {
        let ours = |slice: &Value| {
            slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "controller.rollcall.dev"
        };
        Ok(self.slices(service)?.into_iter().filter(ours).collect())
    }

    /// A registration of the shop.
    pub(crate) fn registration(&self, name: &str) -> Result<Value> {
        self.get(&format!("{OURS}/namespaces/{NAMESPACE}/serviceregistrations/{name}"))
    }

    /// The CatalogEntry of a service of the shop.
    pub(crate) fn entry(&self, name: &str) -> Result<Value> {
        self.get(&format!("{OURS}/namespaces/{NAMESPACE}/catalogentries/{name}"))
    }

    /// Events about a registration of the shop, each as `TYPE REASON NOTE`.
    pub(crate) fn events(&self, registration: &str) -> Result<Vec<String>> {
        let events = self.list(&format!("/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = events.iter().filter(|event| event["regarding"]["name"] == registration);
        Ok(about
            .map(|event| format!("{} {} {}", text(&event["type"]), text(&event["reason"]), text(&event["note"])))
            .collect())
    }

    /// Who holds the Lease of the controllers; empty when it was given back.
    pub(crate) fn leader(&self) -> Result<String> {
        let lease = self.get("/apis/coordination.k8s.io/v1/namespaces/rollcall-system/leases/rollcall-controller")?;
        Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    }

    /// What a restart must not touch: the versions of all EndpointSlices, CatalogEntries and registrations.
    pub(crate) fn versions(&self) -> Result<Versions> {
        let kinds = [(SLICES, "endpointslices"), (OURS, "catalogentries"), (OURS, "serviceregistrations")];
        let mut versions = BTreeMap::new();
        for (group, kind) in kinds {
            for object in self.list(&format!("{group}/{kind}"))? {
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or("?").to_owned();
                versions.insert(format!("{kind} {}/{}", text("namespace"), text("name")), text("resourceVersion"));
            }
        }
        Ok(versions)
    }

    /// A condition of a registration as `STATUS REASON MESSAGE`.
    pub(crate) fn condition(&self, registration: &str, kind: &str) -> Result<String> {
        let object = self.registration(registration)?;
        let conditions = object["status"]["conditions"].as_array().context("no conditions yet")?;
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        let found = found.with_context(|| format!("no condition {kind} in {conditions:?}"))?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok(format!("{} {} {}", text("status"), text("reason"), text("message")))
    }

    /// Waits until a condition of a registration reads as `expected`: all of these parts, in `STATUS REASON MESSAGE`.
    pub(crate) fn await_condition(&self, registration: &str, kind: &str, expected: &[&str]) -> Result<String> {
        let what = format!("{kind} of {registration} to hold {expected:?}");
        clock::wait_until(&what, BOUND, || {
            let said = self.condition(registration, kind)?;
            if expected.iter().all(|part| said.contains(part)) {
                return Ok(Some(said));
            }
            bail!("{said:?}")
        })
    }

    /// What the status of a registration says of an endpoint.
    pub(crate) fn endpoint_status(&self, registration: &str, endpoint: &str) -> Result<Value> {
        let object = self.registration(registration)?;
        let endpoints = object["status"]["endpoints"].as_array().context("no status of endpoints yet")?;
        let found = endpoints.iter().find(|said| said["name"] == endpoint);
        found.cloned().with_context(|| format!("the status of {registration} does not speak of {endpoint}"))
    }
}

/// The differences of two sets of versions, leaving out what may change: objects whose line contains one of `except`.
pub(crate) fn changed(before: &Versions, after: &Versions, except: &[&str]) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differs = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let counted = differs.filter(|key| !except.iter().any(|part| key.contains(part)));
    counted.map(|key| format!("{key}: {:?} -> {:?}", before.get(key), after.get(key))).collect()
}
