//! A whole controller on an API server that refuses something in one namespace: each kind of object that it writes, for
//! each reason there is. What else there is to write is written, nothing is tried without end, and what was in the way is
//! noticed to be gone.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::{Asked, FakeApi, Fault, Refusal};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Services and registrations in the namespace in which something is refused.
const COUNT: usize = 12;
/// The namespace in which something is refused, and another one.
const NAMESPACES: [&str; 2] = ["shop", "other"];
/// Everything that the write-back writes: resource and subresource.
const KINDS: [(&str, &str); 5] = [
    ("endpointslices", ""),
    ("catalogentries", ""),
    ("serviceregistrations", "status"),
    ("discoverypolicies", "status"),
    ("events", ""),
];

fn put(api: &FakeApi, kind: &str, version: &str, name: &str, namespace: &str, spec: &Value) {
    let metadata =
        json!({ "name": name, "namespace": namespace, "uid": format!("{kind}-{namespace}-{name}"), "generation": 1 });
    api.put(json!({ "kind": kind, "apiVersion": version, "metadata": metadata, "spec": spec }));
}

fn register(api: &FakeApi, namespace: &str, number: usize, address: &str) {
    let spec = json!({
        "service": format!("s{number}"), "ports": [{ "name": "http", "port": 80 }],
        "endpoints": [{ "name": "only", "addresses": [address] }],
    });
    put(api, "ServiceRegistration", "rollcall.dev/v1alpha1", &format!("r{number}"), namespace, &spec);
}

fn fill(api: &FakeApi) {
    for (namespace, prefix) in NAMESPACES.into_iter().zip(["198.51.100", "203.0.113"]) {
        for number in 0..COUNT {
            let spec = json!({ "clusterIP": "None", "ports": [{ "name": "http", "port": 80 }] });
            put(api, "Service", "v1", &format!("s{number}"), namespace, &spec);
            register(api, namespace, number, &format!("{prefix}.{}", 1 + number));
        }
        let policy = json!({ "targetRef": { "kind": "Service", "name": "s0" } });
        put(api, "DiscoveryPolicy", "rollcall.dev/v1alpha1", "p", namespace, &policy);
    }
}

/// What has been written of a kind in a namespace.
fn written(api: &FakeApi, (resource, subresource): (&str, &str), namespace: &str) -> usize {
    api.count(resource, |object| {
        let is_written = subresource.is_empty() || !object["status"]["conditions"].is_null();
        is_written && object["metadata"]["namespace"] == namespace
    })
}

fn wanted(kind: (&str, &str)) -> usize {
    match kind.0 {
        "discoverypolicies" => 1,
        // A registration tells a first Event only if there is something to tell.
        "events" => 0,
        _ => COUNT,
    }
}

struct Running {
    api: FakeApi,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

async fn run(refuses: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) -> (Running, rollcall_fake_api::RuleId) {
    let api = FakeApi::default();
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
        let metadata = json!({ "name": name, "namespace": "rollcall-system" });
        api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
    }
    fill(&api);
    let rule = api.rule(refuses);
    let flags =
        ["rollcall-controller", "--grpc-listen=127.0.0.1:0", "--api-listen=127.0.0.1:0", "--resolv-conf=/dev/null"];
    let args = Args::try_parse_from(flags).expect("good flags");
    let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let stop = CancellationToken::new();
    let serve = start::serve(args, Telemetry::default(), admin, Readiness::default(), api.client(), stop.clone());
    (Running { api, stop, task: tokio::spawn(serve) }, rule)
}

