//! `kubectl rollcall` as people and scripts use it: through the API server, with the token of the kubeconfig or one that it
//! asks for, against a release as it is installed.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::node::NodeCluster;
use rollcall_e2e::rollcall::{Binaries, Profile};
use rollcall_e2e::{clock, kubeconfig};
use serde_json::{Value, json};

use crate::install::registration;
use crate::release::{Release, SYSTEM};
use crate::runner::{Scenario, scenarios};
use crate::workload::{BOUND, Namespace};

pub(crate) const SCENARIOS: &[Scenario] =
    scenarios![the_command_line_goes_through_the_api_server_and_tells_scripts_by_its_exit_code];

const SHOP: &str = "asked";

/// The command line, as one user.
struct CommandLine<'a> {
    cluster: &'a NodeCluster,
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    args: Vec<String>,
    code: Option<i32>,
    out: String,
    err: String,
}

fn the_command_line_goes_through_the_api_server_and_tells_scripts_by_its_exit_code(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let program = Binaries::build(Profile::Dev)?.cli;
    let release = Release::share(cluster, &[])?;
    let machine = cluster.machine("vm-1", 4)?;
    let shop = Namespace::create(cluster.kubectl(), SHOP)?;
    let address = cluster.outside_address(4);
    shop.apply([registration("payments", &[("vm-1", address)]), heard()])?;
    let admin = CommandLine { cluster, program, kubeconfig: cluster.kubectl().kubeconfig().to_path_buf() };
    clock::wait_until("payments in the table", BOUND, || {
        let said = admin.run(&["get"])?;
        Ok((said.code == Some(0) && said.out.contains("1/1")).then_some(()))
    })
    .map_err(|error| release.explain(error))?;
    questions(&admin, &format!("{address}:8080"))?;
    refusals(&admin)?;
    beats(&admin)?;
    maintenance_is_watched(&admin)?;
    other_users(&admin, &shop)?;
    drop(machine);
    release.keep(&[]);
    Ok(())
}

/// A registration whose one machine has to say that it lives.
fn heard() -> Value {
    json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "metadata": {"name": "heard-vm"},
        "spec": {
            "service": "heard",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"name": "vm-9", "addresses": ["172.30.0.199"]}],
            "heartbeat": {"interval": "1h", "ttl": "24h"},
        },
    })
}

fn questions(admin: &CommandLine<'_>, address: &str) -> Result<()> {
    admin.run(&["get"])?.is(0, &["NAME", "CALLABLE", "payments", "heard"])?;
    admin.run(&["get", "-A", "-o", "wide"])?.is(0, &["NAMESPACE", "REVISION", SHOP, "kubernetes"])?;
    admin.run(&["get", "payments"])?.is(0, &["vm-1", "Passing", "ServiceRegistration/payments-vm"])?;
    admin.run(&["get", "payments", "-o", "wide"])?.is(0, &["REGION", "TAGS", "vm-1"])?;
    admin.run(&["get", "payments", "-o", "yaml"])?.is(0, &["name: vm-1", "service: payments"])?;
    let told = admin.run(&["get", "payments", "-o", "json"])?;
    let answer: Value = serde_json::from_str(&told.out).with_context(|| format!("{told:?}"))?;
    ensure!(answer["endpoints"][0]["name"] == "vm-1" && answer["endpoints"][0]["callable"] == true, "{answer}");
    admin.run(&["explain", "payments"])?.is(0, &["Service asked/payments", "Endpoint vm-1", "check healthz"])?;
    admin.run(&["explain", "payments", "vm-1", "-o", "json"])?.is(0, &["\"checks\"", "\"healthz\""])?;
    let resolved = admin.run(&["resolve", "payments"])?;
    ensure!(resolved.code == Some(0) && resolved.out == format!("{address}\n"), "{resolved:?}");
    admin.run(&["resolve", "payments", "-o", "wide"])?.is(0, &[address, "vm-1", "payments-vm"])?;
    // Which replica is asked is chance, and so is whether somebody reads from it.
    let streams = admin.run(&["streams"])?;
    ensure!([Some(0), Some(1)].contains(&streams.code), "{streams:?}");
    ensure!(format!("{}{}", streams.out, streams.err).contains("rollcall-controller-"), "{streams:?}");
    admin.run(&["bootstrap", "envoy", "--id", "till"])?.is(0, &["rollcall-controller.rollcall-system.svc"])
}

fn refusals(admin: &CommandLine<'_>) -> Result<()> {
    admin.run(&["get", "nothing"])?.is(1, &["no service asked/nothing"])?;
    admin.run(&["explain", "payments", "vm-7"])?.is(1, &["vm-7"])?;
    admin.run(&["resolve", "payments", "--tag", "none"])?.is(1, &["has no endpoint"])?;
    admin.run(&["get", "payments", "--health", "good"])?.is(2, &["unknown health", "Passing"])?;
    admin.run(&["get", "payments", "-o", "xml"])?.is(2, &["xml", "yaml"])?;
    let elsewhere = admin.run(&["get", "--rollcall-namespace", "default"])?;
    elsewhere.is(3, &["no pod of Rollcall's controller", "--rollcall-namespace"])?;
    admin.run(&["get", "--context", "nowhere"])?.is(3, &["nowhere", "KUBECONFIG"])
}

