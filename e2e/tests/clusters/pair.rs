//! Two clusters, east and west, linked both ways; what west hears of east passes a relay. A third may join them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::linked::Link;
use rollcall_e2e::relay::Relay;
use rollcall_e2e::rollcall::{Binaries, Profile};
use rollcall_e2e::{clock, control_plane};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::BOUND;

/// The namespace of the cases, in both clusters.
pub(crate) const NAMESPACE: &str = "shop";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
const SERVICE_NAME: &str = "multicluster.kubernetes.io/service-name";
const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";

/// Fields are dropped from the top down.
pub(crate) struct Pair {
    pub(crate) relay: Relay,
    pub(crate) east: Cluster,
    pub(crate) west: Cluster,
    /// Once it has joined them.
    pub(crate) north: Option<Cluster>,
    pub(crate) binaries: Binaries,
    planes: control_plane::Binaries,
    scratch: Scratch,
}

// === impl Pair ===

impl Pair {
    /// Opens a pair, runs `body` with it and closes it.
    pub(crate) fn run(name: &str, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let start = clock::now();
        let mut pair = Self::open(name)?;
        println!("\n  {name}: open after {:.1} s", start.elapsed().as_secs_f32());
        if let Err(error) = body(&mut pair) {
            bail!("{error:#}\n{}", pair.logs());
        }
        let Self { relay, mut east, mut west, mut north, scratch, .. } = pair;
        drop(relay);
        let mut all: Vec<_> = [&mut east, &mut west].into_iter().chain(&mut north).collect();
        all.iter_mut().flat_map(|cluster| cluster.rollcall.processes()).for_each(|process| process.terminate());
        let killed: Vec<_> = all.iter_mut().map(|cluster| cluster.rollcall.stop()).collect::<Result<_>>()?;
        let killed = killed.concat();
        ensure!(killed.is_empty(), "did not end on SIGTERM and had to be killed: {killed:?}");
        drop((east, west, north));
        println!("  {name}: closed after {:.1} s", start.elapsed().as_secs_f32());
        scratch.remove()
    }

    fn open(name: &str) -> Result<Self> {
        let (binaries, planes) = (Binaries::build(Profile::Dev)?, control_plane::Binaries::find()?);
        let scratch = Scratch::new(name)?;
        let start = |number: u8, id: &str| Cluster::start(&planes, &binaries, number, &scratch.path().join(id));
        let (east, west) = std::thread::scope(|scope| {
            let east = scope.spawn(|| start(0, "east"));
            (east.join(), start(1, "west"))
        });
        let (east, west) = (east.map_err(|_| anyhow::anyhow!("the start of east panicked"))??, west?);
        let relay = Relay::start(east.rollcall.controllers[0].grpc)?;
        let pair = Self { relay, east, west, north: None, binaries, planes, scratch };
        pair.link()?;
        pair.west.await_link("east", "Connected")?;
        pair.east.await_link("west", "Connected")?;
        Ok(pair)
    }

    /// Links both.
    fn link(&self) -> Result<()> {
        let silent = json!({ "suspectAfter": "10s", "expireAfter": "15m" });
        let link = Link { namespaces: vec!["*".to_owned()], merge: false, when_silent: silent };
        self.west.import_from(&self.east, &link, Some(&self.relay))?;
        self.east.import_from(&self.west, &link, None)
    }

    /// Has the west take so long a silence of east for too long.
    pub(crate) fn expire_after(&self, time: &str) -> Result<()> {
        let patch = json!({ "spec": { "whenSilent": { "expireAfter": time } } }).to_string();
        self.west.kubectl.run(&["patch", "clusterlink", "east", "--type", "merge", "--patch", &patch]).map(drop)
    }

    pub(crate) fn both(&self) -> [&Cluster; 2] {
        [&self.east, &self.west]
    }

    /// Both, and the third one once it has joined them.
    pub(crate) fn all(&self) -> Vec<&Cluster> {
        self.both().into_iter().chain(&self.north).collect()
    }

    /// The same, to change them.
    pub(crate) fn all_mut(&mut self) -> Vec<&mut Cluster> {
        [&mut self.east, &mut self.west].into_iter().chain(&mut self.north).collect()
    }

