//! `up --clusters N`: several clusters on this machine, each with Rollcall, linked with one another.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use hickory_proto::rr::RecordType;
use rollcall_e2e::control_plane;
use rollcall_e2e::linked::{self, Cluster, IDS, Link};
use rollcall_e2e::process::Process;
use rollcall_e2e::rollcall::{Binaries, CLUSTER_DOMAIN, Profile};
use rollcall_e2e::{Kubectl, clock, net};
use serde_json::json;

use super::api_access::ApiAccess;
use super::example::{self, MACHINES, NAMESPACE, SERVICE};
use super::resolve;
use super::state::{self, State};
use crate::terminal::{self, Paint, paint};

/// How long all clusters may take to know what the first exports.
const SEEN_BOUND: Duration = Duration::from_secs(60);

/// A cluster, and how its API port is asked.
type Up = (Cluster, ApiAccess);

/// Starts them and waits for Ctrl-C.
pub(super) fn supervise(count: u8, supervised: bool) -> Result<()> {
    let start = clock::now();
    State::begin(None)?;
    let step = terminal::begin("building Rollcall (some minutes the first time)");
    let binaries = step.outcome(Binaries::build(Profile::Dev))?;
    match run(count, supervised, &binaries, start) {
        Err(error) if clock::is_interrupted() => {
            terminal::note(&format!("{error:#}"));
            Ok(())
        }
        outcome => outcome,
    }
}

fn run(count: u8, supervised: bool, binaries: &Binaries, start: std::time::Instant) -> Result<()> {
    let planes = control_plane::Binaries::find()?;
    let mut clusters: Vec<Up> = Vec::new();
    for (number, id) in (0..count).zip(IDS) {
        let step = terminal::begin(&format!("starting cluster {id}: a control plane, a controller and a DNS server"));
        clusters.push(step.outcome(start_one(planes.clone(), binaries, number))?);
        clock::check_interrupt()?;
    }
    let Some(((first, _), others)) = clusters.split_first() else { bail!("no cluster was asked for") };
    let step = terminal::begin(&format!("applying the example shop in {}, and exporting it", first.id));
    let mut backends = step.outcome(export(first))?;
    let step = terminal::begin("linking all clusters with one another");
    step.outcome(link(&clusters))?;
    for (other, _) in others {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        other.kubectl.apply(&namespace.to_string())?;
    }
    write(&mut clusters, &backends, binaries)?;
    show(&clusters)?;
    println!("\nUp after {:.0} s.\n", start.elapsed().as_secs_f32());
    commands(&clusters);
    if supervised {
        state::mark_ready()?;
    } else {
        println!("\n{}", paint("Ctrl-C ends everything.", Paint::Bold));
    }
    stay(&mut clusters, &mut backends);
    let mut killed = Vec::new();
    for (cluster, _) in &mut clusters {
        killed.extend(cluster.rollcall.stop()?);
    }
    if !killed.is_empty() {
        bail!("{} did not end when asked to and had to be killed", killed.join(", "));
    }
    Ok(())
}

fn start_one(planes: control_plane::Binaries, binaries: &Binaries, number: u8) -> Result<Up> {
    let folder = folder(number);
    let mut access = None;
    let cluster = Cluster::start(planes, binaries, number, &folder, |kubectl| {
        let made = ApiAccess::make(kubectl, &folder)?;
        let flags = made.flags();
        access = Some(made);
        Ok(flags)
    })?;
    match access {
        Some(access) => Ok((cluster, access)),
        None => bail!("the cluster was started without its API port"),
    }
}

/// The first has its state where that of the only one would be.
pub(super) fn folder(number: u8) -> std::path::PathBuf {
    match number {
        0 => state::folder(),
        _ => state::folder().join(format!("cluster-{}", number + 1)),
    }
}

/// What the user's shell reads for the cluster of this number.
pub(super) fn env_file(number: u8) -> String {
    if number == 0 { "env".to_owned() } else { format!("env-{}", number + 1) }
}