fn beats(admin: &CommandLine<'_>) -> Result<()> {
    admin.run(&["get", "heard"])?.is(0, &["vm-9", "Unknown"])?;
    admin.run(&["beat", "heard-vm", "vm-9"])?.is(0, &["heard-vm/vm-9 beats", "due"])?;
    admin.run(&["beat", "heard-vm", "vm-9", "-o", "json"])?.is(0, &["\"due\""])?;
    admin.run(&["beat", "heard-vm", "vm-7"])?.is(1, &["vm-7"])?;
    admin.run(&["beat", "nothing", "vm-9"])?.is(1, &["nothing"])?;
    // Heard by one replica, told to all.
    clock::wait_until("vm-9 to be callable", BOUND, || {
        Ok(admin.run(&["get", "heard"])?.out.contains("Passing").then_some(()))
    })
}

/// Out of the answers and back in, as whoever watches sees it.
fn maintenance_is_watched(admin: &CommandLine<'_>) -> Result<()> {
    let watch = admin.cluster.program("watch", &admin.program)?;
    let watch = watch.args(["watch", "payments", "--namespace", SHOP]);
    let mut watch = watch.env("KUBECONFIG", admin.kubeconfig.to_string_lossy()).start()?;
    let log = watch.log().to_path_buf();
    let mut shows = |what: &str, word: &str| {
        watch.wait_until(what, BOUND, || Ok(std::fs::read_to_string(&log)?.contains(word).then_some(())))
    };
    shows("the endpoints as they are", "vm-1")?;
    let on = ["maintenance", "on", "payments-vm", "vm-1", "--reason", "new disk"];
    admin.run(&on)?.is(0, &["is in maintenance: callers do not get it any more"])?;
    shows("a line for the change", "Maintenance, not callable")?;
    admin.run(&on)?.is(0, &["is in maintenance already"])?;
    admin.run(&["resolve", "payments"])?.is(1, &["payments"])?;
    admin.run(&["explain", "payments", "vm-1"])?.is(0, &["callers do not get it", "new disk"])?;
    admin.run(&["maintenance", "off", "payments-vm", "vm-1"])?.is(0, &["is out of maintenance"])?;
    shows("a line for the way back", "Passing, callable")?;
    admin.run(&["maintenance", "off", "payments-vm", "vm-1"])?.is(0, &["is not in maintenance"])?;
    admin.run(&["maintenance", "on", "payments-vm", "vm-7"])?.is(1, &["there is vm-1"])?;
    admin.run(&["maintenance", "on", "nothing"])?.is(1, &["nothing"])?;
    watch.stop().map(drop)
}

/// Tokens that are asked for, and users that may less.
fn other_users(admin: &CommandLine<'_>, shop: &Namespace<'_>) -> Result<()> {
    let viewer = format!("{SYSTEM}/rollcall-cli");
    admin.run(&["get", "payments", "--service-account", &viewer])?.is(0, &["vm-1"])?;
    // It may view and no more.
    let denied = admin.run(&["beat", "heard-vm", "vm-9", "--service-account", &viewer])?;
    denied.is(4, &["rollcall-cli", "serviceregistrations.rollcall.dev/beat"])?;
    admin.run(&["get", "--service-account", "asked/nobody"])?.is(1, &["nobody"])?;
    admin.run(&["get", "--service-account", "nobody"])?.is(2, &["NAMESPACE/NAME"])?;
    let token = shop.kubectl(&["create", "token", "default", "--duration=10m"])?;
    let stranger = admin.cluster.folder().join("stranger.kubeconfig");
    kubeconfig::write(&stranger, &kubeconfig::cluster(admin.cluster.kubectl())?, "stranger", token.trim())?;
    let stranger = CommandLine { program: admin.program.clone(), kubeconfig: stranger, ..*admin };
    stranger.run(&["get"])?.is(4, &["pods of rollcall-system", "system:serviceaccount:asked:default"])?;
    stranger.run(&["maintenance", "on", "payments-vm"])?.is(4, &["system:serviceaccount:asked:default"])
}

// === impl CommandLine ===

impl CommandLine<'_> {
    fn run(&self, args: &[&str]) -> Result<Said> {
        let mut command = self.cluster.command(&self.program);
        command.args(args).args(["--namespace", SHOP]).env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null());
        let output = command.output().context("starting kubectl-rollcall")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said {
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        })
    }
}

// === impl Said ===

impl Said {
    /// It ended with this code, and said these words: where scripts read if it went well, else where people do.
    fn is(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code), "{:?} ended otherwise than by {code}: {self:?}", self.args);
        let said = if code == 0 { &self.out } else { &self.err };
        words.iter().try_for_each(|word| {
            ensure!(said.contains(word), "no {word:?}: {self:?}");
            Ok(())
        })?;
        ensure!(!self.out.contains('\u{1b}'), "colours outside of a terminal: {self:?}");
        ensure!(code == 0 || self.out.is_empty(), "a failure on standard output: {self:?}");
        Ok(())
    }
}
