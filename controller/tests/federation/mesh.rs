//! Three clusters, each linked to each: nothing comes back, nothing is there twice, and neither restarts, nor flapping, nor an API
//! server that is away change what callers are given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rollcall_fake_api::{Asked, Fault, Verb};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::cluster::{Cluster, until};

const SOURCE: &str = "multicluster.kubernetes.io/source-cluster";
/// What each exports. The last one claims an address of the first as well.
const OWN: [(&str, &str, &[&str]); 3] = [
    ("east", "127.0.0.61", &["10.1.0.4", "10.1.0.5"]),
    ("north", "127.0.0.62", &["10.2.0.4"]),
    ("west", "127.0.0.63", &["10.3.0.4", "10.1.0.5"]),
];

async fn mesh() -> Vec<Cluster> {
    let mut clusters = Vec::new();
    for (id, ip, ips) in OWN {
        let cluster = Cluster::new(id, ip).await;
        cluster.service("payments", "10.96.0.9");
        cluster.endpoints("payments", ips);
        cluster.export("payments");
        clusters.push(cluster);
    }
    // The exports are older than any slice that is made of them.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for cluster in &clusters {
        for other in clusters.iter().filter(|other| other.id != cluster.id) {
            other.linked_from(cluster, "", json!({})).await;
        }
    }
    clusters
}

/// Every address in the slices that this cluster wrote, with the clusters that it is said to be of.
fn written(cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for slice in cluster.api.all("endpointslices") {
        let Some(source) = slice["metadata"]["labels"][SOURCE].as_str() else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let address = endpoint["addresses"][0].as_str().unwrap_or_default().to_owned();
            all.entry(address).or_default().push(source.to_owned());
        }
    }
    all
}

/// What it should be: each foreign address once, and none of its own.
fn wanted(id: &str) -> BTreeMap<String, Vec<String>> {
    let own: Vec<&str> = OWN.iter().filter(|(of, ..)| *of == id).flat_map(|(.., ips)| ips.iter().copied()).collect();
    let mut all = BTreeMap::new();
    for (of, _, ips) in OWN.iter().filter(|(of, ..)| *of != id) {
        for ip in ips.iter().filter(|ip| !own.contains(ip)) {
            all.entry((*ip).to_owned()).or_insert_with(|| vec![(*of).to_owned()]);
        }
    }
    all
}

/// Each wrote what it should, and callers are given the same in each: every endpoint, once.
async fn settled(clusters: &[Cluster]) {
    let all: BTreeSet<&str> = OWN.iter().flat_map(|(.., ips)| ips.iter().copied()).collect();
    let all: Vec<&str> = all.into_iter().collect();
    for cluster in clusters {
        let wanted = wanted(cluster.id);
        let as_it_should = || (written(cluster) == wanted).then_some(());
        until(&format!("{} has each endpoint once, and not {:?}", cluster.id, written(cluster)), as_it_should).await;
        let caller = Caller::of(cluster, "payments.shop:http").await;
        caller.has(&format!("the same in {} as anywhere", cluster.id), &all).await;
    }
}

/// After a restart that forgot what was asked before.
async fn connected_again(cluster: &Cluster, links: &[&str]) {
    for link in links {
        let heard = || {
            let asked = cluster.api.asked();
            asked.iter().any(|asked| asked.resource == "clusterlinks").then(|| cluster.link(link))
        };
        until("it is connected again", || heard().filter(|status| status["state"] == "Connected")).await;
    }
}

/// Whether something else than a removal was done to a slice.
fn slices_written(cluster: &Cluster) -> Vec<Asked> {
    let all = cluster.api.writes().into_iter();
    all.filter(|asked| asked.resource == "endpointslices" && asked.verb != Verb::Delete).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_full_mesh_nothing_echoes_and_nothing_is_there_twice_also_after_all_have_restarted() {
    let mut clusters = mesh().await;
    settled(&clusters).await;
    for cluster in &clusters {
        for other in OWN.iter().filter(|(id, ..)| *id != cluster.id) {
            cluster.link_is(other.0, "Connected").await;
        }
    }
    // The one that has what two claim is not heard at first: what was written stands nevertheless.
    for at in [0, 1] {
        clusters[at].stop().await;
    }
    clusters[1].api.forget_asked();
    clusters[1].start().await;
    connected_again(&clusters[1], &["west"]).await;
    clusters[2].endpoints("payments", &["10.3.0.4", "10.1.0.5", "10.3.0.5"]);
    until("what west adds", || written(&clusters[1]).contains_key("10.3.0.5").then_some(())).await;
    assert_eq!(written(&clusters[1])["10.1.0.5"], ["east"], "it is in one slice, and of the same cluster");
    let anew = slices_written(&clusters[1]);
    assert_eq!(anew.len(), 1, "north wrote nothing but what west adds: {anew:?}");
    clusters[2].endpoints("payments", OWN[2].2);
    clusters[0].start().await;
    settled(&clusters).await;
    connected_again(&clusters[1], &["east"]).await;

    // All at once, and each comes back to two that are coming back.
    for cluster in &mut clusters {
        cluster.stop().await;
        cluster.api.forget_asked();
    }
    for cluster in &mut clusters {
        cluster.start().await;
    }
    for cluster in &clusters {
        let others: Vec<&str> = OWN.iter().map(|(id, ..)| *id).filter(|id| *id != cluster.id).collect();
        connected_again(cluster, &others).await;
        let anew = slices_written(cluster);
        assert!(anew.is_empty(), "{} wrote slices anew: {anew:?}", cluster.id);
    }
    settled(&clusters).await;

    // One flaps: sooner than anybody takes it for silent.
    clusters.iter().for_each(|cluster| cluster.api.forget_asked());
    for _ in 0..3 {
        clusters[1].stop().await;
        clusters[1].start().await;
    }
    // And changes something, by which it is seen that it is heard again.
    clusters[1].endpoints("payments", &["10.2.0.4", "10.2.0.5"]);
    for at in [0, 2] {
        let cluster = &clusters[at];
        cluster.imports("north", &["10.2.0.4", "10.2.0.5"]).await;
        let of_others: Vec<_> = slices_written(cluster);
        assert_eq!(of_others.len(), 1, "only what changed was written in {}: {of_others:?}", cluster.id);
    }
    for cluster in &mut clusters {
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_peers_api_server_is_away_its_controller_serves_on_and_nothing_is_suspect() {
    let (mut east, mut west) = Cluster::pair("127.0.0.64", "127.0.0.65", json!({})).await;
    west.link_is("east", "Connected").await;

    let away = east.api.rule(|_| Some(Fault::RequestLost));
    east.api.break_watches();
    // Longer than it takes to be suspect: that it is heard meanwhile is told by its heartbeat.
    let heard = |cluster: &Cluster| cluster.link("east")["lastHeartbeatTime"].as_str().map(str::to_owned);
    let before = heard(&west);
    until("it is heard for half a minute more", || heard(&west).filter(|now| Some(now) != before.as_ref())).await;
    let status: Value = west.link("east");
    assert_eq!((&status["state"], &status["problems"]), (&json!("Connected"), &Value::Null), "{status}");
    assert_eq!(west.imported("east"), ["10.1.0.4"]);

    // A stream that is opened meanwhile is judged by what the API server said last.
    west.stop().await;
    west.start().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(west.imported("east"), ["10.1.0.4"]);
    east.api.allow(away);
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    east.stop().await;
    west.stop().await;
}
