//! Tests: single pieces of work against an API server that has faults.

use rollcall_admin::Readiness;
use rollcall_fake_api::{Asked, FakeApi, Fault, Refusal, Verb};
use serde_json::Value;
use tokio::sync::watch;

use super::*;
use crate::leadership::fence::Term;
use crate::time::clock::Clock;

/// Until when the writer leads, in milliseconds of its clock.
const TERM_MS: u64 = 3_600_000;

struct Rig {
    api: FakeApi,
    term: watch::Sender<Option<Term>>,
    applier: Applier,
}

fn rig() -> Rig {
    let (api, clock) = (FakeApi::default(), Clock::default());
    let (term, terms) = watch::channel(Some(Term { number: 1, until_ms: TERM_MS }));
    let applier = Applier {
        client: api.client(),
        fence: Fence::new(terms, clock),
        identity: "replica-1".into(),
        denials: DenialNotices::new(Readiness::default(), clock),
        metrics: Arc::default(),
    };
    Rig { api, term, applier }
}

impl Rig {
    async fn run(&self, work: Work) -> Done {
        self.applier.clone().run(work).await
    }

    fn names(&self, resource: &str) -> Vec<String> {
        let all = self.api.all(resource);
        all.iter().filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    /// As somebody else made it; its version.
    fn stands(&self, name: &str) -> String {
        let stands = self.api.put(serde_json::to_value(slice(name)).expect("JSON"));
        stands["metadata"]["resourceVersion"].as_str().expect("a version").to_owned()
    }
}

fn slice(name: &str) -> EndpointSlice {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": name, "namespace": "shop" }, "endpoints": [{ "addresses": ["198.51.100.1"] }],
    });
    serde_json::from_value(slice).expect("a slice")
}

fn slices(create: &[&str], change: &[(&str, &str)], delete: &[(&str, &str)]) -> Work {
    Work::Slices {
        create: create.iter().map(|name| slice(name)).collect(),
        change: change
            .iter()
            .map(|(name, version)| {
                let mut slice = slice(name);
                slice.metadata.labels = Some([("changed".to_owned(), "yes".to_owned())].into());
                (slice, (*version).to_owned())
            })
            .collect(),
        delete: delete.iter().map(|(name, version)| (key(name), (*version).to_owned())).collect(),
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: name.into() }
}

/// Each failure with its object: the word of metrics, and what it is taken for.
fn failures(done: &Done) -> Vec<(&str, &'static str, &'static str)> {
    let taken_for = |failure: &Failure| match (failure.is_denial(), failure.is_ending(), failure.is_refusal()) {
        (true, ..) => "a denial",
        (_, true, _) => "the end of the namespace",
        (.., true) => "a refusal",
        _ => "tried again",
    };
    done.failures.iter().map(|failed| (&*failed.name, failed.failure.kind(), taken_for(&failed.failure))).collect()
}

fn once(name: &'static str, fault: impl Fn(&Asked) -> Fault + Send + 'static) -> impl FnMut(&Asked) -> Option<Fault> {
    let mut first = true;
    move |asked| (asked.name == name && asked.is_write() && std::mem::take(&mut first)).then(|| fault(asked))
}