impl Running {
    /// Waits, by a clock that is paused, until as much of each of these is written as should be.
    async fn until_written(&self, what: &str, kinds: &[(&str, &str)], namespaces: &[&str], bound: Duration) {
        let begin = tokio::time::Instant::now();
        loop {
            let each = kinds.iter().flat_map(|kind| namespaces.iter().map(move |namespace| (*kind, *namespace)));
            let lacks: Vec<_> =
                each.filter(|(kind, namespace)| written(&self.api, *kind, namespace) < wanted(*kind)).collect();
            if lacks.is_empty() {
                return;
            }
            assert!(begin.elapsed() < bound, "{what}: not written within {bound:?}: {lacks:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends").expect("it ends well");
    }
}

/// A reason, and how the API server words it.
type Reason = (&'static str, fn(&Asked, usize) -> Refusal);

const REASONS: [Reason; 9] = [
    ("quota", |asked, _| Refusal::quota(asked)),
    ("webhook", |_, _| Refusal::webhook("not here")),
    ("webhook that never says the same", |_, count| Refusal::webhook(&format!("request {count} is not allowed"))),
    ("webhook in the words of the server", |asked, _| Refusal::webhook(&Refusal::namespace_terminating(asked).message)),
    ("schema", |asked, _| Refusal::invalid(asked, "spec: Too long: may not be more than 1 bytes")),
    ("right", |asked, _| Refusal::forbidden(asked)),
    ("size", |_, _| Refusal::too_large()),
    ("no such kind", |_, _| Refusal::not_served()),
    ("webhook that is away", |_, _| Refusal::new(500, "InternalError", "failed calling webhook \"w\": refused")),
];

/// Whatever refuses this kind in a namespace, all else is written, and it is noticed when it would be taken.
async fn refused(kind: (&'static str, &'static str)) {
    for (reason, refusal) in REASONS {
        let what = format!("{kind:?} refused by {reason}");
        let mut count = 0;
        let (running, rule) = run(move |asked| {
            let hit = asked.is_write() && asked.namespace == "shop" && (&*asked.resource, &*asked.subresource) == kind;
            count += usize::from(hit);
            hit.then(|| refusal(asked, count).into())
        })
        .await;
        let others: Vec<_> = KINDS.into_iter().filter(|other| *other != kind).collect();
        running.until_written(&what, &others, &NAMESPACES, Duration::from_secs(60)).await;
        running.until_written(&what, &KINDS, &["other"], Duration::from_secs(60)).await;
        running.api.forget_asked();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let writes = running.api.writes();
        let tried = writes.iter().filter(|asked| asked.namespace == "shop" && *asked.resource == *kind.0).count();
        // A fault of the server's own may end any moment, and is tried each five to ten seconds.
        let bound = if reason == "webhook that is away" { 13 } else { 3 };
        assert!(tried <= COUNT * bound, "{what}: tried {tried} times in a minute");
        let rest = writes.iter().filter(|asked| asked.resource != "leases").count() - tried;
        assert!(rest <= COUNT * 3, "{what}: {rest} other writes in a minute");
        running.api.allow(rule);
        running.until_written(&what, &KINDS, &NAMESPACES, Duration::from_secs(300)).await;
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_slices_are_refused_all_else_is_written_and_it_is_noticed_when_they_would_be_taken() {
    refused(KINDS[0]).await;
}

#[tokio::test(start_paused = true)]
async fn where_entries_are_refused_all_else_is_written_and_it_is_noticed_when_they_would_be_taken() {
    refused(KINDS[1]).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_status_of_registrations_is_refused_all_else_is_written_and_it_is_noticed_when_it_would_be_taken() {
    refused(KINDS[2]).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_status_of_policies_is_refused_all_else_is_written_and_it_is_noticed_when_it_would_be_taken() {
    refused(KINDS[3]).await;
}

#[tokio::test(start_paused = true)]
async fn where_events_are_refused_all_else_is_written_and_it_is_noticed_when_they_would_be_taken() {
    refused(KINDS[4]).await;
}

/// What a namespace in deletion refuses: nothing that is there, all that is new.
fn refuses_new(
    namespace: &'static str,
    there: BTreeSet<String>,
) -> impl FnMut(&Asked) -> Option<Fault> + Send + 'static {
    move |asked| {
        let is_new = asked.subresource.is_empty() && !there.contains(&asked.name) && asked.verb.to_string() != "delete";
        let hit = asked.is_write() && asked.namespace == namespace && is_new;
        hit.then(|| Refusal::namespace_terminating(asked).into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_in_deletion_is_asked_a_few_times_for_all_kinds_together_until_there_is_a_new_one() {
    let (running, rule) = run(refuses_new("shop", BTreeSet::new())).await;
    running.until_written("the other namespace", &KINDS, &["other"], Duration::from_secs(60)).await;
    running.until_written("what is there", &KINDS[2..4], &["shop"], Duration::from_secs(60)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let writes = running.api.writes();
    let refused = writes.iter().filter(|asked| asked.namespace == "shop" && asked.subresource.is_empty()).count();
    assert!(refused <= 16 * 8, "{refused} attempts in ten minutes, 16 at once at most");
    // It is gone, and made anew: with a registration and without any Service.
    for number in 0..COUNT {
        running.api.remove("v1", "services", "shop", &format!("s{number}"));
        running.api.remove("rollcall.dev/v1alpha1", "serviceregistrations", "shop", &format!("r{number}"));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.api.allow(rule);
    let metadata = json!({ "name": "r0", "namespace": "shop", "uid": "another", "generation": 1 });
    let spec = json!({
        "service": "s0", "ports": [{ "name": "http", "port": 80 }],
        "endpoints": [{ "name": "only", "addresses": ["198.51.100.1"] }],
    });
    let object = json!({ "kind": "ServiceRegistration", "apiVersion": "rollcall.dev/v1alpha1", "metadata": metadata, "spec": spec });
    running.api.put(object);
    let begin = tokio::time::Instant::now();
    while written(&running.api, KINDS[1], "shop") == 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "the new namespace is taken for the old one");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slice_of_somebody_elses_under_a_name_of_ours_stops_no_other() {
    let (running, _) = run(|_| None).await;
    running.until_written("all", &KINDS, &NAMESPACES, Duration::from_secs(60)).await;
    let all = running.api.all("endpointslices");
    let slice = all.iter().find(|slice| slice["metadata"]["namespace"] == "shop").expect("one").clone();
    let (name, service) = (&slice["metadata"]["name"], &slice["metadata"]["labels"]["kubernetes.io/service-name"]);
    let (name, service) = (name.as_str().expect("a name").to_owned(), service.as_str().expect("a label").to_owned());
    running.stop().await;
    // The same in a cluster where somebody was first, with another family, which nobody can change.
    let taken = name.clone();
    let (running, _) = run(move |asked| {
        let hit = asked.is_write() && asked.name == taken && asked.namespace == "shop";
        hit.then(|| Refusal::invalid(asked, "addressType: Invalid value: \"IPv4\": field is immutable").into())
    })
    .await;
    let labels = json!({ "kubernetes.io/service-name": "theirs" });
    let metadata = json!({ "name": name, "namespace": "shop", "labels": labels });
    let theirs = json!({ "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": metadata, "addressType": "IPv6", "endpoints": [] });
    running.api.put(theirs);
    running.until_written("all", &KINDS, &NAMESPACES, Duration::from_secs(60)).await;
    let number = service.trim_start_matches('s');
    let said = || {
        let seen = running.api.get("rollcall.dev/v1alpha1", "serviceregistrations", "shop", &format!("r{number}"));
        let seen = seen.expect("it is there");
        let conditions = seen["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let published = conditions.into_iter().find(|condition| condition["type"] == "Published");
        published.map(|condition| condition["message"].to_string()).unwrap_or_default()
    };
    for _ in 0..600 {
        if said().contains("immutable") {
            return running.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the registration does not say that its slice cannot be written: {}", said());
}
