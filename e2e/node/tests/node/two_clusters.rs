//! Two clusters on a flat network, with Rollcalls that are linked: pods of each call services of the other, by the specs of
//! connectivity of the public conformance suite.

use anyhow::{Context, Result, anyhow, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::conformance::CONNECTIVITY;
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::linked::{self, IDS, Link, on_nodes};
use rollcall_e2e::node::{Config, NodeCluster};
use serde_json::{Value, json};

use crate::pool;
use crate::release::Release;
use crate::runner::{Scenario, scenarios};
use crate::traffic::as_cluster_dns;
use crate::workload::{BOUND, Namespace, pod, web};

pub(crate) const SCENARIOS: &[Scenario] = scenarios![pods_call_the_services_of_another_cluster];

const NAMESPACE: &str = "across";
/// The pod that calls, in each cluster.
const CALLER: &str = "caller";
/// Some ten calls in a row.
const CALLS: [&str; 3] = ["call", "--rate=20", "--duration=600ms"];

/// In the order of [`CONNECTIVITY`].
const CASES: [fn(&Pair<'_>) -> Result<()>; CONNECTIVITY.len()] =
    [exported, exported_from_one, one_name_two_numbers, two_names];

/// A cluster of the two, with a pod that answers and one that calls.
struct Side<'a> {
    id: &'static str,
    namespace: Namespace<'a>,
    /// The pod that answers.
    hello: String,
}

struct Pair<'a> {
    east: Side<'a>,
    west: Side<'a>,
}

fn pods_call_the_services_of_another_cluster(east: &mut NodeCluster) -> Result<()> {
    let [east_id, west_id, ..] = IDS;
    let (east, scratch) = (&*east, Scratch::new("two-clusters")?);
    let start = clock::now();
    let (release, west) = std::thread::scope(|scope| {
        let release = scope.spawn(|| Release::install(east, &words(&settings(east, east_id, west_id))));
        let west = start_west(&scratch, west_id, east_id);
        (release.join().map_err(|_| anyhow!("the installation panicked")), west)
    });
    let (release, west) = (release??, west?);
    east.connect(&west)?;
    eprintln!("  two clusters with Rollcall after {:.1} s", start.elapsed().as_secs_f32());
    let outcome = link_and_call((east_id, east), (west_id, &west)).map_err(|error| release.explain(error));
    eprintln!("  all calls made after {:.1} s", start.elapsed().as_secs_f32());
    // What an uninstall keeps, and the scenarios after this one do not expect.
    drop(release);
    let definitions = [
        "clusterlinks.rollcall.dev",
        "serviceexports.multicluster.x-k8s.io",
        "serviceimports.multicluster.x-k8s.io",
        "clusterproperties.about.k8s.io",
    ];
    east.kubectl().delete(&[&["crd"], &definitions[..]].concat())?;
    outcome?;
    west.stop()?;
    scratch.remove()
}

/// The flags of an installation in the cluster `id` that is linked with `peer`.
fn settings(cluster: &NodeCluster, id: &str, peer: &str) -> Vec<String> {
    [as_cluster_dns(cluster, "clusterDNS"), on_nodes::settings(id, &[peer])].concat()
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

fn start_west(scratch: &Scratch, id: &str, peer: &str) -> Result<NodeCluster> {
    let west = NodeCluster::start(Config { images: pool::images()?, ..Config::numbered(1, scratch.path()) })?;
    let flags = settings(&west, id, peer);
    // It goes with its cluster.
    Release::install(&west, &words(&flags))?.keep(&words(&flags));
    Ok(west)
}

fn link_and_call(east: (&'static str, &NodeCluster), west: (&'static str, &NodeCluster)) -> Result<()> {
    let link = Link { namespaces: vec![NAMESPACE.into()], merge: false, when_silent: json!({}) };
    for ((id, here), (peer, there)) in [(east, west), (west, east)] {
        link.make((id, here.kubectl()), &on_nodes::peer(peer, there)?)?;
    }
    let (east, west) = (Side::set_up(east.0, east.1)?, Side::set_up(west.0, west.1)?);
    let pair = Pair { east: east.answering()?, west: west.answering()? };
    pair.services()?;
    for (what, case) in CONNECTIVITY.iter().zip(CASES) {
        case(&pair).with_context(|| (*what).to_owned())?;
        eprintln!("  Optional: {what}");
    }
    Ok(())
}

fn exported(pair: &Pair<'_>) -> Result<()> {
    pair.each(|side| side.is_answered("alone:80", &pair.east))
}

fn exported_from_one(pair: &Pair<'_>) -> Result<()> {
    pair.each(|side| side.is_answered("twice:80", &pair.east))
}

fn one_name_two_numbers(pair: &Pair<'_>) -> Result<()> {
    pair.each(|side| {
        side.condition("numbers", "Conflict", "True")?;
        side.is_answered("numbers:80", &pair.east)
    })
}

fn two_names(pair: &Pair<'_>) -> Result<()> {
    pair.each(|side| {
        side.is_answered("names:80", &pair.east)?;
        side.is_answered("names:4242", &pair.west)
    })
}

/// A Service of the pod that answers.
fn service(name: &str, port: (&str, u16)) -> Value {
    let (port_name, number) = port;
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "selector": {"app": "hello"},
            "ports": [{"name": port_name, "port": number, "targetPort": "http"}],
        },
    })
}