/// The example, with two machines, in a cluster that exports it.
fn export(cluster: &Cluster) -> Result<Vec<Process>> {
    let (mut processes, mut machines) = (Vec::new(), Vec::new());
    let addresses = net::outside_addresses()?;
    for (name, ip) in MACHINES.into_iter().zip(addresses.iter().cycle()) {
        let address = std::net::SocketAddr::new(*ip, net::free_port()?);
        processes.push(example::serve(name, address, &state::folder())?);
        machines.push((name, address));
    }
    example::apply(&cluster.kubectl, &machines, |_| {})?;
    cluster.export(NAMESPACE, SERVICE)?;
    Ok(processes)
}

/// Each takes in what each other one exports.
fn link(clusters: &[Up]) -> Result<()> {
    let link = Link { namespaces: vec!["*".to_owned()], merge: true, when_silent: json!({}) };
    for (importer, _) in clusters {
        for (exporter, _) in clusters.iter().filter(|(other, _)| other.id != importer.id) {
            importer.import_from(exporter, &link, None)?;
        }
    }
    Ok(())
}

/// `env`, `env-2` and so on, `kubeconfig-all`, and what `down` needs.
fn write(clusters: &mut [Up], backends: &[Process], binaries: &Binaries) -> Result<()> {
    let mut processes: Vec<_> = backends.iter().filter_map(Process::identity).collect();
    for (cluster, _) in clusters.iter_mut() {
        processes.extend(cluster.rollcall.processes().filter_map(|process| process.identity()));
        processes.extend(cluster.plane.identities());
    }
    let state = State { processes, ..State::of(std::iter::empty())? };
    for (number, (cluster, access)) in (0..).zip(clusters.iter()) {
        state.write_env(&env_file(number), &cluster.kubectl, &cluster.rollcall, binaries, access)?;
    }
    let all: Vec<_> = clusters.iter().map(|(cluster, _)| (cluster.id, &cluster.kubectl)).collect();
    linked::write_kubeconfig(&state::folder().join("kubeconfig-all"), &all)?;
    state.write_json()
}

/// Who sees what from where.
fn show(clusters: &[Up]) -> Result<()> {
    let mut rows = Vec::new();
    let seen = clock::wait_until("every cluster to see what the first exports", SEEN_BOUND, || {
        rows = clusters.iter().map(|(cluster, _)| row(cluster)).collect::<Result<Vec<_>>>()?;
        let wanted = rows.first().map(|row: &Row| row.endpoints.len()).filter(|count| *count >= MACHINES.len());
        let all = rows.iter().all(|row| Some(row.endpoints.len()) == wanted && !row.clusterset.is_empty());
        Ok(all.then_some(()))
    });
    clock::check_interrupt()?;
    println!("\n{}", paint(&format!("Service {NAMESPACE}/{SERVICE}, as each cluster has it:"), Paint::Bold));
    let cells: Vec<_> = rows.into_iter().map(Row::cells).collect();
    print!("{}", terminal::table(&["CLUSTER", "ENDPOINTS", "FROM", "ITS OWN NAME", "CLUSTERSET.LOCAL"], &cells));
    if seen.is_err() {
        terminal::note(
            "  Not every cluster has everything yet; see kubectl get clusterlinks, and the logs in target/up.",
        );
    }
    Ok(())
}

/// What one cluster sees.
struct Row {
    cluster: &'static str,
    endpoints: BTreeSet<String>,
    from: BTreeSet<String>,
    own_name: String,
    clusterset: String,
}

// === impl Row ===

impl Row {
    fn cells(self) -> Vec<String> {
        let from = self.from.into_iter().collect::<Vec<_>>().join(", ");
        let clusterset = if self.clusterset.is_empty() { "-".to_owned() } else { self.clusterset };
        vec![self.cluster.to_owned(), self.endpoints.len().to_string(), from, self.own_name, clusterset]
    }
}

