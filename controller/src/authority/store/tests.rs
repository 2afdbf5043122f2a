use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response};
use k8s_openapi::ByteString;
use kube::client::Body;
use tonic::codegen::Service;

use super::*;
use crate::authority::record::SECRET_KEY;

/// An API server that notes what it is asked and answers by a function.
#[derive(Clone)]
struct ApiServer {
    asked: Arc<Mutex<Vec<String>>>,
    answer: fn(&str) -> (u16, serde_json::Value),
}

impl Service<Request<Body>> for ApiServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let asked = format!("{} {}", request.method(), request.uri().path());
        let (status, json) = (self.answer)(&asked);
        self.asked.lock().expect("not poisoned").push(asked);
        let response = Response::builder().status(status).body(Body::from(json.to_string().into_bytes()));
        ready(Ok(response.expect("a response")))
    }
}

fn objects(answer: fn(&str) -> (u16, serde_json::Value)) -> (Objects, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let client = Client::new(ApiServer { asked: asked.clone(), answer }, "default");
    (Objects::new(client, "rollcall-system", "rollcall-authority", "rollcall-ca"), asked)
}

fn failure(code: u16, reason: &str, message: &str) -> (u16, serde_json::Value) {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code,
    });
    (code, status)
}

fn existing(asked: &str) -> (u16, serde_json::Value) {
    let (kind, name) =
        if asked.contains("/secrets/") { ("Secret", "rollcall-authority") } else { ("ConfigMap", "rollcall-ca") };
    let object = serde_json::json!({
        "kind": kind, "apiVersion": "v1", "metadata": {"name": name, "namespace": "rollcall-system", "resourceVersion": "7"},
    });
    (200, object)
}

#[tokio::test]
async fn two_names_are_read_and_written_and_nothing_else() {
    let (objects, asked) = objects(existing);
    let found = objects.read().await.expect("both are there");
    assert_eq!((found.data().len(), found.bundle()), (0, None));
    let data = Data::from([(SECRET_KEY.to_owned(), ByteString(b"{}".to_vec()))]);
    assert_eq!(found.clone().into_secret(data.clone()).metadata.resource_version.as_deref(), Some("7"), "guarded");
    objects.write_authority(found.clone(), data).await.expect("written");
    objects.write_bundle(found, "pem".to_owned()).await.expect("written");
    let (secret, configmap) = ("secrets/rollcall-authority", "configmaps/rollcall-ca");
    // The bundle is read before the authority: read after it, another replica's newer one would be taken for a stale one.
    let expected = [("GET", configmap), ("GET", secret), ("PUT", secret), ("PUT", configmap)];
    let expected = expected.map(|(verb, object)| format!("{verb} /api/v1/namespaces/rollcall-system/{object}"));
    assert_eq!(*asked.lock().expect("not poisoned"), expected);
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_remedy() {
    let said = async |answer| objects(answer).0.read().await.expect_err("refused").to_string();
    let missing = said(|asked| match asked.contains("/secrets/") {
        true => failure(404, "NotFound", "secrets \"rollcall-authority\" not found"),
        false => existing(asked),
    })
    .await;
    assert!(missing.contains("Secret rollcall-system/rollcall-authority does not exist"), "{missing}");
    assert!(missing.ends_with("kubectl -n rollcall-system create secret generic rollcall-authority"), "{missing}");
    let forbidden = said(|asked| {
        if asked.contains("/secrets/") {
            return existing(asked);
        }
        let message = "configmaps \"rollcall-ca\" is forbidden: User \"system:serviceaccount:rollcall-system:rollcall\" cannot get \
                       resource \"configmaps\" in API group \"\" in the namespace \"rollcall-system\"";
        failure(403, "Forbidden", message)
    })
    .await;
    assert!(forbidden.contains("cannot get ConfigMap rollcall-system/rollcall-ca"), "{forbidden}");
    assert!(
        forbidden.contains("ServiceAccount rollcall-system/rollcall") && forbidden.contains("rbac.create=true"),
        "{forbidden}"
    );
}

#[tokio::test]
async fn a_write_over_a_newer_object_is_a_conflict() {
    let (objects, _) =
        objects(|asked| if asked.starts_with("PUT") { failure(409, "Conflict", "modified") } else { existing(asked) });
    let found = objects.read().await.expect("both are there");
    assert_eq!(objects.write_bundle(found, String::new()).await, Err(Trouble::Conflict));
}