// === impl Side ===

impl<'a> Side<'a> {
    /// Its pods are applied, and need not run.
    fn set_up(id: &'static str, cluster: &'a NodeCluster) -> Result<Self> {
        let namespace = Namespace::create(cluster.kubectl(), NAMESPACE)?;
        namespace.apply(web("hello", 1))?;
        namespace.apply([pod(CALLER, &["serve"])])?;
        Ok(Self { id, namespace, hello: String::new() })
    }

    /// Once they run.
    fn answering(mut self) -> Result<Self> {
        self.namespace.wait("the pod that calls", &["pod", CALLER], |pod| pod["status"]["phase"] == "Running")?;
        self.namespace.ready("hello", 1)?;
        let name = ["get", "pods", "--selector=app=hello", "--output=jsonpath={.items[0].metadata.name}"];
        self.hello = self.namespace.kubectl(&name)?.trim().to_owned();
        Ok(self)
    }

    fn export(&self, name: &str) -> Result<()> {
        linked::export(self.namespace.kubectl, NAMESPACE, name)
    }

    fn condition(&self, export: &str, kind: &str, status: &str) -> Result<()> {
        let what = format!("the export {export} of {} to be {kind}={status}", self.id);
        let is_so = |export: &Value| {
            let mut all = export["status"]["conditions"].as_array().into_iter().flatten();
            all.any(|condition| condition["type"] == kind && condition["status"] == status)
        };
        self.namespace.wait(&what, &["serviceexport", export], is_so).map(drop)
    }

    /// Ten calls in a row from a pod here, by the clusterset's name, are all answered by the pod over there.
    fn is_answered(&self, at: &str, by: &Self) -> Result<()> {
        let (service, port) = at.split_once(':').context("a service and a port")?;
        let url = format!("http://{service}.{NAMESPACE}.svc.clusterset.local:{port}/");
        clock::wait_until(&format!("{at} to be answered in {} by {} alone", self.id, by.id), BOUND, || {
            let said = self
                .namespace
                .kubectl(&[&["exec", CALLER, "--", "/workload"], &CALLS[..], &[url.as_str()]].concat())?;
            let last = said.lines().last().unwrap_or_default();
            let report: Value = serde_json::from_str(last).with_context(|| format!("the pod says: {said}"))?;
            ensure!(report["failed"] == 0 && report["answers"][&by.hello] == report["sent"], "{last}");
            Ok((report["sent"].as_u64() >= Some(10)).then_some(()))
        })
    }
}

// === impl Pair ===

impl<'a> Pair<'a> {
    /// In both clusters at a time: most of it is waiting.
    fn each(&self, body: impl Fn(&Side<'a>) -> Result<()> + Sync) -> Result<()> {
        std::thread::scope(|scope| {
            let west = scope.spawn(|| body(&self.west));
            body(&self.east)?;
            west.join().map_err(|_| anyhow!("the calls in west panicked"))?
        })
    }

    /// What all cases call: east's exports are the older ones.
    fn services(&self) -> Result<()> {
        let (http, east) = (("http", 80), ["alone", "twice", "numbers", "names"]);
        self.east.namespace.apply(east.map(|name| service(name, http)))?;
        let (west, other) = (&self.west, ("other", 4242));
        west.namespace.apply([service("twice", http), service("numbers", ("http", 4242)), service("names", other)])?;
        east.iter().try_for_each(|name| self.east.export(name))?;
        east.iter().try_for_each(|name| self.east.condition(name, "Valid", "True"))?;
        ["numbers", "names"].iter().try_for_each(|name| west.export(name))
    }
}
