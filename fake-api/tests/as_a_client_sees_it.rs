//! The fake behaves to a client as the API server does.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams,
};
use rollcall_fake_api::{FakeApi, Fault, Refusal, Verb};
use serde_json::{Value, json};

fn configmap(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "shop" }, "data": { "a": value } })
}

fn configmaps(api: &FakeApi) -> Api<ConfigMap> {
    Api::namespaced(api.client(), "shop")
}

fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_comes_in_pages_and_an_old_page_is_gone() {
    let api = FakeApi::default();
    for name in ["a", "b", "c"] {
        api.put(configmap(name, "1"));
    }
    let first = configmaps(&api).list(&ListParams::default().limit(2)).await.expect("a page");
    let names = |items: &[ConfigMap]| items.iter().filter_map(|item| item.metadata.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first.items), ["a", "b"]);
    let token = first.metadata.continue_.expect("there is more");
    let second = configmaps(&api).list(&ListParams::default().limit(2).continue_token(&token)).await.expect("a page");
    assert_eq!(names(&second.items), ["c"]);
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    api.put(configmap("d", "1"));
    api.compact();
    assert_eq!(code(configmaps(&api).list(&ListParams::default().continue_token(&token)).await), 410);
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happened_after_a_version_and_lags_behind() {
    let api = FakeApi::default();
    let from = configmaps(&api).list(&ListParams::default()).await.expect("a list").metadata.resource_version;
    let from = from.expect("a version");
    api.lag(Duration::from_secs(5));
    api.put(configmap("a", "1"));
    api.remove("v1", "configmaps", "shop", "a");
    let begin = tokio::time::Instant::now();
    let params = WatchParams::default().timeout(30);
    let events: Vec<_> =
        configmaps(&api).watch(&params, &from).await.expect("a watch").try_collect().await.expect("its end");
    assert!(matches!(&*events, [WatchEvent::Added(_), WatchEvent::Deleted(_)]), "{events:?}");
    assert_eq!(begin.elapsed().as_secs(), 30, "told after the lag, and ended by its own time");
    api.compact();
    let mut events = configmaps(&api).watch(&params, &from).await.expect("a watch").boxed();
    let told = events.try_next().await.expect("a line");
    assert!(matches!(&told, Some(WatchEvent::Error(status)) if status.code == 410), "{told:?}");
}

#[tokio::test]
async fn bookmarks_tell_how_far_a_watch_is() {
    let api = FakeApi::default();
    api.put(configmap("a", "1"));
    let mut events = configmaps(&api).watch(&WatchParams::default(), "100").await.expect("a watch").boxed();
    assert!(matches!(events.try_next().await, Ok(Some(WatchEvent::Added(_)))));
    api.bookmark();
    let told = events.try_next().await.expect("a line");
    assert!(matches!(&told, Some(WatchEvent::Bookmark(at)) if at.metadata.resource_version == "101"), "{told:?}");
    api.break_watches();
    assert!(events.try_next().await.is_err());
}

#[tokio::test]
async fn who_writes_over_an_older_version_is_told_so() {
    let api = FakeApi::default();
    let stale: ConfigMap = serde_json::from_value(api.put(configmap("a", "1"))).expect("an object");
    api.put(configmap("a", "2"));
    assert_eq!(code(configmaps(&api).replace("a", &PostParams::default(), &stale).await), 409);
    let preconditions = Preconditions { resource_version: stale.metadata.resource_version.clone(), uid: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    assert_eq!(code(configmaps(&api).delete("a", &params).await), 409);
    let apply = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "resourceVersion": stale.metadata.resource_version } });
    assert_eq!(code(configmaps(&api).patch("a", &PatchParams::apply("me"), &Patch::Apply(&apply)).await), 409);
    assert_eq!(code(configmaps(&api).patch("new", &PatchParams::apply("me"), &Patch::Apply(&apply)).await), 409);
}

#[tokio::test]
async fn an_apply_that_changes_nothing_has_no_new_version_and_one_that_forgets_takes_away() {
    let api = FakeApi::default();
    let apply = async |data: Value| {
        let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": data });
        configmaps(&api).patch("a", &PatchParams::apply("me").force(), &Patch::Apply(&config)).await.expect("applied")
    };
    let first = apply(json!({ "a": "1", "b": "2" })).await;
    assert_eq!(apply(json!({ "a": "1", "b": "2" })).await.metadata.resource_version, first.metadata.resource_version);
    api.edit("v1", "configmaps", "shop", "a", |object| object["data"]["theirs"] = "3".into());
    let data = apply(json!({ "a": "1" })).await.data.expect("data");
    assert_eq!(data.into_iter().collect::<Vec<_>>(), [("a".into(), "1".into()), ("theirs".into(), "3".into())]);
}

#[tokio::test]
async fn a_status_is_written_apart() {
    let api = FakeApi::default();
    api.put(json!({ "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "metadata": { "name": "vms", "namespace": "shop" }, "spec": { "a": 1 } }));
    let kind = kube::core::GroupVersionKind::gvk("rollcall.dev", "v1alpha1", "ServiceRegistration");
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let registrations: Api<kube::core::DynamicObject> = Api::namespaced_with(api.client(), "shop", &resource);
    let said = json!({ "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "spec": { "a": 2 }, "status": { "b": 3 } });
    let params = PatchParams::apply("me").force();
    let written = registrations.patch_status("vms", &params, &Patch::Apply(&said)).await.expect("written");
    assert_eq!((&written.data["spec"]["a"], &written.data["status"]["b"]), (&json!(1), &json!(3)));
    assert_eq!(written.metadata.generation, Some(1));
    let edited = api
        .edit("rollcall.dev/v1alpha1", "serviceregistrations", "shop", "vms", |object| object["spec"]["a"] = 4.into());
    assert_eq!(edited.expect("there")["metadata"]["generation"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_said_by_rules() {
    let api = FakeApi::default();
    let quota = api.rule(|asked| (asked.verb == Verb::Create).then(|| Refusal::quota(asked).into()));
    let object: ConfigMap = serde_json::from_value(configmap("a", "1")).expect("an object");
    let create = || async { configmaps(&api).create(&PostParams::default(), &object).await };
    let refused = create().await.expect_err("refused").to_string();
    assert!(refused.contains("exceeded quota"), "{refused}");
    api.allow(quota);
    let lost = api.rule(|asked| asked.is_write().then_some(Fault::AnswerLost));
    assert!(create().await.is_err());
    assert!(api.get("v1", "configmaps", "shop", "a").is_some(), "it was made all the same");
    api.allow(lost);
    assert_eq!(code(create().await), 409);
    api.rule(|_| Some(Fault::Silent));
    assert!(tokio::time::timeout(Duration::from_secs(3), create()).await.is_err());
    let events: Api<Event> = Api::all(api.client());
    assert!(tokio::time::timeout(Duration::from_secs(3), events.list(&ListParams::default())).await.is_err());
    assert_eq!(api.writes().len(), 4);
}