    /// The start of a third one, which may be made beside something else.
    pub(crate) fn third(&self) -> impl FnOnce() -> Result<Cluster> + use<> {
        let (planes, binaries) = (self.planes.clone(), self.binaries.clone());
        let folder = self.scratch.path().join("north");
        move || Cluster::start(&planes, &binaries, 2, &folder)
    }

    /// Where files of a case may be.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.scratch.path()
    }

    fn logs(&self) -> String {
        let mut text = String::new();
        for cluster in self.all() {
            for controller in &cluster.rollcall.controllers {
                let log = std::fs::read_to_string(controller.process.log()).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let from = lines.len().saturating_sub(30);
                text.push_str(&format!("--- controller of {}\n{}\n", cluster.id, lines[from..].join("\n")));
            }
            let kinds = "clusterlinks,serviceexports,serviceimports,services";
            let all = cluster.kubectl.run(&["get", kinds, "--all-namespaces", "--output", "wide"]);
            text.push_str(&format!(
                "--- objects of {}\n{}\n",
                cluster.id,
                all.unwrap_or_else(|error| format!("{error:#}"))
            ));
        }
        text
    }
}

/// A Service without a selector.
pub(crate) fn service(cluster: &Cluster, name: &str, spec: Value) -> Result<()> {
    let metadata = json!({ "name": name, "namespace": NAMESPACE });
    cluster
        .kubectl
        .apply(&json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }).to_string())?;
    Ok(())
}

/// Its endpoints, as somebody else's EndpointSlice: host names, which may be empty, and addresses.
pub(crate) fn endpoints(cluster: &Cluster, service: &str, port: (&str, u16), endpoints: &[(&str, &str)]) -> Result<()> {
    let name = format!("{service}-mine");
    let labels = json!({ "kubernetes.io/service-name": service });
    let endpoints = endpoints.iter().map(|(host, ip)| match host.is_empty() {
        true => json!({ "addresses": [ip], "conditions": { "ready": true } }),
        false => json!({ "addresses": [ip], "hostname": host, "conditions": { "ready": true } }),
    });
    let endpoints: Vec<_> = endpoints.collect();
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": labels },
        "ports": [{ "name": port.0, "port": port.1, "protocol": "TCP" }], "endpoints": endpoints,
    });
    cluster.kubectl.apply(&object.to_string()).map(drop)
}

/// The import of a name, once `wanted` is true of it.
pub(crate) fn import(cluster: &Cluster, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    clock::wait_until(&format!("the import {name} in {}", cluster.id), BOUND, || {
        let import = cluster.get("serviceimports", name)?;
        ensure!(wanted(&import), "{} {}", import["spec"], import["status"]);
        Ok(Some(import))
    })
}

/// Waits until there is no import of a name.
pub(crate) fn no_import(cluster: &Cluster, name: &str) -> Result<()> {
    clock::wait_until(&format!("no import {name} in {}", cluster.id), BOUND, || {
        let import = cluster.find("serviceimports", NAMESPACE, name)?;
        ensure!(import.is_none(), "there is {import:?}");
        for kinds in ["/api/v1/namespaces/shop/services", SLICES] {
            let found = cluster.api.list(&of_service(kinds, name))?;
            ensure!(found.is_empty(), "there are {found:?}");
        }
        Ok(Some(()))
    })
}

/// A condition of an export, once it is this: `status` and `reason`.
pub(crate) fn condition(cluster: &Cluster, export: &str, kind: &str, expected: (&str, &str)) -> Result<Value> {
    condition_with(cluster, export, kind, (expected.0, expected.1, ""))
}

/// Waits until it says these words, besides.
pub(crate) fn condition_with(
    cluster: &Cluster,
    export: &str,
    kind: &str,
    expected: (&str, &str, &str),
) -> Result<Value> {
    clock::wait_until(&format!("{kind} of the export {export} in {}", cluster.id), BOUND, || {
        let object = cluster.get("serviceexports", export)?;
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["type"] == kind).context("it is not there")?;
        let says = found["message"].as_str().unwrap_or_default().contains(expected.2);
        ensure!(found["status"] == expected.0 && found["reason"] == expected.1 && says, "{found}");
        Ok(Some(found))
    })
}

