//! `maintenance`: a change of the registration's spec, by the Kubernetes API, as the user of the kubeconfig: it lasts, and is
//! theirs.

use http::{Method, Request, header};
use kube::Client;
use serde_json::{Value, json};

use super::get::list;
use crate::args::{Reach, Switch};
use crate::ask::path;
use crate::failure::Failure;
use crate::output::print;
use crate::reach;

/// Tries over a version that somebody else has changed meanwhile.
const TRIES: usize = 5;

pub(super) async fn run(
    reach: &Reach,
    switch: Switch,
    registration: &str,
    endpoint: Option<&str>,
    reason: &str,
) -> Result<(), Failure> {
    let cluster = reach::cluster(reach).await?;
    let namespace = reach.namespace.clone().unwrap_or_else(|| cluster.config.default_namespace.clone());
    let asked =
        path(["apis", "rollcall.dev", "v1alpha1", "namespaces", &namespace, "serviceregistrations", registration], []);
    let what = format!("ServiceRegistration {namespace}/{registration}");
    let mut tries = 0;
    let changed = loop {
        let object = ask(&cluster.client, Method::GET, &asked, None).await;
        let object = object.map_err(|error| Failure::of_kubernetes(&what, &error))?;
        let Some(patch) = patch(&object, switch, endpoint, reason)? else { break false };
        match ask(&cluster.client, Method::PATCH, &asked, Some(&patch)).await {
            Ok(_) => break true,
            // The test in the patch failed, or the version: somebody was faster.
            Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => tries += 1,
            Err(error) => return Err(Failure::of_kubernetes(&what, &error)),
        }
    };
    let subject = endpoint.map_or_else(|| what.clone(), |endpoint| format!("endpoint {endpoint} of {what}"));
    let words = match (switch, changed) {
        (Switch::On, true) => "is in maintenance: callers do not get it any more",
        (Switch::On, false) => "is in maintenance already",
        (Switch::Off, true) => "is out of maintenance: callers get it as soon as it is healthy",
        (Switch::Off, false) => "is not in maintenance",
    };
    print(&format!("{subject} {words}\n"))
}

/// RFC 6902, over the version that was seen; `None` when all is as it should be.
fn patch(object: &Value, switch: Switch, endpoint: Option<&str>, reason: &str) -> Result<Option<Value>, Failure> {
    let spec = &object["spec"];
    let (place, current) = match endpoint {
        None => ("/spec/maintenance".to_owned(), &spec["maintenance"]),
        Some(name) => {
            let endpoints = list(&spec["endpoints"]);
            let Some(at) = endpoints.iter().position(|endpoint| endpoint["name"] == name) else {
                let known: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint["name"].as_str()).collect();
                let words = format!("it registers no endpoint {name}; there is {}", known.join(", "));
                return Err(Failure::NotFound(words));
            };
            (format!("/spec/endpoints/{at}/maintenance"), &endpoints[at]["maintenance"])
        }
    };
    let change = match switch {
        Switch::On if current["reason"] == reason => return Ok(None),
        Switch::Off if current.is_null() => return Ok(None),
        Switch::On => json!({ "op": "add", "path": place, "value": { "reason": reason } }),
        Switch::Off => json!({ "op": "remove", "path": place }),
    };
    // With it, the API server refuses what is meant for another version, so that no index is another endpoint's.
    let version = &object["metadata"]["resourceVersion"];
    let seen = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version });
    Ok(Some(json!([seen, change])))
}

async fn ask(client: &Client, method: Method, path: &str, patch: Option<&Value>) -> Result<Value, kube::Error> {
    let body = patch.map(|patch| patch.to_string().into_bytes()).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json-patch+json")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Value {
        json!({
            "metadata": { "resourceVersion": "7" },
            "spec": { "endpoints": [{ "name": "vm-1" }, { "name": "vm-2", "maintenance": { "reason": "new disk" } }] },
        })
    }

    #[test]
    fn what_is_as_it_should_be_is_not_changed_and_the_rest_over_the_version_that_was_seen() {
        let of = |switch, endpoint| patch(&object(), switch, endpoint, "new disk").expect("an endpoint");
        assert_eq!(of(Switch::On, Some("vm-2")), None);
        assert_eq!(of(Switch::Off, Some("vm-1")), None);
        assert_eq!(of(Switch::Off, None), None);
        let on = of(Switch::On, Some("vm-1")).expect("a change");
        assert_eq!(on[0]["value"], "7");
        assert_eq!(
            on[1],
            json!({ "op": "add", "path": "/spec/endpoints/0/maintenance", "value": { "reason": "new disk" } })
        );
        let off = of(Switch::Off, Some("vm-2")).expect("a change");
        assert_eq!(off[1], json!({ "op": "remove", "path": "/spec/endpoints/1/maintenance" }));
        let unknown = patch(&object(), Switch::On, Some("vm-3"), "x").expect_err("refused");
        assert!(unknown.code() == 1 && unknown.to_string().contains("there is vm-1, vm-2"), "{unknown}");
    }
}
