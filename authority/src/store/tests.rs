//! Tests: the Secret and the ConfigMap in the Kubernetes API.

use k8s_openapi::ByteString;
use rollcall_fake_api::{FakeApi, Refusal, Verb};
use serde_json::json;

use super::*;
use crate::record::SECRET_KEY;

const NAMESPACE: &str = "rollcall-system";

/// An API server with both objects.
fn api() -> FakeApi {
    let api = FakeApi::default();
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
        let metadata = json!({ "name": name, "namespace": NAMESPACE });
        api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
    }
    api
}

fn objects(api: &FakeApi) -> Objects {
    Objects::new(api.client(), NAMESPACE, "rollcall-authority", "rollcall-ca", |error| {
        format!("{error}, in the words of the program")
    })
}

#[tokio::test]
async fn two_names_are_read_and_written_and_nothing_else() {
    let api = api();
    let objects = objects(&api);
    let found = objects.read().await.expect("both are there");
    assert_eq!((found.data().len(), found.bundle()), (0, None));
    let data = Data::from([(SECRET_KEY.to_owned(), ByteString(b"{}".to_vec()))]);
    objects.write_authority(found.clone(), data).await.expect("written");
    objects.write_bundle(found, "pem".to_owned()).await.expect("written");
    let (secret, configmap) = ("secrets/rollcall-authority", "configmaps/rollcall-ca");
    // The bundle is read before the authority: read after it, another replica's newer one would be taken for a stale one.
    let expected = [("GET", configmap), ("GET", secret), ("PUT", secret), ("PUT", configmap)];
    let expected = expected.map(|(verb, object)| format!("{verb} /api/v1/namespaces/rollcall-system/{object}"));
    assert_eq!(api.asked().iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_remedy() {
    let said = async |api: &FakeApi| objects(api).read().await.expect_err("refused").to_string();
    let without = api();
    without.remove("v1", "secrets", NAMESPACE, "rollcall-authority");
    let missing = said(&without).await;
    assert!(missing.contains("Secret rollcall-system/rollcall-authority does not exist"), "{missing}");
    assert!(missing.ends_with("kubectl -n rollcall-system create secret generic rollcall-authority"), "{missing}");
    let denied = api();
    denied.rule(|asked| (asked.resource == "configmaps").then(|| Refusal::forbidden(asked).into()));
    let forbidden = said(&denied).await;
    assert!(forbidden.contains("cannot get ConfigMap rollcall-system/rollcall-ca"), "{forbidden}");
    assert!(forbidden.ends_with(", in the words of the program"), "{forbidden}");
}

#[tokio::test]
async fn a_write_over_a_newer_object_is_a_conflict() {
    let api = api();
    let objects = objects(&api);
    let found = objects.read().await.expect("both are there");
    api.edit("v1", "configmaps", NAMESPACE, "rollcall-ca", |object| object["data"] = json!({ "theirs": "1" }));
    assert_eq!(objects.write_bundle(found, String::new()).await, Err(Trouble::Conflict));
    assert!(api.writes().iter().all(|asked| asked.verb == Verb::Update), "nothing is created");
}