/// The slices of a service across clusters: source cluster, name and version of each, and all addresses by cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slices {
    pub(crate) addresses: BTreeMap<String, BTreeSet<String>>,
    pub(crate) versions: BTreeMap<String, String>,
}

pub(crate) fn slices(cluster: &Cluster, service: &str) -> Result<Slices> {
    Slices::of(&cluster.api.list(&of_service(SLICES, service))?)
}

/// All of a kind that stands for a service across clusters, by the path of the kind.
fn of_service(kinds: &str, service: &str) -> String {
    format!("{kinds}?labelSelector={SERVICE_NAME}%3D{service}")
}

impl Slices {
    /// What stands in these, if all of them are ours and none says an endpoint twice.
    pub(crate) fn of(slices: &[Value]) -> Result<Self> {
        let mut seen = Self::default();
        for slice in slices {
            let meta = &slice["metadata"];
            let source = meta["labels"][SOURCE_CLUSTER].as_str().unwrap_or("none").to_owned();
            let manager = &meta["labels"]["endpointslice.kubernetes.io/managed-by"];
            ensure!(manager == "controller.rollcall.dev", "the slice is managed by {manager}");
            let version = meta["resourceVersion"].as_str().unwrap_or_default().to_owned();
            seen.versions.insert(meta["name"].as_str().unwrap_or_default().to_owned(), version);
            let all = slice["endpoints"].as_array().cloned().unwrap_or_default();
            let ips = all.iter().filter(|one| one["conditions"]["ready"] == true);
            let of_source = seen.addresses.entry(source).or_default();
            for ip in ips.filter_map(|one| one["addresses"][0].as_str().map(str::to_owned)) {
                ensure!(of_source.insert(ip.clone()), "{ip} is there twice");
            }
        }
        Ok(seen)
    }
}

/// Waits until its slices have these addresses, by cluster.
pub(crate) fn await_slices(cluster: &Cluster, service: &str, expected: &[(&str, &[&str])]) -> Result<Slices> {
    let expected = by_cluster(expected);
    clock::wait_until(&format!("the slices of {service} in {}", cluster.id), BOUND, || {
        let seen = slices(cluster, service)?;
        ensure!(seen.addresses == expected, "{:?} and not {expected:?}", seen.addresses);
        Ok(Some(seen))
    })
}

/// Addresses by cluster, as [`Slices`] have them.
pub(crate) fn by_cluster(all: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let owned = |ips: &[&str]| ips.iter().map(|ip| (*ip).to_owned()).collect();
    all.iter().map(|(cluster, ips)| ((*cluster).to_owned(), owned(ips))).collect()
}

/// What a cluster's DNS server says.
pub(crate) fn dns(cluster: &Cluster) -> Result<Kdig> {
    Kdig::new(cluster.rollcall.dns[0].listen)
}

/// Waits until a name has these records, sorted.
pub(crate) fn resolves(cluster: &Cluster, name: &str, kind: &str, expected: &[String]) -> Result<()> {
    let kdig = dns(cluster)?;
    clock::wait_until(&format!("{name} {kind} in {}", cluster.id), BOUND, || {
        let seen = kdig.data(name, kind)?;
        ensure!(seen == expected, "{seen:?} and not {expected:?}");
        Ok(Some(()))
    })
}

/// Waits until a name does not exist.
pub(crate) fn does_not_resolve(cluster: &Cluster, name: &str) -> Result<()> {
    let kdig = dns(cluster)?;
    clock::wait_until(&format!("no {name} in {}", cluster.id), BOUND, || {
        let answer = kdig.ask(name, "A")?;
        ensure!(answer.rcode == "NXDOMAIN", "{answer:?}");
        Ok(Some(()))
    })
}

/// The name of a service across clusters.
pub(crate) fn name(service: &str) -> String {
    format!("{service}.{NAMESPACE}.svc.clusterset.local")
}
