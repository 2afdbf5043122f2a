//! A replica with TLS that lets in whom RBAC allows: gRPC clients and Envoys show a token or a certificate, by the bootstrap files
//! that `kubectl rollcall bootstrap` prints or that stand in a ConfigMap, and one that shows none is kept out. Who may list
//! streams is told who reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use rollcall_e2e::agent;
use rollcall_e2e::clock;
use rollcall_e2e::install;
use rollcall_e2e::net;
use rollcall_e2e::process::Program;
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::tools;
use rollcall_e2e::xds_client::{Caller, Family};
use serde_json::{Value, json};

use super::stage::{HERE, NAMESPACE, Stage};
use super::{certificates, handed};
use crate::support::{BOUND, page};

const READER: &str = "reader";
/// The common name of a client certificate, which RBAC knows as a user.
const MACHINE: &str = "machine-9";
/// Its endpoints are there to the end.
pub(crate) const SERVICE: &str = "steady";

/// What a gRPC client calls.
pub(crate) fn target() -> String {
    format!("xds:///{SERVICE}.{NAMESPACE}:8080")
}

/// By what a client says who it is: flags of `kubectl rollcall bootstrap`, each with a file.
type Shown<'a> = &'a [(&'static str, &'a Path)];

/// The replica that lets in whom RBAC allows, where files of a ConfigMap are to be mounted, and the token of who may read.
pub(crate) struct Secured {
    pub(crate) controller: Controller,
    pub(crate) mount: PathBuf,
    pub(crate) token: PathBuf,
}

/// An authority of names (gRFC A47): whoever has a certificate asks by `xdstp://` names under it.
const AUTHORITY: &str = "catalog.example";

/// Lets two languages and Envoy in by their token and by their certificate, and keeps one out that has none.
pub(crate) fn run(stage: &mut Stage) -> Result<Secured> {
    handed::make(stage)?;
    let folder = stage.scratch.path().to_path_buf();
    let (folder, mount) = (folder.as_path(), folder.join("mounted"));
    let (client_ca, own) = certificates::write(folder, MACHINE)?;
    let controller = controller(stage, &client_ca, &mount)?;
    let map = stage.kubectl.get(&["configmap", "rollcall-ca", "--namespace", install::NAMESPACE])?;
    let (ca, token) = (folder.join("stream-ca.crt"), folder.join("reader-token"));
    std::fs::write(&ca, map["data"]["ca.crt"].as_str().context("the authority is published")?)?;
    account(stage, &token)?;

    let [plain, under_authority] = [target(), format!("xds://{AUTHORITY}/{SERVICE}.{NAMESPACE}:8080")]
        .map(|target| [(SERVICE.to_owned(), target)]);
    let printed = |client: &str, node: &str, shown: Shown<'_>| -> Result<Value> {
        let text = print(stage, &controller, (client, node), &ca, shown)?;
        serde_json::from_str(&text).with_context(|| format!("bootstrap {client} prints {text}"))
    };
    let start = |family: Family, node: &str, shown: Shown<'_>| {
        let (mut bootstrap, certified) =
            (printed("grpc", node, shown)?, shown.iter().any(|(flag, _)| *flag == "--cert"));
        if certified {
            bootstrap["authorities"] = json!({ AUTHORITY: {} });
        }
        let targets = if certified { &under_authority } else { &plain };
        Caller::start_by(family, node, &bootstrap, targets, folder)
    };
    let by_token: Shown<'_> = &[("--token", token.as_path())];
    let by_certificate: Shown<'_> = &[("--cert", &own.certificate), ("--key", &own.key)];
    let account = format!("{NAMESPACE}/{READER}");
    let mut stranger = start(Family::Grpcio, "grpcio-stranger", &[])?;
    let clients = [
        (Family::Grpcio, "grpcio-secured", by_token, account.as_str()),
        (Family::GrpcGo, "grpcgo-secured", by_token, account.as_str()),
        (Family::Grpcio, "grpcio-certified", by_certificate, MACHINE),
        (Family::GrpcGo, "grpcgo-certified", by_certificate, MACHINE),
    ];
    let envoys = [("envoy-secured", by_token, account.as_str()), ("envoy-certified", by_certificate, MACHINE)];
    // All at once: each takes seconds to start.
    let callers = clients.map(|(family, node, shown, _)| start(family, node, shown));
    let proxies = envoys.map(|(node, shown, _)| {
        let file = folder.join(format!("{node}.json"));
        std::fs::write(&file, printed("envoy", node, shown)?.to_string())?;
        let path = file.display().to_string();
        let config = ["--config-path", &path, "--disable-hot-restart", "--concurrency", "1"];
        Program::new(node, tools::envoy()?, folder).args(config).start()
    });
    let mut running = Vec::new();
    for ((_, node, ..), caller) in clients.into_iter().zip(callers) {
        let mut caller = caller?;
        await_answers(&mut caller, node)?;
        running.push(caller);
    }
    let proxies = proxies.into_iter().collect::<Result<Vec<_>>>()?;
    let whos = clients.iter().map(|(_, node, _, who)| (*node, *who));
    let whos: Vec<_> = whos.chain(envoys.iter().map(|(node, _, who)| (*node, *who))).collect();
    listed(stage, &controller, (&ca, &token), &whos)?;
    drop((running, proxies));
    kept_out(&mut stranger, &controller)?;
    Ok(Secured { controller, mount, token })
}

