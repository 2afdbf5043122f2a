use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::client::Body;
use rollcall_catalog::Input;
use serde_json::{Value, json};
use tonic::codegen;

use super::*;
use crate::sources::nodes::Nodes;
use crate::sources::service_cidrs::ServiceCidrs;
use crate::sources::services::Services;
use crate::writer::{Detached, Inbox, Message};

/// What is answered to a verb (`list`, `watch`) on a path. A watch that is accepted brings nothing and never ends.
type Answer = dyn FnMut(&str, &str) -> (u16, Value) + Send;

#[derive(Clone)]
struct ApiServer(Arc<Mutex<Box<Answer>>>);

impl codegen::Service<Request<Body>> for ApiServer {
    type Response = Response<UnsyncBoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let verb = if watches { "watch" } else { "list" };
        let (status, json) = (self.0.lock().expect("not poisoned"))(verb, request.uri().path());
        let body = match watches && status == 200 {
            true => StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync(),
            false => Full::from(json.to_string()).boxed_unsync(),
        };
        ready(Ok(Response::builder().status(status).body(body).expect("a response")))
    }
}

struct Rig {
    watches: Watches,
    readiness: Readiness,
    inbox: Inbox,
    told: Detached,
}

fn rig(namespaces: &[&str], answer: impl FnMut(&str, &str) -> (u16, Value) + Send + 'static) -> Rig {
    let client = Client::new(ApiServer(Arc::new(Mutex::new(Box::new(answer)))), "default");
    let readiness = Readiness::default();
    let (inbox, told) = Inbox::detached();
    let namespaces = namespaces.iter().map(|namespace| (*namespace).to_owned()).collect();
    Rig { watches: Watches::new(client, readiness.clone(), Clock::default(), namespaces), readiness, inbox, told }
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

fn services(path: &str, names: &[&str]) -> (u16, Value) {
    let namespace = path.split('/').nth_back(1).unwrap_or_default();
    let items: Vec<_> =
        names.iter().map(|name| json!({"metadata": {"name": name, "namespace": namespace}, "spec": {}})).collect();
    (200, json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {"resourceVersion": "7"}, "items": items}))
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": code});
    (code, status)
}

fn forbidden(verb: &str) -> (u16, Value) {
    let message = format!(
        "services is forbidden: User \"system:serviceaccount:a:b\" cannot {verb} resource \"services\" in API group \"\" in \
         the namespace \"billing\""
    );
    refusal(403, &message)
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_rights_is_named_and_nothing_is_synced_before_it_has_them() {
    let given = Arc::new(Mutex::new(false));
    let now = Arc::clone(&given);
    let mut rig = rig(&["billing", "shop"], move |verb, path| match path.contains("/billing/") {
        true if !*now.lock().expect("not poisoned") => forbidden(verb),
        _ => services(path, &["a"]),
    });
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
    *given.lock().expect("not poisoned") = true;
    assert_eq!(rig.next().await, "+billing/a");
    assert_eq!(rig.next().await, "synced");
    rig.settle().await;
    assert!(rig.readiness.is_ready(), "{:?}", rig.closed());
}

#[tokio::test(start_paused = true)]
async fn a_new_list_of_one_namespace_removes_nothing_of_another() {
    let mut lists = 0;
    let mut rig = rig(&["billing", "shop"], move |verb, path| match (verb, path.contains("/shop/")) {
        ("list", true) => {
            lists += 1;
            services(path, if lists == 1 { &["a", "b"] } else { &["b"] })
        }
        ("list", false) => services(path, &["a", "b"]),
        // The version is too old.
        (_, true) => refusal(410, "too old"),
        (_, false) => services(path, &[]),
    });
    rig.watch_services();
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
    let mut rig = rig(&["billing"], |verb, path| match verb {
        "watch" => forbidden(verb),
        _ => services(path, &["a"]),
    });
    rig.watch_services();
    assert_eq!((rig.next().await, rig.next().await), ("+billing/a".into(), "synced".into()));
    rig.settle().await;
    assert!(rig.closed()[0].contains("watching services in namespace billing is forbidden"), "{:?}", rig.closed());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_followed_is_asked_for_more_and_more_seldom() {
    let lists = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&lists);
    let mut rig = rig(&["billing"], move |verb, path| match verb {
        "watch" => forbidden(verb),
        _ => {
            *counted.lock().expect("not poisoned") += 1;
            services(path, &[])
        }
    });
    rig.watch_services();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let lists = *lists.lock().expect("not poisoned");
    assert!((10..60).contains(&lists), "{lists} lists in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_service_cidrs_holds_up_nobody_and_one_without_nodes_does() {
    let mut rig = rig(&[], |_, _| refusal(404, "404 page not found"));
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
    let mut rig = rig(&[], |_, path| {
        assert_eq!(path, "/api/v1/services");
        services(path, &[])
    });
    rig.watch_services();
    assert_eq!(rig.next().await, "synced");
    let freshness = rig.watches.into_freshness();
    assert!(freshness.len() == 1 && freshness[0].namespace.is_none());
}
