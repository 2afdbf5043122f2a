//! `up --clusters N --node`: clusters with a real node each, on a flat network, with Rollcalls that are linked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hickory_proto::rr::RecordType;
use rollcall_e2e::linked::{self, IDS, Link, on_nodes};
use rollcall_e2e::node::{Config, NodeCluster};
use rollcall_e2e::process::Process;
use rollcall_e2e::relay::Relay;
use rollcall_e2e::{Kubectl, clock, tools};
use serde_json::json;

use super::show as tables;
use crate::terminal::{self, Paint, paint};
use crate::up::example::{MACHINES, NAMESPACE, SERVICE};
use crate::up::linked::{env_file, folder, imported};
use crate::up::resolve;
use crate::up::state::{self, State};

/// How long all clusters may take to know what the first exports.
const SEEN_BOUND: Duration = Duration::from_secs(60);

/// A cluster of the set. Fields are dropped from the top down.
struct Up {
    id: &'static str,
    /// Its API server at an address of this machine.
    relay: Relay,
    /// kubectl that goes through it.
    kubectl: Kubectl,
    machines: Vec<Process>,
    cluster: NodeCluster,
}

/// Starts them and waits for Ctrl-C.
pub(super) fn supervise(count: u8, is_detached: bool, images: Vec<PathBuf>) -> Result<()> {
    let start = clock::now();
    let images = super::prepare(images)?;
    let mut all = Vec::new();
    for (number, id) in (0..count).zip(IDS) {
        let step = terminal::begin(&format!("starting cluster {id}: a control plane and a node"));
        all.push(step.outcome(start_one(number, id, images.clone()))?);
        clock::check_interrupt()?;
    }
    let step = terminal::begin("laying cables between them");
    step.outcome(pairs(&all).try_for_each(|(one, other)| one.cluster.connect(&other.cluster)))?;
    let step = terminal::begin("helm install in each: Rollcall as the cluster's DNS, in a restricted namespace");
    step.outcome(install(&all))?;
    clock::check_interrupt()?;
    let step = terminal::begin("linking all clusters with one another");
    step.outcome(link(&all))?;
    let step = terminal::begin(&format!("applying the example shop in {}, exporting it, and a caller in each", IDS[0]));
    step.outcome(shop(&mut all))?;
    let step = terminal::begin("waiting for a pod in each that finds and calls the service across clusters");
    step.outcome(all.iter().try_for_each(|up| tables::wait_for_calls(&up.cluster)))?;
    write(&mut all)?;
    show(&all)?;
    println!("\nUp after {:.0} s.\n", start.elapsed().as_secs_f32());
    commands(&all);
    if is_detached {
        state::mark_ready()?;
    } else {
        println!("\n{}", paint("Ctrl-C ends everything.", Paint::Bold));
    }
    stay(&mut all);
    let step = terminal::begin("ending everything");
    step.outcome(all.into_iter().try_for_each(Up::end))
}

fn start_one(number: u8, id: &'static str, images: Vec<PathBuf>) -> Result<Up> {
    let folder = folder(number);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let cluster = NodeCluster::start(Config { images, ..Config::numbered(number, folder) })?;
    let (relay, kubectl) = cluster.outside("kubeconfig-outside")?;
    Ok(Up { id, relay, kubectl, machines: Vec::new(), cluster })
}

/// Each two of them.
fn pairs(all: &[Up]) -> impl Iterator<Item = (&Up, &Up)> {
    all.iter().enumerate().flat_map(move |(at, one)| all[at + 1..].iter().map(move |other| (one, other)))
}

/// In all at a time: most of it is waiting.
fn install(all: &[Up]) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .iter()
            .map(|up| {
                let peers: Vec<&str> = all.iter().map(|other| other.id).filter(|id| *id != up.id).collect();
                scope.spawn(move || super::helm_install(&up.cluster, &on_nodes::settings(up.id, &peers)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("an installation panicked"),
        })
    })
}

/// Each takes in what each other one exports. Names in cluster.local stay those of local Services.
fn link(all: &[Up]) -> Result<()> {
    let link = Link { namespaces: vec!["*".to_owned()], merge: false, when_silent: json!({}) };
    for exporter in all {
        let peer = on_nodes::peer(exporter.id, &exporter.cluster)?;
        for importer in all.iter().filter(|other| other.id != exporter.id) {
            link.make((importer.id, importer.cluster.kubectl()), &peer)?;
        }
    }
    Ok(())
}

/// The example in the first, and in each a pod that calls it by its name across clusters.
fn shop(all: &mut [Up]) -> Result<()> {
    let Some((first, others)) = all.split_first_mut() else { bail!("no cluster was asked for") };
    first.machines = super::shop(&first.cluster)?;
    linked::export(first.cluster.kubectl(), NAMESPACE, SERVICE)?;
    for other in others {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        other.cluster.kubectl().apply(&namespace.to_string())?;
    }
    // Whoever calls before the name is known in its cluster would count what is no fault.
    clock::wait_until("the name across clusters to be known in each", SEEN_BOUND, || {
        for up in all.iter() {
            let said = name_of(up)?;
            ensure!(said.starts_with(|first: char| first.is_ascii_digit()), "in {}: {said}", up.id);
        }
        Ok(Some(()))
    })?;
    let url = format!("http://{SERVICE}.{NAMESPACE}.svc.clusterset.local/");
    all.iter().try_for_each(|up| super::call(&up.cluster, &url))
}

