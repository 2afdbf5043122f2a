//! Clusters, each an API server and a whole controller, linked over TLS: what one exports the other gives its callers.

#[path = "federation/about.rs"]
mod about;
#[path = "federation/caller.rs"]
mod caller;
#[path = "federation/cluster.rs"]
mod cluster;
#[path = "federation/frozen.rs"]
mod frozen;
#[path = "federation/labelled.rs"]
mod labelled;
#[path = "federation/lies.rs"]
mod lies;
#[path = "federation/lost.rs"]
mod lost;
#[path = "federation/mesh.rs"]
mod mesh;
#[path = "federation/profiled.rs"]
mod profiled;
#[path = "federation/proofs.rs"]
mod proofs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollcall_fake_api::{Asked, Verb};
use serde_json::{Value, json};

use cluster::{Cluster, ROLLCALL, SYSTEM, until, validity};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_cluster_exports_joins_the_service_of_that_name_in_the_other_and_does_not_come_back() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.21").await, Cluster::new("west", "127.0.0.22").await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
        cluster.export("payments");
    }
    east.endpoints("payments", &["10.1.0.4"]);
    east.service("secret", "10.96.0.10");
    east.endpoints("secret", &["10.1.0.99"]);
    west.service("secret", "10.96.0.10");
    east.export("nothing");
    east.linked_from(&west, "", json!({})).await;
    west.linked_from(&east, "shop", json!({})).await;

    // One way: its endpoints, and no service that is not exported.
    west.imports("east", &["10.1.0.4"]).await;
    west.link_is("east", "Connected").await;
    let counted = || Some(west.link("east")).filter(|status| status["imported"]["endpoints"] == 1);
    let status = until("what it took in is counted", counted).await;
    assert_eq!(status["problems"], Value::Null, "{status}");
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;

    // The other way, where the right is to one namespace: its own, and not what it has from here.
    west.endpoints("payments", &["10.2.0.9"]);
    east.imports("west", &["10.2.0.9"]).await;
    assert_eq!(west.imported("east"), ["10.1.0.4", "10.1.0.5"], "its own endpoints did not come back");

    let valid = |cluster: &Cluster, name: &str| validity(cluster, name);
    until("payments is exported", || valid(&east, "payments").filter(|(status, _)| status == "True")).await;
    let nothing = until("an export of nothing says so", || valid(&east, "nothing")).await;
    assert_eq!(nothing, ("False".to_owned(), "NoService".to_owned()));

    // Each says what it tells the other, and in which version that has come.
    let given = || Some(east.link("west")).filter(|status| status["exported"]["endpoints"] == 2);
    let given = until("what west is given is counted in east", given).await;
    assert_eq!(given["exported"]["services"], 1, "{given}");
    let came = || Some(west.link("east")).filter(|status| status["imported"]["endpoints"] == 2);
    let came = until("what came of east is counted in west", came).await;
    assert_eq!(came["version"], given["exported"]["version"], "{came} {given}");
    assert!(came["bytesPerSecond"].as_u64().is_some_and(|bytes| bytes > 0), "{came}");

    // With the link goes all that it brought.
    west.api.remove(ROLLCALL, "clusterlinks", "", "east");
    west.imports("east", &[]).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cluster_is_kept_over_a_restart_then_expires_and_comes_back() {
    let (mut east, mut west) =
        Cluster::pair("127.0.0.23", "127.0.0.24", json!({ "suspectAfter": "5s", "expireAfter": "720h" })).await;
    west.link_is("east", "Connected").await;

    east.stop().await;
    let status = west.link_is("east", "Suspect").await;
    assert_eq!(status["imported"]["endpoints"], 1, "{status}");
    assert_eq!(west.imported("east"), ["10.1.0.4"]);

    // Nobody is left who could say it anew, but the slice.
    west.stop().await;
    west.api.forget_asked();
    west.start().await;
    until("the restarted one reads its links", || {
        west.api.asked().into_iter().any(|asked| asked.resource == "clusterlinks").then_some(())
    })
    .await;
    assert_eq!(west.imported("east"), ["10.1.0.4"]);

    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
        link["spec"]["whenSilent"]["expireAfter"] = json!("6s");
    });
    let status = west.link_is("east", "Expired").await;
    assert_eq!((&status["expired"]["endpoints"], &status["imported"]["endpoints"]), (&json!(1), &json!(0)), "{status}");
    west.imports("east", &[]).await;
    let anew = |asked: &Asked| asked.resource == "endpointslices" && asked.verb != Verb::Delete;
    assert!(!west.api.writes().iter().any(anew), "its slice was written anew, and not only removed");

    east.start().await;
    west.link_is("east", "Connected").await;
    west.imports("east", &["10.1.0.4"]).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_cannot_be_says_why_and_takes_nothing_in() {
    let (mut east, mut west) = Cluster::pair("127.0.0.25", "127.0.0.26", json!({})).await;
    // The same cluster by another name, and a link without its Secret.
    let link = west.api.get(ROLLCALL, "clusterlinks", "", "east").expect("it stands");
    for (name, secret) in [("north", "link-east"), ("south", "link-south")] {
        let mut spec = link["spec"].clone();
        spec["secretName"] = json!(secret);
        let metadata = json!({ "name": name, "generation": 1 });
        west.api.put(json!({ "apiVersion": ROLLCALL, "kind": "ClusterLink", "metadata": metadata, "spec": spec }));
    }
    west.problem("north", "says that its id is east").await;
    west.problem("south", "does not exist; make it by kubectl create secret").await;
    assert_eq!(west.link("north")["state"], "Connecting");
    // A token that has no right any more.
    east.api.take_grants();
    let user = format!("system:serviceaccount:{SYSTEM}:stranger");
    east.api.token("stranger", &user, &[]);
    west.api.edit("v1", "secrets", SYSTEM, "link-east", |secret| {
        secret["data"]["token"] = json!(STANDARD.encode("stranger"));
    });
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| link["spec"]["import"]["namespaces"] = json!(["*"]));
    west.problem("east", "ClusterRole rollcall-peer").await;
    assert_eq!(west.imported("east"), ["10.1.0.4"], "what the good stream brought stays meanwhile");
    assert_eq!(west.link("east")["state"], "Connected");
    east.stop().await;
    west.stop().await;
}
