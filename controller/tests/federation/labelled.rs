//! Namespaces that are imported by their labels, which change.

use serde_json::{Value, json};

use crate::cluster::{Cluster, ROLLCALL, until};

fn namespace(cluster: &Cluster, name: &str, labels: &Value) {
    let metadata = json!({ "name": name, "labels": labels });
    cluster.api.put(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }));
}

/// Its status, once so many namespaces are imported.
async fn imports_from(cluster: &Cluster, namespaces: u32) -> Value {
    let status = || Some(cluster.link("east")).filter(|status| status["namespaces"] == namespaces);
    until(&format!("{namespaces} namespaces are imported"), status).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_imported_for_as_long_as_it_has_the_labels_even_if_its_cluster_is_silent() {
    let (mut east, mut west) = Cluster::pair("127.0.0.91", "127.0.0.92", json!({ "suspectAfter": "5s" })).await;
    let select = |selector: Value| {
        west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
            link["spec"]["import"] = json!({ "namespaceSelector": selector });
        });
    };
    let well = |status: &Value| status["namespaces"] == 1 && status["problems"] == Value::Null;
    until("one namespace is imported, without a problem", || Some(west.link("east")).filter(well)).await;

    // By labels that nobody has: what was imported by name goes.
    namespace(&west, "shop", &json!({ "team": "pay" }));
    namespace(&west, "bank", &json!({ "team": "bank" }));
    select(json!({ "matchLabels": { "east": "import" } }));
    let said = west.problem("east", "import.namespaceSelector fits none of the 2 namespaces").await;
    assert!(said.contains("kubectl label namespace"), "{said}");
    west.imports("east", &[]).await;
    let counted = || Some(west.link("east")).filter(|status| status["heldBack"]["endpoints"] == 1);
    let status = until("it is held back", counted).await;
    assert_eq!((&status["imported"]["services"], &status["namespaces"]), (&json!(0), &json!(0)), "{status}");

    // It joins, and is followed as any other.
    namespace(&west, "shop", &json!({ "team": "pay", "east": "import" }));
    west.imports("east", &["10.1.0.4"]).await;
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    let status = imports_from(&west, 1).await;
    assert_eq!((&status["state"], &status["problems"]), (&json!("Connected"), &Value::Null), "{status}");
    // Another selector that fits it, too, and one more namespace: nothing goes meanwhile.
    west.api.forget_asked();
    select(json!({ "matchExpressions": [{ "key": "team", "operator": "In", "values": ["pay", "bank"] }] }));
    imports_from(&west, 2).await;
    assert!(!west.api.writes().iter().any(|asked| asked.resource == "endpointslices"), "{:?}", west.api.writes());

    // It leaves while its cluster is silent, and comes back with it.
    east.stop().await;
    west.link_is("east", "Suspect").await;
    namespace(&west, "shop", &json!({}));
    west.imports("east", &[]).await;
    namespace(&west, "shop", &json!({ "team": "bank" }));
    east.start().await;
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    // So does what an earlier process imported.
    west.stop().await;
    east.stop().await;
    namespace(&west, "shop", &json!({}));
    west.start().await;
    west.imports("east", &[]).await;
    namespace(&west, "shop", &json!({ "team": "bank" }));
    east.start().await;
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    // A namespace that is gone has no labels.
    west.api.remove("v1", "namespaces", "", "shop");
    west.imports("east", &[]).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_may_not_list_namespaces_says_so_and_names_go_on() {
    use rollcall_fake_api::{Fault, Refusal};

    let (mut east, mut west) = (Cluster::new("east", "127.0.0.93").await, Cluster::new("west", "127.0.0.94").await);
    let why = "namespaces is forbidden: User \"system:serviceaccount:rollcall-system:rollcall-controller\" cannot list resource \
               \"namespaces\" in API group \"\" at the cluster scope";
    let refusal = Refusal::new(403, "Forbidden", why);
    let rule = west.api.rule(move |asked| (asked.resource == "namespaces").then(|| Fault::Refused(refusal.clone())));
    west.stop().await;
    west.start().await;
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4"]);
    namespace(&west, "shop", &json!({ "team": "pay" }));
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.4"]).await;
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
        link["spec"]["import"] = json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } });
    });
    west.problem("east", "have not been listed yet").await;
    assert_eq!(west.imported("east"), ["10.1.0.4"], "what was there stays until it is known better");
    east.endpoints("payments", &["10.1.0.5"]);
    west.imports("east", &["10.1.0.5"]).await;
    west.api.allow(rule);
    imports_from(&west, 1).await;
    let well = || Some(west.link("east")).filter(|status| status["problems"].is_null());
    until("nothing is wrong any more", well).await;
    assert_eq!(west.imported("east"), ["10.1.0.5"]);
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_guard_holds_of_an_expired_cluster_goes_at_once_with_its_namespace_and_the_rest_stays() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.97").await, Cluster::new("west", "127.0.0.98").await);
    let all = ["10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.7"];
    let others = ["10.1.1.4", "10.1.1.5", "10.1.1.6", "10.1.1.7"];
    namespace(&west, "shop", &json!({ "team": "pay" }));
    namespace(&west, "bank", &json!({ "team": "pay" }));
    for (at, ips) in [("shop", all), ("bank", others)] {
        for cluster in [&east, &west] {
            cluster.service_in(at, "payments", "10.96.0.9");
        }
        east.export_in(at, "payments");
        east.endpoints_in(at, "payments", &ips);
        west.api.put(json!({
            "apiVersion": ROLLCALL, "kind": "DiscoveryPolicy",
            "metadata": { "name": "guard", "namespace": at, "generation": 1 },
            "spec": { "guard": { "enabled": true, "percent": 50, "minimum": 2, "window": "30s", "hold": "10m", "scope": "All" } },
        }));
    }
    east.linked_from(&west, "", json!({ "suspectAfter": "10s", "expireAfter": "11s" })).await;
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
        link["spec"]["import"] = json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } });
    });
    let both: Vec<&str> = all.into_iter().chain(others).collect();
    west.imports("east", &both).await;
    west.link_is("east", "Connected").await;
    east.stop().await;
    west.link_is("east", "Expired").await;
    west.problem("east", "but for 8 that the mass-removal guard").await;
    assert_eq!(west.imported("east"), both, "they are held");

    // For ten minutes; but nobody wants one of the two any more.
    namespace(&west, "shop", &json!({}));
    west.imports("east", &others).await;
    west.problem("east", "but for 4 that the mass-removal guard").await;
    assert_eq!(west.link("east")["state"], "Expired");

    // Wanted again it comes with its cluster.
    namespace(&west, "shop", &json!({ "team": "pay" }));
    imports_from(&west, 2).await;
    assert_eq!(west.imported("east"), others);
    east.start().await;
    west.imports("east", &both).await;
    east.stop().await;
    west.stop().await;
}
