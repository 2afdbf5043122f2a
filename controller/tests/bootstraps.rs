//! A whole controller that hands out bootstrap files: ConfigMaps in namespaces follow what the stream is and whom it trusts.

use std::time::Duration;

use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::{FakeApi, Refusal, Verb};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const NAME: &str = "rollcall-bootstrap";

/// Runs a controller with these flags on an API server.
async fn run(fake: &FakeApi, flags: &[&str], stop: CancellationToken) {
    let always = ["rollcall-controller", "--resolv-conf=/dev/null", "--lame-duck-seconds=0"];
    let ports = ["--grpc-listen=127.0.0.7:0", "--api-listen=127.0.0.7:0"];
    let args = Args::try_parse_from(always.into_iter().chain(ports).chain(flags.iter().copied())).expect("good flags");
    let pages = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    tokio::spawn(start::serve(args, Telemetry::default(), pages, Readiness::default(), fake.client(), stop));
}

fn put(fake: &FakeApi, kind: &str, namespace: &str, name: &str) {
    let metadata = json!({ "name": name, "namespace": namespace });
    fake.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
}

/// Waits until the ConfigMap of that namespace is as wanted.
async fn until(fake: &FakeApi, namespace: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1200 {
        if let Some(map) = fake.get("v1", "configmaps", namespace, NAME).filter(|map| wanted(map)) {
            return map;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is {:#?}", fake.get("v1", "configmaps", namespace, NAME));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_namespace_has_the_files_and_the_authority_as_it_is_now() {
    let fake = FakeApi::default();
    put(&fake, "Secret", "rollcall-system", "rollcall-authority");
    put(&fake, "ConfigMap", "rollcall-system", "rollcall-ca");
    put(&fake, "ConfigMap", "shop", NAME);
    let stop = CancellationToken::new();
    let maps = "--bootstrap-configmap=shop/rollcall-bootstrap,bank/rollcall-bootstrap";
    let flags = [maps, "--tls=authority", "--tls-dns-name=localhost", "--bootstrap-server=rollcall.example:18000"];
    run(&fake, &flags, stop.clone()).await;
    let filled = until(&fake, "shop", |map| map["data"]["ca.crt"].is_string()).await;
    let text = |file: &str| filled["data"][file].as_str().unwrap_or_default().to_owned();
    assert!(text("ca.crt").contains("BEGIN CERTIFICATE"));
    assert!(text("grpc.json").contains("rollcall.example:18000") && text("grpc.json").contains("/etc/rollcall/token"));
    assert!(text("envoy.json").contains("/etc/rollcall/ca.crt"));

    let own = fake.get("v1", "configmaps", "rollcall-system", "rollcall-ca").expect("it is there");
    assert_eq!(own["data"]["ca.crt"], filled["data"]["ca.crt"]);

    // One that comes later is filled as well, and what somebody broke is mended.
    put(&fake, "ConfigMap", "bank", NAME);
    fake.edit("v1", "configmaps", "shop", NAME, |map| map["data"] = json!({ "theirs": "1", "grpc.json": "{}" }));
    until(&fake, "bank", |map| map["data"]["grpc.json"].is_string()).await;
    let mended = until(&fake, "shop", |map| map["data"]["ca.crt"].is_string()).await;
    assert_eq!((&mended["data"]["theirs"], &mended["data"]["grpc.json"]), (&json!("1"), &filled["data"]["grpc.json"]));
    let made = fake.asked().into_iter().filter(|asked| asked.resource == "configmaps" && asked.verb == Verb::Create);
    assert_eq!(made.count(), 0, "it creates none");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_it_may_not_write_keeps_no_other_from_its_files() {
    let fake = FakeApi::default();
    put(&fake, "ConfigMap", "bank", NAME);
    put(&fake, "ConfigMap", "shop", NAME);
    fake.rule(|asked| {
        let denied = asked.resource == "configmaps" && asked.namespace == "bank";
        denied.then(|| Refusal::forbidden(asked).into())
    });
    let stop = CancellationToken::new();
    let maps = ["--bootstrap-configmap=bank/rollcall-bootstrap", "--bootstrap-configmap=shop/rollcall-bootstrap"];
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, "one").expect("it can be written");
    // A certificate that is not there yet keeps nobody from being told whom to trust.
    let flag = format!("--bootstrap-ca-file={}", ca.display());
    let tls = ["--tls=files", "--tls-cert-file=/nowhere/tls.crt", "--tls-key-file=/nowhere/tls.key", &flag];
    run(&fake, &[&maps[..], &tls].concat(), stop.clone()).await;
    let has = |text: &'static str| move |map: &Value| map["data"]["ca.crt"] == text;
    until(&fake, "shop", has("one")).await;
    std::fs::write(&ca, "one and two").expect("it can be written");
    until(&fake, "shop", has("one and two")).await;
    assert!(fake.get("v1", "configmaps", "bank", NAME).is_some_and(|map| map["data"].is_null()));
    stop.cancel();
}

#[test]
fn whom_to_trust_has_to_be_known_where_the_certificate_is_from_files() {
    let flags = ["rollcall-controller", "--tls=files", "--tls-cert-file=/a", "--tls-key-file=/b"];
    let with = |more: &[&str]| Args::try_parse_from(flags.iter().chain(more)).expect("good flags").bootstraps();
    assert!(with(&[]).expect("nothing is handed out").maps.is_empty());
    let said = with(&["--bootstrap-configmap=shop/x"]).expect_err("refused").to_string();
    assert!(said.contains("needs --bootstrap-ca-file"), "{said}");
}