#[tokio::test(start_paused = true)]
async fn each_failure_is_taken_for_what_it_is_and_one_answer_keeps_no_other_slice_from_being_written() {
    let refused = |refusal: fn(&Asked) -> Refusal| move |asked: &Asked| Fault::Refused(refusal(asked));
    type Answer = fn(&Asked) -> Refusal;
    let answers: [(Answer, &str, &str); 7] = [
        (Refusal::conflict, "conflict", "tried again"),
        (|_| Refusal::overloaded(), "refused", "tried again"),
        (|_| Refusal::new(503, "ServiceUnavailable", "etcd leader changed"), "refused", "tried again"),
        (Refusal::quota, "refused", "a refusal"),
        (|_| Refusal::webhook("not here"), "refused", "a refusal"),
        (Refusal::namespace_terminating, "refused", "the end of the namespace"),
        (Refusal::forbidden, "refused", "a denial"),
    ];
    for (answer, kind, taken_for) in answers {
        let rig = rig();
        let gone = rig.stands("gone");
        rig.api.rule(once("one", refused(answer)));
        let done = rig.run(slices(&["one", "two"], &[], &[("gone", &gone)])).await;
        assert_eq!(failures(&done), [("one", kind, taken_for)]);
        assert_eq!(rig.names("endpointslices"), ["gone", "two"], "nothing goes before all that comes has come");
        assert_eq!(done.written, ["two".into()]);
        let again = rig.run(slices(&["one"], &[], &[("gone", &gone)])).await;
        assert!(again.failures.is_empty(), "{:?}", again.failures);
        assert_eq!(rig.names("endpointslices"), ["one", "two"]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_answer_comes_nothing_more_is_tried() {
    for (fault, kind, arrived) in [
        (Fault::AnswerLost, "unreachable", true),
        (Fault::RequestLost, "unreachable", false),
        (Fault::Silent, "timeout", false),
        (Fault::Late(WRITE_TIMEOUT * 2), "timeout", false),
    ] {
        let rig = rig();
        let given = fault.clone();
        rig.api.rule(once("one", move |_| given.clone()));
        let begin = Instant::now();
        let done = rig.run(slices(&["one", "two"], &[], &[])).await;
        assert!(begin.elapsed() <= WRITE_TIMEOUT, "{fault:?} took {:?}", begin.elapsed());
        assert_eq!(failures(&done), [("one", kind, "tried again")], "{fault:?}");
        tokio::time::sleep(WRITE_TIMEOUT * 2).await;
        let expected = if arrived { vec!["one"] } else { Vec::new() };
        assert_eq!(rig.names("endpointslices"), expected, "{fault:?}");
        // The watch has told what stands, or it is made as if nothing had been.
        assert!(rig.run(slices(&["one", "two"], &[], &[])).await.failures.is_empty());
        assert_eq!(rig.names("endpointslices"), ["one", "two"]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_or_deleted_over_a_version_that_nobody_has_seen() {
    let rig = rig();
    let seen = rig.stands("one");
    rig.api.edit("discovery.k8s.io/v1", "endpointslices", "shop", "one", |slice| {
        slice["metadata"]["labels"] = json!({"by": "somebody"});
    });
    let done = rig.run(slices(&[], &[("one", &seen)], &[])).await;
    assert_eq!(failures(&done), [("one", "conflict", "tried again")]);
    let done = rig.run(slices(&[], &[], &[("one", &seen)])).await;
    assert_eq!(failures(&done), [("one", "conflict", "tried again")]);
    assert_eq!(rig.names("endpointslices"), ["one"]);
    rig.api.remove("discovery.k8s.io/v1", "endpointslices", "shop", "one");
    let done = rig.run(slices(&[], &[], &[("one", &seen)])).await;
    assert!(done.failures.is_empty() && done.written == ["one".into()], "that it is gone is as good");
}

#[tokio::test(start_paused = true)]
async fn without_a_term_that_lasts_nothing_is_asked() {
    let rig = rig();
    for term in [None, Some(Term { number: 2, until_ms: 3_999 })] {
        rig.term.send_replace(term);
        let done = rig.run(slices(&["one", "two"], &[], &[])).await;
        assert_eq!(failures(&done), [("one", "not_leading", "tried again")]);
    }
    assert_eq!(rig.api.asked(), []);
}

fn event(name: &str) -> Event {
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "eventTime": null,
        "metadata": { "name": name, "namespace": "shop" }, "reason": "EndpointCritical",
    });
    serde_json::from_value(event).expect("an Event")
}

#[tokio::test(start_paused = true)]
async fn events_follow_the_status_that_they_retell_and_never_fail_it() {
    let rig = rig();
    let registration = json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
        "metadata": { "name": "vms", "namespace": "shop" }, "spec": { "service": "db", "ports": [], "endpoints": [] },
    });
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let first = version(&rig.api.put(registration));
    let work = |version: &str| {
        let status = ServiceRegistrationStatus { callable: "1/1".into(), ..ServiceRegistrationStatus::default() };
        Work::Status(key("vms"), version.to_owned(), Box::new(status), vec![event("told"), event("more")])
    };
    let done = rig.run(work("0")).await;
    assert_eq!(failures(&done), [("vms", "conflict", "tried again")]);
    assert!(rig.names("events").is_empty(), "an Event of a status that is not there");
    // One is there already: an answer was lost. The other one may not be written.
    rig.api.put(serde_json::to_value(event("told")).expect("JSON"));
    rig.api.rule(|asked| (asked.name == "more").then(|| Fault::Refused(Refusal::forbidden(asked))));
    let done = rig.run(work(&first)).await;
    assert!(done.failures.is_empty(), "{:?}", done.failures);
    let stands = rig.api.get("rollcall.dev/v1alpha1", "serviceregistrations", "shop", "vms").expect("it is there");
    assert_eq!(stands["status"]["callable"], "1/1");
    let asked = rig.api.asked();
    assert_eq!(asked.iter().filter(|asked| asked.verb == Verb::Create && asked.resource == "events").count(), 2);
}
