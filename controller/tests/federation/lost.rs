//! Clusters that fall silent: what is kept, in which order it is called, and what is said of it.

use rollcall_fake_api::Verb;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::cluster::{Cluster, ROLLCALL, SYSTEM, until};

const ALL: [&str; 4] = ["10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.7"];

fn lease(cluster: &Cluster, of: &str) -> Option<Value> {
    cluster.api.get("coordination.k8s.io/v1", "leases", SYSTEM, &format!("rollcall-cluster-{of}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_service_here_is_kept_over_a_restart_too_and_goes_with_its_link() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.31").await, Cluster::new("west", "127.0.0.32").await);
    east.service("payments", "10.96.0.9");
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    let renewed = until("a Lease says that east is heard", || lease(&west, "east")).await;
    let label = &renewed["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"];
    assert_eq!((label, &renewed["spec"]["holderIdentity"]), (&json!("east"), &json!("east")));
    until("it is renewed as long as east is heard", || {
        lease(&west, "east").filter(|lease| lease["spec"]["renewTime"] != renewed["spec"]["renewTime"])
    })
    .await;

    east.stop().await;
    west.stop().await;
    west.api.forget_asked();
    west.start().await;
    let entry = || west.api.get(ROLLCALL, "catalogentries", "shop", "payments");
    until("the restarted one reads its links", || {
        west.api.asked().into_iter().any(|asked| asked.resource == "clusterlinks").then_some(())
    })
    .await;
    until("it still says that it is not heard", || {
        Some(west.link("east")).filter(|status| status["imported"]["endpoints"] == 2)
    })
    .await;
    assert!(entry().is_some());
    assert_eq!(west.imported("east"), ["10.1.0.4", "10.1.0.5"]);
    assert!(!west.api.writes().iter().any(|asked| asked.resource == "endpointslices"), "nothing was rewritten");

    west.api.remove(ROLLCALL, "clusterlinks", "", "east");
    west.imports("east", &[]).await;
    until("the entry goes too", || entry().is_none().then_some(())).await;
    assert!(west.api.writes().iter().any(|asked| asked.resource == "endpointslices" && asked.verb == Verb::Delete));
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_silent_its_endpoints_are_told_to_be_called_last_if_the_others_can_bear_it() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.33").await, Cluster::new("west", "127.0.0.34").await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
        cluster.service("alone", "10.96.0.10");
    }
    for (name, ip) in [("payments", "10.1.0.4"), ("alone", "10.1.0.9")] {
        east.export(name);
        east.endpoints(name, &[ip]);
    }
    west.endpoints("payments", &["10.2.0.4"]);
    east.linked_from(&west, "", json!({ "suspectAfter": "10s" })).await;
    west.imports("east", &["10.1.0.4", "10.1.0.9"]).await;
    west.link_is("east", "Connected").await;
    let conditions = |service: &str| {
        let ours = |slice: &Value| {
            let labels = &slice["metadata"]["labels"];
            labels["kubernetes.io/service-name"] == service
                && labels["multicluster.kubernetes.io/source-cluster"] == "east"
        };
        let slice = west.api.all("endpointslices").into_iter().find(|slice| ours(slice))?;
        Some((slice["endpoints"][0]["conditions"].clone(), slice["metadata"]["labels"]["rollcall.dev/suspect"].clone()))
    };
    let caller = Caller::of(&west, "payments.shop:http").await;
    let alone = Caller::of(&west, "alone.shop:http").await;
    caller.is_given("own before others", &[(0, "", &["10.2.0.4"]), (1, "east", &["10.1.0.4"])]).await;
    alone.is_given("there is no other", &[(0, "east", &["10.1.0.9"])]).await;
    let well = json!({ "ready": true, "serving": true, "terminating": false });
    let last = json!({ "ready": false, "serving": true, "terminating": true });
    assert_eq!(conditions("payments"), Some((well.clone(), Value::Null)));

    east.stop().await;
    let status = west.link_is("east", "Suspect").await;
    assert_eq!(status["imported"]["endpoints"], 2, "{status}");
    until("kube-proxy is told to call it when no other is ready", || {
        conditions("payments").filter(|said| *said == (last.clone(), json!("true")))
    })
    .await;
    assert_eq!(conditions("alone"), Some((well.clone(), Value::Null)), "there is no other");
    west.endpoints("alone", &["10.2.0.9"]);
    alone.is_given("another that is heard", &[(0, "", &["10.2.0.9"]), (1, "east", &["10.1.0.9"])]).await;

    east.start().await;
    until("it is as before", || conditions("payments").filter(|said| *said == (well.clone(), Value::Null))).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_takes_out_no_more_at_once_than_the_guard_of_a_policy_allows_and_says_so() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.35").await, Cluster::new("west", "127.0.0.36").await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    east.export("payments");
    east.endpoints("payments", &ALL);
    west.api.put(json!({
        "apiVersion": ROLLCALL, "kind": "DiscoveryPolicy",
        "metadata": { "name": "guard", "namespace": "shop", "generation": 1 },
        "spec": { "guard": { "enabled": true, "percent": 50, "minimum": 2, "window": "30s", "hold": "10m", "scope": "All" } },
    }));
    east.linked_from(&west, "", json!({ "suspectAfter": "10s", "expireAfter": "11s" })).await;
    west.imports("east", &ALL).await;
    west.link_is("east", "Connected").await;
    east.stop().await;
    west.link_is("east", "Expired").await;
    let said = west.problem("east", "but for 4 that the mass-removal guard").await;
    assert!(said.starts_with("silent for more than 11 s: its 4 endpoints of 1 services are taken out"), "{said}");
    assert_eq!(west.imported("east"), ALL, "they are held");

    // What the cluster itself leaves out, once it is heard, goes at once; and so does all with the link.
    east.endpoints("payments", &["10.1.0.4"]);
    east.start().await;
    west.imports("east", &["10.1.0.4"]).await;
    west.api.remove(ROLLCALL, "clusterlinks", "", "east");
    west.imports("east", &[]).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_breaks_again_and_again_is_no_news_and_only_what_changed_is_written() {
    let (mut east, mut west) = Cluster::pair("127.0.0.95", "127.0.0.96", json!({ "suspectAfter": "120s" })).await;
    let since = west.link_is("east", "Connected").await["since"].clone();
    west.api.forget_asked();
    for round in 1..=4 {
        east.stop().await;
        east.start().await;
        let ip = format!("10.1.1.{round}");
        east.endpoints("payments", &["10.1.0.4", &ip]);
        west.imports("east", &["10.1.0.4", &ip]).await;
    }
    let status = west.link_is("east", "Connected").await;
    assert_eq!(status["since"], since, "{status}");
    let written = west.api.writes().into_iter().filter(|asked| asked.resource == "endpointslices").count();
    assert_eq!(written, 4, "one for each change: {:?}", west.api.writes());
    east.stop().await;
    west.stop().await;
}
