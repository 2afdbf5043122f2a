//! Clusters that are not what they seem: each is a problem of its link in plain words, and the rest goes on.

use serde_json::{Value, json};

use crate::cluster::{Cluster, ROLLCALL, until};

/// The API server's own Service, which no two clusters have alike: its uid.
fn own_service(cluster: &Cluster) -> String {
    let metadata = json!({ "name": "kubernetes", "namespace": "default" });
    let spec = json!({
        "type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4"],
        "ports": [{ "name": "https", "port": 443, "protocol": "TCP" }],
    });
    let service = cluster.api.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }));
    service["metadata"]["uid"].as_str().expect("every object has one").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_of_the_same_id_is_not_believed_and_the_next_address_is_tried() {
    let mut east = Cluster::new("east", "127.0.0.41").await;
    let mut west = Cluster::new("west", "127.0.0.42").await;
    east.service("payments", "10.96.0.9");
    west.service("payments", "10.96.0.9");
    let uid = own_service(&east);
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4"]);
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.4"]).await;
    west.link_is("east", "Connected").await;
    // It is told when its own Service is read.
    until("which of that id it is", || (west.link("east")["clusterUid"] == uid.as_str()).then_some(())).await;

    // It has the same id, the same authority and the same token, and other endpoints.
    let mut other = Cluster::like(&east, "127.0.0.43", "west").await;
    for number in 0..20 {
        // Its uids are others than those of the first.
        let metadata = json!({ "name": format!("more-{number}"), "namespace": "default" });
        other.api.put(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata }));
    }
    let another = own_service(&other);
    assert_ne!(uid, another);
    other.service("payments", "10.96.0.9");
    other.export("payments");
    other.endpoints("payments", &["10.7.7.7"]);
    // What it says from its beginning has its uid, as that of any cluster whose own Service was there before.
    other.stop().await;
    other.start().await;
    let link = |addresses: Value| {
        west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| link["spec"]["addresses"] = addresses);
    };
    link(json!([other.grpc.to_string()]));
    let said = west.problem("east", "two clusters say that they are east").await;
    assert!(said.contains(&*uid) && said.contains(&*another), "{said}");
    assert_eq!(west.imported("east"), ["10.1.0.4"], "what the right one said stays");
    link(json!([other.grpc.to_string(), east.grpc.to_string()]));
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    for cluster in [&mut east, &mut west, &mut other] {
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_in_this_clusters_own_ranges_is_refused_and_the_link_says_why() {
    let reserved = vec!["--reserved-cidr=10.9.0.0/16".to_owned()];
    let (mut east, mut west) =
        (Cluster::new("east", "127.0.0.44").await, Cluster::with("west", "127.0.0.45", reserved).await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    west.api.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-1" },
        "spec": { "podCIDR": "10.2.0.0/24", "podCIDRs": ["10.2.0.0/24"] },
    }));
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4", "10.2.0.7", "10.9.0.8"]);
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.4"]).await;
    let said = west.problem("east", "2 of its endpoints are not called here, such as").await;
    assert!(said.contains(" of shop/payments: address 10."), "{said}");
    assert_eq!(west.link("east")["state"], "Connected");
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_link_takes_in_is_held_back_and_counted() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.46").await, Cluster::new("west", "127.0.0.47").await);
    for (name, ips) in [("a", ["10.1.0.4", "10.1.0.5"]), ("b", ["10.1.0.6", "10.1.0.7"])] {
        for cluster in [&east, &west] {
            cluster.service(name, "10.96.0.9");
        }
        east.export(name);
        east.endpoints(name, &ips);
    }
    east.linked_from(&west, "", json!({})).await;
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| link["spec"]["limits"] = json!({ "endpoints": 3 }));
    let words = "it exports more than this link takes in (10000 services, 3 endpoints); raise spec.limits";
    west.problem("east", words).await;
    let status = west.link_is("east", "Connected").await;
    assert_eq!(status["heldBack"]["endpoints"], 1, "{status}");
    let slices = || (west.imported("east").len() == 3).then_some(());
    until("as many in slices as there is room for", slices).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_deleted_and_made_again_at_once_brings_all_again() {
    let (mut east, mut west) = Cluster::pair("127.0.0.101", "127.0.0.102", json!({})).await;
    for round in 5..10 {
        let mut link = west.api.get(ROLLCALL, "clusterlinks", "", "east").expect("it is there");
        // It reads its Secret while it is removed.
        west.api
            .edit(ROLLCALL, "clusterlinks", "", "east", |link| link["spec"]["limits"] = json!({ "services": round }));
        west.api.remove(ROLLCALL, "clusterlinks", "", "east");
        let metadata = json!({ "name": "east", "generation": 1 });
        link["metadata"] = metadata;
        link["status"] = Value::Null;
        west.api.put(link);
        let ip = format!("10.1.0.{round}");
        east.endpoints("payments", &[&ip]);
        west.imports("east", &[&ip]).await;
        west.link_is("east", "Connected").await;
    }
    east.stop().await;
    west.stop().await;
}
