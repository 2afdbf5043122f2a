//! A cluster that cannot take in what it is told: its API server refuses to write, or a link's limits are reached.

use rollcall_fake_api::{Fault, Refusal};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::cluster::{Cluster, ROLLCALL, SYSTEM, until};

fn lease(cluster: &Cluster) -> Option<Value> {
    cluster.api.get("coordination.k8s.io/v1", "leases", SYSTEM, "rollcall-cluster-east")
}

fn is_a_write(verb: rollcall_fake_api::Verb) -> bool {
    use rollcall_fake_api::Verb::{Create, Delete, Get, List, Patch, Update, Watch};
    match verb {
        Create | Delete | Patch | Update => true,
        Get | List | Watch => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_api_server_takes_no_writes_callers_are_told_all_and_slices_catch_up_after() {
    let (mut east, mut west) = Cluster::pair("127.0.0.71", "127.0.0.72", json!({})).await;
    west.endpoints("payments", &["10.2.0.4"]);
    west.link_is("east", "Connected").await;
    let caller = Caller::of(&west, "payments.shop:http").await;
    caller.has("both", &["10.1.0.4", "10.2.0.4"]).await;

    // One that is busy, and one whose etcd has no room left on its disk: both still answer who reads.
    let refusals = [
        Refusal::new(429, "TooManyRequests", "the server is busy; try again later"),
        Refusal::new(500, "InternalError", "etcdserver: mvcc: database space exceeded"),
    ];
    let mut stands = vec!["10.1.0.4"];
    for (refusal, now) in refusals.into_iter().zip([["10.1.0.5", "10.1.0.6"], ["10.1.0.7", "10.1.0.8"]]) {
        let frozen = west.api.rule(move |asked| is_a_write(asked.verb).then(|| Fault::Refused(refusal.clone())));
        let meanwhile = [&stands[..], &now[..1]].concat();
        east.endpoints("payments", &meanwhile);
        caller.has("what came meanwhile", &[&meanwhile[..], &["10.2.0.4"][..]].concat()).await;
        east.endpoints("payments", &now);
        caller.has("what went meanwhile", &[&now[..], &["10.2.0.4"][..]].concat()).await;
        assert_eq!(west.imported("east"), stands, "what stands stays as it was written");

        west.api.allow(frozen);
        west.imports("east", &now).await;
        until("its status says so", || {
            Some(west.link("east"))
                .filter(|status| status["imported"]["endpoints"] == 2 && status["state"] == "Connected")
        })
        .await;
        stands = now.to_vec();
    }

    // With the link goes all that it brought, its Lease included.
    until("a Lease says that east is heard", || lease(&west)).await;
    west.api.remove(ROLLCALL, "clusterlinks", "", "east");
    until("the Lease goes with the link", || lease(&west).is_none().then_some(())).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_limit_holds_back_is_taken_in_once_there_is_room() {
    let (mut east, mut west) = Cluster::pair("127.0.0.73", "127.0.0.74", json!({})).await;
    east.service("ledger", "10.96.0.10");
    west.service("ledger", "10.96.0.10");
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
        link["spec"]["limits"] = json!({ "endpoints": 2 });
    });
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    // Its own two are all that there is room for.
    east.endpoints("ledger", &["10.1.0.9"]);
    east.export("ledger");
    let said = west.problem("east", "raise spec.limits").await;
    assert!(said.starts_with("it exports more than this link takes in"), "{said}");
    let held_back = || Some(west.link("east")).filter(|status| status["heldBack"]["endpoints"] == 1);
    until("it is counted as held back", held_back).await;

    // Nothing of the ledger changes: that there is room is seen here.
    east.endpoints("payments", &["10.1.0.4"]);
    west.imports("east", &["10.1.0.4", "10.1.0.9"]).await;
    until("and nothing is held back", || {
        Some(west.link("east")).filter(|status| status["problems"] == Value::Null).map(drop)
    })
    .await;

    // A link that is removed while nobody looks leaves nothing behind either.
    until("a Lease says that east is heard", || lease(&west)).await;
    west.stop().await;
    west.api.remove(ROLLCALL, "clusterlinks", "", "east");
    west.start().await;
    west.imports("east", &[]).await;
    until("the Lease goes with the link", || lease(&west).is_none().then_some(())).await;
    east.stop().await;
    west.stop().await;
}
