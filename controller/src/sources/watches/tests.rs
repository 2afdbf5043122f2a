//! Tests: starts the watches.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use rollcall_catalog::Input;
use rollcall_fake_api::{Asked, FakeApi, Fault, Refusal, Verb};
use serde_json::json;

use super::*;
use crate::sources::nodes::Nodes;
use crate::sources::service_cidrs::ServiceCidrs;
use crate::sources::services::Services;
use crate::writer::{Detached, Inbox, Message};

struct Rig {
    api: FakeApi,
    watches: Watches,
    readiness: Readiness,
    inbox: Inbox,
    told: Detached,
}

/// The watches of these namespaces, on an API server that has these Services (`namespace/name`).
fn rig(namespaces: &[&str], services: &[&str]) -> Rig {
    let api = FakeApi::default();
    for (namespace, name) in services.iter().filter_map(|service| service.split_once('/')) {
        let metadata = json!({ "name": name, "namespace": namespace });
        api.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {} }));
    }
    let readiness = Readiness::default();
    let (inbox, told) = Inbox::detached();
    let namespaces = namespaces.iter().map(|namespace| (*namespace).to_owned()).collect();
    let watches = Watches::new(api.client(), readiness.clone(), Clock::default(), namespaces);
    Rig { api, watches, readiness, inbox, told }
}

impl Rig {
    fn watch_services(&mut self) {
        let inbox = self.inbox.clone();
        self.watches.of_namespaces(Source::Services, || Services::new(inbox.clone()));
    }

    /// The next message: `synced`, `+namespace/name`, `-namespace/name`.
    async fn next(&mut self) -> String {
        match self.told.recv().await {
            Some(Message::Synced(_)) => "synced".to_owned(),
            Some(Message::Say(Input::Service(key, facts))) => {
                format!("{}{key}", if facts.is_some() { '+' } else { '-' })
            }
            other => panic!("{other:?}"),
        }
    }

    fn closed(&self) -> Vec<String> {
        self.readiness.closed().iter().map(ToString::to_string).collect()
    }

    /// Until what runs has nothing left to do.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn forbidden(asked: &Asked) -> Option<Fault> {
    Some(Refusal::forbidden(asked).into())
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_rights_is_named_and_nothing_is_synced_before_it_has_them() {
    let mut rig = rig(&["billing", "shop"], &["billing/a", "shop/a"]);
    let denied = rig.api.rule(|asked| if asked.namespace == "billing" { forbidden(asked) } else { None });
    rig.watch_services();
    assert_eq!(rig.next().await, "+shop/a");
    rig.settle().await;
    let closed = rig.closed();
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert!(
        closed[0].starts_with("not ready: services/billing: listing services in namespace billing is"),
        "{closed:?}"
    );
    assert!(rig.told.try_recv().is_err(), "half of it is no catalog");
    rig.api.allow(denied);
    assert_eq!(rig.next().await, "+billing/a");
    assert_eq!(rig.next().await, "synced");
    rig.settle().await;
    assert!(rig.readiness.is_ready(), "{:?}", rig.closed());
}

#[tokio::test(start_paused = true)]
async fn a_new_list_of_one_namespace_removes_nothing_of_another() {
    let mut rig = rig(&["billing", "shop"], &["billing/a", "billing/b", "shop/a", "shop/b"]);
    rig.watch_services();
    while rig.next().await != "synced" {}
    rig.api.remove("v1", "services", "shop", "a");
    // The version is too old by the time that a watch asks for it.
    rig.api.compact();
    loop {
        let message = rig.next().await;
        assert!(!message.starts_with("-billing"), "{message}");
        if message == "-shop/a" {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_followed_is_not_ready() {
    let mut rig = rig(&["billing"], &["billing/a"]);
    rig.api.rule(|asked| if asked.verb == Verb::Watch { forbidden(asked) } else { None });
    rig.watch_services();
    assert_eq!((rig.next().await, rig.next().await), ("+billing/a".into(), "synced".into()));
    rig.settle().await;
    assert!(rig.closed()[0].contains("watching services in namespace billing is forbidden"), "{:?}", rig.closed());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_followed_is_asked_for_more_and_more_seldom() {
    let mut rig = rig(&["billing"], &[]);
    rig.api.rule(|asked| if asked.verb == Verb::Watch { forbidden(asked) } else { None });
    rig.watch_services();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let lists = rig.api.asked().iter().filter(|asked| asked.verb == Verb::List).count();
    assert!((10..60).contains(&lists), "{lists} lists in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_service_cidrs_holds_up_nobody_and_one_without_nodes_does() {
    let mut rig = rig(&[], &[]);
    rig.api.rule(|_| Some(Refusal::new(404, "NotFound", "404 page not found").into()));
    rig.watches.of_cluster::<ServiceCIDR, _>(Source::ServiceCidrs, ServiceCidrs::new(rig.inbox.clone()));
    assert_eq!(rig.next().await, "synced");
    rig.settle().await;
    assert!(rig.readiness.is_ready(), "{:?}", rig.closed());
    rig.watches.of_cluster::<Node, _>(Source::Nodes, Nodes::new(rig.inbox.clone()));
    rig.settle().await;
    assert!(rig.closed()[0].contains("the API server does not serve nodes"), "{:?}", rig.closed());
}

#[tokio::test(start_paused = true)]
async fn without_namespaces_the_whole_cluster_is_one_watch() {
    let mut rig = rig(&[], &[]);
    rig.watch_services();
    assert_eq!(rig.next().await, "synced");
    let freshness = rig.watches.into_freshness();
    assert!(freshness.len() == 1 && freshness[0].id.instance.is_none());
    assert!(rig.api.asked().iter().all(|asked| asked.to_string() == "GET /api/v1/services"), "{:?}", rig.api.asked());
}
