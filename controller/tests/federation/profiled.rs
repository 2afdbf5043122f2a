//! A link that names a ClusterProfile, and follows what it says.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollcall_fake_api::{Asked, Fault, Refusal};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::{Cluster, ROLLCALL, SYSTEM, until};

const PROFILE: &str = "multicluster.x-k8s.io/v1alpha1";

/// Its spec is nothing to anybody here.
fn profile(cluster: &Cluster, status: &Value) {
    let metadata = json!({ "name": "eu-east-7", "namespace": "fleet" });
    let spec = json!({ "displayName": "East", "clusterManager": { "name": "by-hand" } });
    cluster.api.put(json!({
        "apiVersion": PROFILE, "kind": "ClusterProfile", "metadata": metadata, "spec": spec, "status": status,
    }));
}

/// What it says of the stream at this address, with this authority.
fn status(server: &str, ca: &str) -> Value {
    let ours = json!({
        "server": server, "certificate-authority-data": STANDARD.encode(ca), "tls-server-name": "rollcall.test",
    });
    json!({
        "properties": [{ "name": "cluster.clusterset.k8s.io", "value": "east" }],
        "accessProviders": [
            { "name": "kubeconfig", "cluster": { "server": "https://10.0.0.1:6443" } },
            { "name": "rollcall.dev", "cluster": ours },
        ],
    })
}

/// Another address of the same stream.
async fn another_way(to: SocketAddr, ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut to = TcpStream::connect(to).await.expect("it listens");
                _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    address
}

fn asks_for_profiles(cluster: &Cluster) -> bool {
    cluster.api.asked().iter().any(|asked| asked.resource == "clusterprofiles")
}

/// Its status, once the stream stands at this address and nothing is wrong.
async fn stands_at(cluster: &Cluster, address: SocketAddr) -> Value {
    let address = json!(address.to_string());
    let stands = || {
        let status = cluster.link("east");
        let well = status["state"] == "Connected" && status["problems"].is_null();
        (well && status["address"] == address).then_some(status)
    };
    until(&format!("the stream stands at {address}, and not {}", cluster.link("east")), stands).await
}

/// East's authority.
fn authority(east: &Cluster) -> String {
    let map = east.api.get("v1", "configmaps", SYSTEM, "rollcall-ca").expect("its authority");
    map["data"]["ca.crt"].as_str().expect("PEM").to_owned()
}

/// The link goes by the profile from now on, and its Secret proves, and trusts nobody any more.
fn goes_by_profile(west: &Cluster) {
    west.api.edit("v1", "secrets", SYSTEM, "link-east", |secret| {
        secret["data"].as_object_mut().expect("data").remove("ca.crt");
    });
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
        let spec = link["spec"].as_object_mut().expect("a spec");
        spec.remove("addresses");
        spec.remove("serverName");
        spec.insert("clusterProfile".to_owned(), json!({ "namespace": "fleet", "name": "eu-east-7" }));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_goes_where_its_cluster_profile_says_and_follows_it() {
    let (mut east, mut west) = Cluster::pair("127.0.0.111", "127.0.0.112", json!({})).await;
    stands_at(&west, east.grpc).await;
    assert!(!asks_for_profiles(&west), "no link names one");

    // To an inventory that is not there; what was taken in stays meanwhile.
    let not_served =
        |asked: &Asked| (asked.resource == "clusterprofiles").then(|| Fault::Refused(Refusal::not_served()));
    let absent = west.api.rule(not_served);
    goes_by_profile(&west);
    let said = west.problem("east", "ClusterProfile fleet/eu-east-7 is not known: the API server does not serve").await;
    assert!(said.contains("sigs.k8s.io/cluster-inventory-api"), "{said}");
    west.api.allow(absent);
    west.problem("east", "ClusterProfile fleet/eu-east-7 does not exist").await;
    let others = json!([{ "name": "kubeconfig", "cluster": { "server": "https://10.0.0.1:6443" } }]);
    profile(&west, &json!({ "accessProviders": others }));
    west.problem("east", "has no access provider rollcall.dev, but kubeconfig").await;
    let ca = authority(&east);
    profile(&west, &status(&format!("https://{}/clusters/east", east.grpc), &ca));
    west.problem("east", "which has a path").await;
    let stands = west.link("east");
    assert_eq!((&stands["state"], &stands["imported"]["endpoints"]), (&json!("Connected"), &json!(1)), "{stands}");
    assert_eq!(west.imported("east"), ["10.1.0.4"]);

    // What it says is followed, and so is a change of it, beside the stream that there is.
    west.api.forget_asked();
    let way = another_way(east.grpc, "127.0.0.113").await;
    profile(&west, &status(&format!("https://{way}"), &ca));
    stands_at(&west, way).await;
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    profile(&west, &status(&format!("https://{}", east.grpc), &ca));
    stands_at(&west, east.grpc).await;
    let written: Vec<_> = west.api.writes().into_iter().filter(|asked| asked.resource == "endpointslices").collect();
    assert_eq!(written.len(), 1, "only what east added was written: {written:?}");
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_of_another_cluster_or_one_that_is_gone_takes_nothing_away_and_the_secret_trusts_before_it() {
    let (mut east, mut west) = Cluster::pair("127.0.0.114", "127.0.0.115", json!({})).await;
    let (way, ca) = (another_way(east.grpc, "127.0.0.116").await, authority(&east));
    profile(&west, &status(&format!("https://{way}"), &ca));
    goes_by_profile(&west);
    stands_at(&west, way).await;

    let mut other = status(&format!("https://{way}"), &ca);
    other["properties"][0]["value"] = json!("north");
    profile(&west, &other);
    west.problem("east", "is of the cluster north").await;
    west.api.remove(PROFILE, "clusterprofiles", "fleet", "eu-east-7");
    west.problem("east", "does not exist").await;
    assert_eq!(west.link("east")["state"], "Connected");
    // Nor does a restart in the face of it.
    west.stop().await;
    west.api.forget_asked();
    west.start().await;
    until("it asks for its link's profile", || asks_for_profiles(&west).then_some(())).await;
    assert_eq!(west.imported("east"), ["10.1.0.4"]);
    profile(&west, &status(&format!("https://{}", east.grpc), &ca));
    stands_at(&west, east.grpc).await;

    // The profile has another authority from now on, and the Secret the right one.
    west.api.edit("v1", "secrets", SYSTEM, "link-east", |secret| {
        secret["data"]["ca.crt"] = json!(STANDARD.encode(&ca));
    });
    profile(&west, &status(&format!("https://{way}"), &another_authority()));
    stands_at(&west, way).await;
    east.stop().await;
    west.stop().await;
}

/// Of nobody here.
fn another_authority() -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&key).expect("signed").pem()
}
