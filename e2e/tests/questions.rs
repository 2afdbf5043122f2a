//! Questions to the API port: by curl, as somebody whom RBAC lets or does not let, and by `kubectl rollcall`.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::{clock, install, tools};
use serde_json::{Value, json};
use support::shop::With;
use support::{BOUND, Shop, step};

#[test]
fn questions_are_answered_to_those_who_may_ask() -> Result<()> {
    Shop::run("questions", With::NoEnvoy, |shop| {
        step("everything is there", || shop.await_written("203.0.113.10"))?;
        let asker = step("a controller with a certificate, and somebody who may read shop", || Asker::new(shop))?;
        step("curl is answered to who may, and refused with words to everybody else", || curl(shop, &asker))?;
        step("a long poll is answered when its answer changes", || long_poll(shop, &asker))?;
        step("h2spec finds nothing that HTTP/2 forbids", || http2(shop, &asker))?;
        step("the command line tells the same, with exit codes", || command_line(shop, &asker))
    })
}

/// Somebody who asks.
struct Asker {
    controller: Controller,
    ca: PathBuf,
    token: String,
}

/// What h2spec has against us: it asks for a table of headers of 4,096 bytes, though our SETTINGS_HEADER_TABLE_SIZE is 0 and it has
/// acknowledged that, which is an error (RFC 7541 §6.3). With a table these pass.
const IN_SPITE: [&str; 2] = ["14: Sends a dynamic table size update", "15: Sends multiple dynamic table size update"];
const READER: &str = "reader";
const PAYMENTS: &str = "/v1/namespaces/shop/services/payments";

// === impl Asker ===

impl Asker {
    fn new(shop: &Shop) -> Result<Self> {
        // Empty, as the chart makes them.
        for kind in ["Secret", "ConfigMap"] {
            let name = if kind == "Secret" { "rollcall-authority" } else { "rollcall-ca" };
            let metadata = json!({ "name": name, "namespace": install::NAMESPACE });
            shop.kubectl.apply(&json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata }).to_string())?;
        }
        let flags = ["--tls", "authority", "--tls-dns-name", "localhost", "--tls-dns-name", "127.0.0.1"];
        let mut controller =
            Controller::start(&shop.binaries, &shop.installation, "controller-tls", shop.folder(), &flags)?;
        controller.wait_ready()?;
        let map = shop.kubectl.get(&["configmap", "rollcall-ca", "--namespace", install::NAMESPACE])?;
        let ca = shop.folder().join("api-ca.crt");
        std::fs::write(&ca, map["data"]["ca.crt"].as_str().context("the authority is published")?)?;
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": READER, "namespace": "shop" } });
        shop.kubectl.apply(&account.to_string())?;
        shop.kubectl.apply(
            &json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": { "name": READER, "namespace": "shop" },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "rollcall-view" },
                "subjects": [{ "kind": "ServiceAccount", "name": READER, "namespace": "shop" }],
            })
            .to_string(),
        )?;
        let token = shop.kubectl.run(&["create", "token", READER, "--namespace", "shop", "--audience", "rollcall"])?;
        Ok(Self { controller, ca, token: token.trim().to_owned() })
    }

    /// The status, and the body.
    fn curl(&self, token: &str, path: &str) -> Result<(String, String)> {
        let curl = tools::on_path("curl").context("this test needs curl on the PATH: install it")?;
        let output = Command::new(curl)
            .args(["--silent", "--show-error", "--max-time", "300", "--write-out", "\n%{http_code}", "--cacert"])
            .arg(&self.ca)
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .arg(format!("https://{}{path}", self.controller.api))
            .output()?;
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').context("curl wrote no status")?;
        Ok((status.to_owned(), body.to_owned()))
    }

    fn answer(&self, path: &str) -> Result<Value> {
        let (status, body) = self.curl(&self.token, path)?;
        ensure!(status == "200", "{path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    fn rollcall(&self, shop: &Shop, args: &[&str]) -> Result<Output> {
        let server = format!("https://{}", self.controller.api);
        let output = Command::new(&shop.binaries.cli)
            .args(args)
            .args(["--server", &server, "--namespace", "shop", "--ca-file"])
            .arg(&self.ca)
            .env("ROLLCALL_TOKEN", &self.token)
            .env("KUBECONFIG", shop.kubectl.kubeconfig())
            .output()
            .context("starting kubectl-rollcall")?;
        Ok(output)
    }
}