/// What the cluster's DNS says of the example's name across clusters.
fn name_of(up: &Up) -> Result<String> {
    let server = SocketAddr::from((up.cluster.addresses().dns(), 53));
    let name = format!("{SERVICE}.{NAMESPACE}.svc.clusterset.local.");
    up.cluster.inside(|| resolve::resolve(server, &name, RecordType::A))
}

/// `env`, `env-2` and so on, `kubeconfig-all`, and what `down` needs.
fn write(all: &mut [Up]) -> Result<()> {
    let processes = all.iter_mut().flat_map(|up| up.cluster.processes().chain(&mut up.machines));
    let state = State::of(processes)?;
    let helm = tools::helm()?.display().to_string();
    for (number, up) in (0..).zip(all.iter()) {
        let inside = up.cluster.words().join(" ");
        let programs = [("kubectl", up.kubectl.words()), ("helm", helm.clone()), ("inside", inside)];
        state.write_programs(&env_file(number), &up.kubectl, &programs)?;
    }
    let contexts: Vec<_> = all.iter().map(|up| (up.id, &up.kubectl)).collect();
    linked::write_kubeconfig(&state::folder().join("kubeconfig-all"), &contexts)?;
    state.write_json()
}

/// Who sees what from where, and what pods get.
fn show(all: &[Up]) -> Result<()> {
    let mut rows = Vec::new();
    let wanted = 2 + MACHINES.len();
    let seen = clock::wait_until("every cluster to see what the first exports", SEEN_BOUND, || {
        rows = all.iter().map(row).collect::<Result<Vec<_>>>()?;
        Ok(rows.iter().all(|(endpoints, _)| *endpoints == wanted).then_some(()))
    });
    clock::check_interrupt()?;
    println!("\n{}", paint(&format!("Service {NAMESPACE}/{SERVICE}, as each cluster has it:"), Paint::Bold));
    let cells: Vec<_> = rows.into_iter().map(|(_, cells)| cells).collect();
    let titles = ["CLUSTER", "ENDPOINTS", "FROM", "CLUSTERSET.LOCAL", "A POD'S CALLS", "FAILED", "ANSWERED BY"];
    print!("{}", terminal::table(&titles, &cells));
    if seen.is_err() {
        terminal::note("  Not every cluster has everything yet; see kubectl get clusterlinks.");
    }
    Ok(())
}

fn row(up: &Up) -> Result<(usize, Vec<String>)> {
    let (endpoints, from) = imported(up.cluster.kubectl())?;
    let calls = tables::calls(&up.cluster)?;
    let answers = calls["answers"].as_object().map(|answers| answers.keys().cloned().collect::<Vec<_>>());
    let cells = vec![
        up.id.to_owned(),
        endpoints.len().to_string(),
        from.into_iter().collect::<Vec<_>>().join(", "),
        name_of(up).unwrap_or_else(|error| format!("{error:#}")),
        calls["sent"].to_string(),
        calls["failed"].to_string(),
        answers.unwrap_or_default().join(", "),
    ];
    Ok((endpoints.len(), cells))
}

fn commands(all: &[Up]) {
    println!("{}", paint("To try:", Paint::Bold));
    for (number, up) in (0..).zip(all) {
        let env = state::shown(&state::folder().join(env_file(number)));
        println!("  source {env:<20} # {}: kubectl, helm, and `inside`, by which a program is in its network", up.id);
    }
    let config = state::shown(&state::folder().join("kubeconfig-all"));
    for up in all {
        println!("  kubectl --kubeconfig {config} --context {} get clusterlinks", up.id);
    }
    let Some(last) = all.last() else { return };
    let caller = format!("deployment/{} --namespace {NAMESPACE}", tables::CALLER);
    println!("  kubectl --kubeconfig {config} --context {} logs {caller} --follow", last.id);
    let dns = last.cluster.addresses().dns();
    println!("  inside kdig @{dns} {SERVICE}.{NAMESPACE}.svc.clusterset.local    # in {}", last.id);
}

/// Until a signal comes. A process that ends is reported once.
fn stay(all: &mut [Up]) {
    let mut reported = BTreeSet::new();
    while !clock::is_interrupted() {
        for up in all.iter_mut() {
            for process in up.cluster.processes().chain(&mut up.machines) {
                crate::up::linked::report(&mut reported, up.id, process);
            }
        }
        clock::pause(Duration::from_millis(100));
    }
    println!();
}

// === impl Up ===

impl Up {
    fn end(self) -> Result<()> {
        let Self { relay, machines, cluster, .. } = self;
        drop((relay, machines));
        cluster.stop()
    }
}
