//! Who a cluster is by the About API: the id that a property gives, and the properties that are written.

use rollcall_fake_api::Asked;
use serde_json::{Value, json};

use crate::cluster::{Cluster, ROLLCALL, until};

const ABOUT: &str = "about.k8s.io/v1beta1";
const ID: &str = "cluster.clusterset.k8s.io";
const PROPERTIES: &str = "clusterproperties";
const LEASE: &str = "rollcall-controller";

/// Where the first request of this kind is among all.
fn first(cluster: &Cluster, is: impl Fn(&Asked) -> bool) -> Option<usize> {
    cluster.api.asked().iter().position(is)
}

fn property(cluster: &Cluster, name: &str) -> Option<Value> {
    cluster.api.get(ABOUT, PROPERTIES, "", name).map(|property| property["spec"]["value"].clone())
}

fn says(cluster: &Cluster, value: &str) {
    let object = json!({
        "apiVersion": ABOUT, "kind": "ClusterProperty", "metadata": { "name": ID }, "spec": { "value": value },
    });
    cluster.api.put(object);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_that_are_missing_are_written_and_those_of_others_are_not() {
    let flags = ["--cluster-property=write", "--clusterset=shops.example"].map(str::to_owned).to_vec();
    let mut west = Cluster::with("west", "127.0.0.81", flags).await;
    until("its id is written", || property(&west, ID).filter(|value| value == "west")).await;
    until("and its clusterset", || property(&west, "clusterset.k8s.io").filter(|value| value == "shops.example")).await;
    west.stop().await;
    says(&west, "somebody-else");
    west.api.forget_asked();
    west.start().await;
    // Only who leads would write; and it has looked since it does.
    let led = || first(&west, |asked| asked.resource == "leases" && asked.is_write() && asked.name == LEASE);
    let looked = || {
        let since = led()?;
        west.api.asked()[since..].iter().any(|asked| asked.resource == PROPERTIES && asked.name == ID).then_some(())
    };
    until("it has looked since", looked).await;
    west.stop().await;
    let written: Vec<_> = west.api.writes().into_iter().filter(|asked| asked.resource == PROPERTIES).collect();
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(property(&west, ID), Some(json!("somebody-else")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_gives_the_id_where_no_flag_does_and_a_controller_without_one_starts_anew_with_it() {
    // Without a flag it is nobody to others until it starts anew with what the property gives.
    let mut east = Cluster::with("", "127.0.0.82", vec!["--cluster-property=read".to_owned()]).await;
    east.service("payments", "10.96.0.9");
    east.endpoints("payments", &["10.1.0.4"]);
    east.export("payments");
    // It is at its work, all but this.
    until("its property is looked for", || first(&east, |asked| asked.resource == PROPERTIES)).await;
    until("it leads", || first(&east, |asked| asked.resource == "leases" && asked.name == LEASE && asked.is_write()))
        .await;
    let links = || first(&east, |asked| asked.resource == "clusterlinks" || asked.resource == "serviceexports");
    assert_eq!(links(), None, "it is linked with nobody");
    says(&east, "east");
    east.ends().await;
    // As its kubelet does.
    east.start().await;
    let mut west = Cluster::new("west", "127.0.0.83").await;
    west.service("payments", "10.96.0.9");
    east.id = "east";
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.4"]).await;
    assert!(west.api.get(ROLLCALL, "clusterlinks", "", "east").is_some());
    east.stop().await;
    west.stop().await;
}