/// The endpoints of the example across clusters, and the clusters that they are from.
pub(super) fn imported(kubectl: &Kubectl) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut endpoints, mut from) = (BTreeSet::new(), BTreeSet::new());
    let of_service = format!("multicluster.kubernetes.io/service-name={SERVICE}");
    for slice in kubectl.list(&["endpointslices", "--namespace", NAMESPACE, "--selector", &of_service])? {
        let source = &slice["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"];
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let address = endpoint["addresses"][0].as_str().unwrap_or_default();
            endpoints.insert(format!("{address}:{}", slice["ports"][0]["port"]));
            from.extend(source.as_str().map(str::to_owned));
        }
    }
    Ok((endpoints, from))
}

fn row(cluster: &Cluster) -> Result<Row> {
    let (endpoints, from) = imported(&cluster.kubectl)?;
    let dns = cluster.rollcall.dns.first().map(|dns| dns.listen);
    let ask = |name: &str| {
        let answer = dns.map(|dns| resolve::resolve(dns, name, RecordType::A));
        answer.unwrap_or_else(|| Ok(String::new())).unwrap_or_else(|error| format!("{error:#}"))
    };
    let clusterset = ask(&format!("{SERVICE}.{NAMESPACE}.svc.clusterset.local."));
    Ok(Row {
        cluster: cluster.id,
        endpoints,
        from,
        own_name: ask(&format!("{SERVICE}.{NAMESPACE}.svc.{CLUSTER_DOMAIN}.")),
        clusterset: if clusterset.starts_with(|first: char| first.is_ascii_digit()) {
            clusterset
        } else {
            String::new()
        },
    })
}

fn commands(clusters: &[Up]) {
    println!("{}", paint("To try:", Paint::Bold));
    println!("  source {}        # {}", state::shown(&state::folder().join("env")), IDS[0]);
    for (number, (cluster, _)) in (0..).zip(clusters).skip(1) {
        println!("  source {}      # {}", state::shown(&state::folder().join(env_file(number))), cluster.id);
    }
    let all = state::shown(&state::folder().join("kubeconfig-all"));
    for (cluster, _) in clusters {
        println!("  kubectl --kubeconfig {all} --context {} get clusterlinks", cluster.id);
    }
    let last = clusters.last().map(|(cluster, _)| cluster);
    if let Some((last, dns)) = last.and_then(|last| Some((last, last.rollcall.dns.first()?))) {
        println!("  kubectl --kubeconfig {all} --context {} get serviceimports --namespace {NAMESPACE}", last.id);
        let at = format!("kdig @{} -p {}", dns.listen.ip(), dns.listen.port());
        println!("  {at} {SERVICE}.{NAMESPACE}.svc.clusterset.local    # from {}", last.id);
    }
    if let Some(pid) = clusters.first().and_then(|(cluster, _)| cluster.rollcall.controllers.first()?.process.pid()) {
        println!(
            "  kill -STOP {pid}    # {} falls silent, and its links are Suspect; kill -CONT {pid} heals them",
            IDS[0]
        );
    }
    if let Some((cluster, _)) = clusters.first() {
        println!("{}", paint(&format!("(kubectl is {})", Kubectl::words(&cluster.kubectl)), Paint::Faint));
    }
}

/// Until a signal comes. A process that ends is reported once.
fn stay(clusters: &mut [Up], backends: &mut [Process]) {
    let mut reported = BTreeSet::new();
    while !clock::is_interrupted() {
        for (cluster, _) in clusters.iter_mut() {
            let id = cluster.id;
            for process in cluster.plane.processes().chain(cluster.rollcall.processes()) {
                report(&mut reported, id, process);
            }
        }
        backends.iter_mut().for_each(|process| report(&mut reported, "machine", process));
        clock::pause(Duration::from_millis(100));
    }
    println!();
}

pub(super) fn report(reported: &mut BTreeSet<String>, of: &str, process: &mut Process) {
    let name = format!("{} of {of}", process.name());
    if !process.is_running() && reported.insert(name.clone()) {
        terminal::note(&format!("{name} has ended; its log is {}", process.log().display()));
    }
}