/// Who shows nothing has had no answer, and it is counted.
fn kept_out(stranger: &mut Caller, controller: &Controller) -> Result<()> {
    let calls = stranger.calls()?;
    let answered = calls.iter().find(|call| call.backend.is_some());
    ensure!(answered.is_none(), "a client that shows nothing was let in: {answered:?}");
    let refused = page::metric(controller.http, "rollcall_xds_refused_requests_total", "reason=\"unauthenticated\"")?;
    ensure!(refused > 0.0, "nobody was refused");
    Ok(())
}

/// Who may read, by a token that is written there or by a certificate.
fn account(stage: &Stage, token: &Path) -> Result<()> {
    stage.kubectl.run(&["create", "serviceaccount", READER, "--namespace", NAMESPACE])?;
    std::fs::write(token, agent::token(&stage.kubectl, NAMESPACE, READER)?)?;
    let role = "--clusterrole=rollcall-reader";
    for (name, subject) in
        [(READER, format!("--serviceaccount={NAMESPACE}:{READER}")), (MACHINE, format!("--user={MACHINE}"))]
    {
        stage.kubectl.run(&["create", "rolebinding", name, "--namespace", NAMESPACE, role, &subject])?;
    }
    Ok(())
}

/// A replica with its own authority, which takes certificates of another for clients, and hands out bootstrap files.
fn controller(stage: &Stage, client_ca: &Path, mount: &Path) -> Result<Controller> {
    for kind in ["Secret", "ConfigMap"] {
        // Empty, as the chart makes them.
        let name = if kind == "Secret" { "rollcall-authority" } else { "rollcall-ca" };
        let metadata = json!({ "name": name, "namespace": install::NAMESPACE });
        stage.kubectl.apply(&json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata }).to_string())?;
    }
    let grpc = net::free_loopback()?;
    let (listen, server, place) = (grpc.to_string(), format!("localhost:{}", grpc.port()), handed::place());
    let [client_ca, mount] = [client_ca, mount].map(|path| path.display().to_string());
    let secured =
        ["--tls", "authority", "--tls-dns-name", "127.0.0.1", "--tls-dns-name", "localhost", "--readers", "authorized"];
    let told = ["--bootstrap-configmap", &place, "--bootstrap-mount-path", &mount, "--bootstrap-server", &server];
    let more = ["--client-ca", &client_ca, "--grpc-listen", &listen];
    let flags = [&secured[..], &told, &more].concat();
    let (name, folder) = ("controller-secured", stage.scratch.path());
    let mut controller = Controller::start(&stage.binaries, &stage.installation, name, folder, &flags)?;
    controller.grpc = grpc;
    controller.wait_ready()?;
    Ok(controller)
}

