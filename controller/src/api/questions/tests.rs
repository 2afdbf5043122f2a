//! Tests: the questions, asked of a desk whose catalog the test writes.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http_body_util::BodyExt;
use rollcall_catalog::Catalog;
use rollcall_catalog::input::Input;
use rollcall_catalog::model::HealthSource;
use rollcall_catalog::time::Now;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::problem::Kind;
use super::super::query::Query;
use super::super::routes::Found;
use super::*;
use crate::testing::{cluster_ip, offered, registered, vm};

/// A catalog and what answers from it.
struct Bench {
    catalog: Catalog,
    sender: watch::Sender<Option<Arc<Snapshot>>>,
    routes: Routes,
    questions: Questions,
}

fn bench(inputs: impl IntoIterator<Item = Input>) -> Bench {
    let (sender, snapshots) = watch::channel(None);
    let questions = Questions::new(snapshots, Lookout::default(), Linked::default());
    tokio::spawn(follow::run(Arc::clone(&questions.0), Clock::default()));
    let mut bench =
        Bench { catalog: Catalog::default(), sender, routes: questions.routes(Routes::default()), questions };
    bench.say(inputs);
    bench
}

impl Bench {
    fn say(&mut self, inputs: impl IntoIterator<Item = Input>) {
        inputs.into_iter().for_each(|input| self.catalog.apply(input));
        self.catalog.publish(Now::default());
        self.sender.send_replace(Some(self.catalog.snapshot()));
    }

    /// The answer as JSON, or the problem.
    async fn ask(&self, path: &str) -> Result<Value, Problem> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let Found::Route(at, names) = self.routes.find(&http::Method::GET, path) else { panic!("no route {path}") };
        let query = Query::read(query)?;
        let (headers, body, peer) = (http::HeaderMap::new(), bytes::Bytes::new(), [127, 0, 0, 1].into());
        let ask = Ask { names, query, headers, body, who: None, peer };
        let answer = (self.routes.at(at).handler())(ask).await?;
        let body = answer.into_response().into_body().collect().await.expect("a body").to_bytes();
        Ok(serde_json::from_slice(&body).expect("JSON"))
    }

    async fn refused(&self, path: &str) -> (Kind, String) {
        let problem = self.ask(path).await.expect_err("refused");
        (problem.kind(), problem.detail().to_owned())
    }
}

const PAYMENTS: &str = "/v1/namespaces/shop/services/payments";

fn two_machines() -> [Input; 2] {
    let out = offered("vm-2", "192.0.2.2", HealthSource::Maintenance("new disk".into()));
    [cluster_ip("payments"), registered("payments", vec![vm("vm-1", "192.0.2.1"), out])]
}