fn curl(shop: &Shop, asker: &Asker) -> Result<()> {
    let endpoints = asker.answer(&format!("{PAYMENTS}/endpoints?origin=ServiceRegistration"))?;
    let names: Vec<_> = endpoints["endpoints"].as_array().into_iter().flatten().map(|one| &one["name"]).collect();
    ensure!(names == ["vm-1", "vm-2"], "{endpoints}");
    let resolved = asker.answer(&format!("{PAYMENTS}/resolve"))?;
    ensure!(resolved["address"].is_string(), "{resolved}");
    let (status, body) = asker.curl(&asker.token, "/v1/namespaces/default/services/kubernetes/endpoints")?;
    ensure!(status == "403" && body.contains("may not get catalogentries.rollcall.dev"), "{status}: {body}");
    let (status, body) = asker.curl("nonsense", &format!("{PAYMENTS}/endpoints"))?;
    ensure!(status == "401" && body.contains("does not know this token"), "{status}: {body}");
    let stranger = shop.kubectl.run(&["create", "token", "default", "--namespace", "default"])?;
    let (status, body) = asker.curl(stranger.trim(), &format!("{PAYMENTS}/endpoints"))?;
    ensure!(status == "403" && body.contains("ServiceAccount default/default"), "{status}: {body}");
    Ok(())
}

/// Each server of HTTP/2 here is the same one. It asks for a document that everybody may read.
fn http2(shop: &Shop, asker: &Asker) -> Result<()> {
    let (host, port) = (asker.controller.api.ip().to_string(), asker.controller.api.port().to_string());
    let report = shop.folder().join("h2spec.txt");
    let output = Command::new(tools::h2spec()?)
        .args(["--tls", "--insecure", "--host", &host, "--port", &port, "--path", "/openapi.json", "--timeout", "3"])
        .output()
        .context("starting h2spec")?;
    std::fs::write(&report, &output.stdout)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let (tried, failures) =
        said.split_once("Failures:").context("h2spec ended early, or has nothing against us any more")?;
    ensure!(tried.matches('✔').count() > 100, "h2spec tried little: {said}");
    let unjust = |failure: &str| IN_SPITE.iter().any(|title| failure.starts_with(title)) || was_answered(failure);
    let failed: Vec<_> = failures.split("× ").skip(1).filter(|failure| !unjust(failure)).collect();
    ensure!(failed.is_empty(), "{failed:?} (all of it: {})", report.display());
    Ok(())
}

/// Whether h2spec waits for the fault of a body to be told whose request was answered whole before: 405 does not wait for the body, and
/// what follows an answer is passed over (RFC 9113 §8.1), so that it depends on who is faster.
fn was_answered(failure: &str) -> bool {
    failure.contains("Actual: DATA Frame (") && failure.contains("flags:0x01, stream_id:1)")
}

fn long_poll(shop: &Shop, asker: &Asker) -> Result<()> {
    let path = format!("{PAYMENTS}/endpoints?origin=ServiceRegistration");
    let before = asker.answer(&path)?;
    let waiting = format!("{path}&wait=4m&version={}", before["version"].as_str().unwrap_or_default());
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| asker.answer(&waiting));
        let done = asker.rollcall(shop, &["maintenance", "on", "payments-vm", "vm-2", "--reason", "a test"])?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let after = poll.join().map_err(|_| anyhow::anyhow!("the poll panicked"))??;
        let names: Vec<_> = after["endpoints"].as_array().into_iter().flatten().map(|one| &one["name"]).collect();
        ensure!(names == ["vm-1"], "{after}");
        let done = asker.rollcall(shop, &["maintenance", "off", "payments-vm", "vm-2"])?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        clock::wait_until("vm-2 to be back", BOUND, || {
            Ok((asker.answer(&path)?["version"] == before["version"]).then_some(()))
        })
    })
}

fn command_line(shop: &Shop, asker: &Asker) -> Result<()> {
    let told = |args: &[&str], code: i32, words: &[&str]| {
        let output = asker.rollcall(shop, args)?;
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.code() == Some(code), "{args:?}: {:?}: {said}{complained}", output.status);
        for word in words {
            ensure!(said.contains(word) || complained.contains(word), "{args:?}: no {word} in {said}{complained}");
        }
        anyhow::Ok(())
    };
    told(&["get"], 0, &["NAME", "payments", "ClusterIP"])?;
    told(&["get", "payments"], 0, &["vm-1", "Passing", "ServiceRegistration/payments-vm"])?;
    told(&["get", "payments", "-o", "json"], 0, &["\"version\""])?;
    told(&["get", "payments", "-o", "yaml", "--zone", "nowhere"], 0, &["endpoints: []"])?;
    told(&["explain", "payments", "vm-2"], 0, &["Endpoint vm-2", "Maintenance -> Passing", "check"])?;
    told(&["resolve", "payments"], 0, &[":"])?;
    told(&["resolve", "payments", "--tag", "none"], 1, &["has no endpoint"])?;
    told(&["get", "nothing"], 1, &["no service shop/nothing"])?;
    told(&["get", "payments", "--health", "good"], 2, &["unknown health"])?;
    told(&["get", "-A"], 4, &["may not list catalogentries.rollcall.dev in all namespaces"])?;
    told(&["completion", "bash"], 0, &["kubectl-rollcall"])
}