/// What `kubectl rollcall bootstrap` prints for a client of that name.
fn print(
    stage: &Stage,
    controller: &Controller,
    (client, node): (&str, &str),
    ca: &Path,
    shown: Shown<'_>,
) -> Result<String> {
    let mut command = Command::new(&stage.binaries.cli);
    command.args(["bootstrap", client, "--id", node, "--region", "here", "--zone", HERE, "--ca"]).arg(ca);
    command.args(["--stream", &format!("localhost:{}", controller.grpc.port())]);
    command.args(shown.iter().flat_map(|(flag, file)| [Path::new(flag), *file]));
    command.args(["--server", &format!("https://{}", controller.api), "--ca-file"]).arg(ca);
    let output = command.env("KUBECONFIG", stage.kubectl.kubeconfig()).output().context("starting kubectl-rollcall")?;
    ensure!(output.status.success(), "bootstrap {client}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Whoever may list streams in all namespaces is told of these by `kubectl rollcall streams`, and of those of the other
/// replicas; the reader is not.
fn listed(stage: &Stage, controller: &Controller, (ca, reader): (&Path, &Path), whos: &[(&str, &str)]) -> Result<()> {
    const ONLOOKER: &str = "onlooker";
    let streams = |token: &str| {
        let mut command = Command::new(&stage.binaries.cli);
        command.args(["streams", "--server", &format!("https://{}", controller.api), "--ca-file"]).arg(ca);
        command.env("ROLLCALL_TOKEN", token).env("KUBECONFIG", stage.kubectl.kubeconfig());
        command.output().context("starting kubectl-rollcall")
    };
    let refused = streams(&std::fs::read_to_string(reader)?)?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && words.contains("rollcall-view"), "a reader was told of others: {words}");
    let subject = json!({ "kind": "ServiceAccount", "name": ONLOOKER, "namespace": NAMESPACE });
    let account = json!({ "name": ONLOOKER, "namespace": NAMESPACE });
    let group = "rbac.authorization.k8s.io";
    let role = json!({ "apiGroup": group, "kind": "ClusterRole", "name": "rollcall-view" });
    for object in [
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": account }),
        json!({ "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": ONLOOKER },
                "roleRef": role, "subjects": [subject] }),
    ] {
        stage.kubectl.apply(&object.to_string())?;
    }
    let token = agent::token(&stage.kubectl, NAMESPACE, ONLOOKER)?;
    clock::wait_until("all of them to be among the streams", BOUND, || {
        let told = streams(&token)?;
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let words = String::from_utf8_lossy(&told.stderr);
        let replica = |line: &str| line.split_whitespace().next().map(str::to_owned);
        let mut here = None;
        for (node, who) in whos {
            let line = text.lines().find(|line| line.contains(node));
            ensure!(line.is_some_and(|line| line.contains(who)), "not told of {node}, as {who}: {text}{words}");
            here = line.map(replica);
        }
        let others = text.lines().skip(1).filter(|line| here != Some(replica(line)));
        let crowd = others.filter(|line| stage.crowd.nodes().iter().any(|node| line.contains(node))).count();
        ensure!(crowd >= stage.crowd.nodes().len(), "not told of the clients of other replicas: {text}{words}");
        Ok(Some(()))
    })
}

pub(crate) fn await_answers(caller: &mut Caller, node: &str) -> Result<()> {
    clock::wait_until(&format!("{node} to be let in"), BOUND, || {
        let calls = caller.calls()?;
        if calls.iter().any(|call| call.backend.is_some()) {
            return Ok(Some(()));
        }
        bail!("{} calls, the last {:?}", calls.len(), calls.last())
    })
}