fn names(answer: &Value) -> Vec<&str> {
    let endpoints = answer["endpoints"].as_array().expect("endpoints");
    endpoints.iter().map(|endpoint| endpoint["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn callers_are_given_what_can_be_called_and_filters_ask_for_more_or_less() {
    let bench = bench(two_machines());
    let path = format!("{PAYMENTS}/endpoints");
    let answer = bench.ask(&path).await.expect("answered");
    assert_eq!(names(&answer), ["vm-1"]);
    let endpoint = &answer["endpoints"][0];
    assert_eq!(endpoint["addresses"], json!(["192.0.2.1"]));
    assert_eq!(endpoint["ports"], json!([{ "name": "http", "port": 8080, "protocol": "TCP" }]));
    assert_eq!((&endpoint["health"], &endpoint["origin"]), (&json!("Passing"), &json!("ServiceRegistration/vms")));
    for (query, expected) in [
        ("health=any", vec!["vm-1", "vm-2"]),
        ("health=maintenance", vec!["vm-2"]),
        ("health=maintenance&health=passing", vec!["vm-1", "vm-2"]),
        ("zone=zone-a", vec!["vm-1"]),
        ("zone=zone-b&zone=zone-a", vec!["vm-1"]),
        ("zone=zone-b", vec![]),
        ("region=r", vec![]),
        ("tag=blue", vec![]),
        ("origin=ServiceRegistration/vms", vec!["vm-1"]),
        ("origin=EndpointSlice", vec![]),
    ] {
        let answer = bench.ask(&format!("{path}?{query}")).await.expect("answered");
        assert_eq!(names(&answer), expected, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_words() {
    let bench = bench(two_machines());
    let ask = async |query: &str| bench.refused(&format!("{PAYMENTS}/endpoints?{query}")).await;
    let (kind, words) = ask("tags=a").await;
    assert_eq!(
        (kind, words.starts_with("unknown parameter \"tags\"; there is tag, zone")),
        (Kind::BadRequest, true),
        "{words}"
    );
    assert!(ask("wait=1h").await.1.contains("at most 10m"));
    assert!(ask("wait=5").await.1.contains("with unit"));
    assert!(ask("version=7").await.1.contains("16 digits"));
    let (kind, words) = bench.refused("/v1/namespaces/shop/services/nothing/endpoints").await;
    assert_eq!(kind, Kind::NotFound);
    assert_eq!(words, "no service shop/nothing");
    let (kind, words) = bench.refused(&format!("{PAYMENTS}/explain/vm-9")).await;
    assert!(kind == Kind::NotFound && words.contains("no endpoint vm-9"), "{words}");
    assert!(bench.refused(&format!("{PAYMENTS}/resolve?health=any")).await.1.contains("unknown parameter \"health\""));
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_wakes_when_its_answer_changes_and_by_nothing_else() {
    let mut bench = bench(two_machines());
    let answer = bench.ask(&format!("{PAYMENTS}/endpoints")).await.expect("answered");
    let version = answer["version"].as_str().expect("a version").to_owned();
    let path = format!("{PAYMENTS}/endpoints?wait=5m&version={version}");
    // Another endpoint of the same service, which this answer has not.
    let other = offered("vm-2", "192.0.2.2", HealthSource::Maintenance("another disk".into()));
    let change = |vm_1: &str| registered("payments", vec![vm("vm-1", vm_1), Arc::clone(&other)]);
    let (unrelated, related) = (change("192.0.2.1"), change("192.0.2.7"));
    let begun = tokio::time::Instant::now();
    let (questions, routes) = (bench.questions.clone(), bench.routes.clone());
    let waiting = {
        let waits = Bench { catalog: Catalog::default(), sender: bench.sender.clone(), routes, questions };
        let path = path.clone();
        tokio::spawn(async move { waits.ask(&path).await })
    };
    tokio::time::sleep(Duration::from_secs(10)).await;
    bench.say([unrelated]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!waiting.is_finished(), "it was woken by what it did not ask for");
    let count = |bench: &Bench| bench.routes.waiting().load(Relaxed);
    assert_eq!(count(&bench), 1, "which the metric says");
    bench.say([related]);
    let answer = waiting.await.expect("it ended").expect("answered");
    assert_eq!(count(&bench), 0);
    assert_eq!(answer["endpoints"][0]["addresses"], json!(["192.0.2.7"]));
    assert_ne!(answer["version"], json!(version));
    assert!(begun.elapsed() < Duration::from_secs(21));
    // What has changed meanwhile is answered at once; what has not, after the wait.
    assert_eq!(bench.ask(&path).await.expect("answered"), answer);
    let version = answer["version"].as_str().expect("a version");
    let (begun, path) = (tokio::time::Instant::now(), format!("{PAYMENTS}/endpoints?wait=5m&version={version}"));
    assert_eq!(bench.ask(&path).await.expect("answered"), answer);
    assert_eq!(begun.elapsed().as_secs(), 300);
    assert!(bench.questions.0.waiting.is_empty(), "who has left is forgotten");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_what_is_not_there_is_woken_when_it_comes() {
    let mut bench = bench([]);
    let problem = bench.ask(&format!("{PAYMENTS}/endpoints")).await.expect_err("not there");
    assert_eq!(problem.kind(), Kind::NotFound);
    let path = format!("{PAYMENTS}/endpoints?wait=5m&version={}", encoded::ABSENT);
    let (questions, routes) = (bench.questions.clone(), bench.routes.clone());
    let waits = Bench { catalog: Catalog::default(), sender: bench.sender.clone(), routes, questions };
    let waiting = tokio::spawn(async move { waits.ask(&path).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.say(two_machines());
    assert_eq!(names(&waiting.await.expect("it ended").expect("answered")), ["vm-1"]);
}

#[tokio::test]
async fn one_endpoint_is_given_and_never_one_that_cannot_be_called() {
    let bench = bench(two_machines());
    for _ in 0..50 {
        let answer = bench.ask(&format!("{PAYMENTS}/resolve?zone=zone-a")).await.expect("answered");
        assert_eq!((&answer["address"], &answer["nearest"]), (&json!("192.0.2.1:8080"), &json!("Zone")));
    }
    let (kind, words) = bench.refused(&format!("{PAYMENTS}/resolve?port=grpc")).await;
    assert!(kind == Kind::NoneCallable && words.contains("with a port grpc"), "{words}");
    let (kind, words) = bench.refused(&format!("{PAYMENTS}/resolve?tag=blue")).await;
    assert!(kind == Kind::NoneCallable && words.contains("1 of 2 can be called"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn the_story_of_an_endpoint_has_its_reason_and_its_transitions() {
    let mut bench = bench(two_machines());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let out = offered("vm-1", "192.0.2.1", HealthSource::Maintenance("old disk".into()));
    bench.say([registered("payments", vec![out])]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let story = bench.ask(&format!("{PAYMENTS}/explain/vm-1")).await.expect("answered");
    let endpoint = &story["endpoints"][0];
    assert_eq!((&endpoint["health"], &endpoint["callable"]), (&json!("Maintenance"), &json!(false)));
    assert!(endpoint["reason"].as_str().is_some_and(|reason| reason.contains("old disk")), "{story}");
    let transition = &endpoint["transitions"][0];
    assert_eq!((&transition["from"], &transition["to"]), (&json!("Passing"), &json!("Maintenance")), "{story}");
    let story = bench.ask(&format!("{PAYMENTS}/explain/vm-2")).await.expect("gone, and remembered");
    assert_eq!((&story["gone"][0]["name"], &story["endpoints"]), (&json!("vm-2"), &json!([])), "{story}");
}

/// Each path of the document, with an example of it.
fn examples() -> [(&'static str, String, &'static str); 9] {
    let shop = |rest: &str| format!("{PAYMENTS}/{rest}");
    [
        ("/v1/services", "/v1/services".to_owned(), "Services"),
        ("/v1/namespaces/{namespace}/services", "/v1/namespaces/shop/services".to_owned(), "Services"),
        ("/v1/namespaces/{namespace}/services/{service}/endpoints", shop("endpoints?health=any"), "Endpoints"),
        ("/v1/namespaces/{namespace}/services/{service}/endpoints", shop("endpoints?tag=none"), "Endpoints"),
        ("/v1/namespaces/{namespace}/services/{service}/resolve", shop("resolve"), "Resolved"),
        ("/v1/namespaces/{namespace}/services/{service}/explain", shop("explain"), "Story"),
        ("/v1/namespaces/{namespace}/services/{service}/explain/{endpoint}", shop("explain/vm-1"), "Story"),
        ("/v1/namespaces/{namespace}/services/{service}/explain/{endpoint}", shop("explain/vm-2"), "Story"),
        ("/openapi.json", "/openapi.json".to_owned(), ""),
    ]
}

#[tokio::test(start_paused = true)]
async fn the_document_tells_each_route_and_the_answers_are_as_it_says() {
    let mut bench = bench(two_machines());
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.say([registered("payments", vec![vm("vm-1", "192.0.2.1")])]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let document = document::read();
    // Others are of other rooms, which test them: what is put, who is served, bootstrap files.
    let others = |path: &str| path.ends_with("/beat") || path.starts_with("/bootstrap/") || path == "/v1/streams";
    let paths = document["paths"].as_object().expect("paths").keys();
    let told: Vec<_> = paths.filter(|path| !others(path)).cloned().collect();
    let mut served: Vec<_> = bench.routes.iter().map(|route| route.path().to_owned()).collect();
    served.sort_unstable();
    assert_eq!(told, served);
    for (path, example, name) in examples() {
        let answer = bench.ask(&example).await.unwrap_or_else(|problem| panic!("{example}: {problem:?}"));
        if name.is_empty() {
            continue;
        }
        let said = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(said["$ref"], json!(format!("#/components/schemas/{name}")), "{path}");
        document::holds(path, &answer);
    }
    let problem = bench.ask("/v1/namespaces/shop/services/nothing/endpoints").await.expect_err("refused");
    let body = problem.into_answer("/x").into_response().into_body().collect().await.expect("a body").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["remedy"]["request"], "GET /v1/namespaces/shop/services");
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    assert_eq!(document::breaches(&document, &problem, &body, ""), Vec::<String>::new(), "{body:#}");
}
