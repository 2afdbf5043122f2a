//! Decoding that lets one bad object harm only itself.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object as the API server sent it: decoded, or its metadata and the reason why it could not be.
///
/// kube's own `DeserializeGuard` copies every object through a generic value twice; this reads the text once, and a
/// second time only when it is bad.
#[derive(Clone, Debug)]
pub enum Guarded<K> {
    /// An object of the expected shape.
    Good(Box<K>),
    /// An object of another shape, such as one that a newer API server wrote.
    Bad(Box<Bad>),
}

/// What is known of an object that could not be decoded.
#[derive(Clone, Debug, Deserialize)]
pub struct Bad {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its status, as it was sent; `null` without one.
    #[serde(default)]
    pub status: Value,
    /// Why it could not.
    #[serde(skip)]
    pub words: String,
}

// === impl Guarded ===

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Box<RawValue>>::deserialize(deserializer)?;
        match serde_json::from_str(text.get()) {
            Ok(object) => Ok(Self::Good(Box::new(object))),
            Err(error) => {
                let bad: Bad = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
                Ok(Self::Bad(Box::new(Bad { words: error.to_string(), ..bad })))
            }
        }
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(dt: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &K::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &K::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Good(object) => object.meta(),
            Self::Bad(bad) => &bad.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Good(object) => object.meta_mut(),
            Self::Bad(bad) => &mut bad.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Pod, Service};
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use kube::core::{ObjectList, WatchEvent};

    use super::*;

    const BAD: &str = r#"{"metadata": {"name": "odd", "namespace": "shop"}, "spec": {"ports": "none"}}"#;
    const GOOD: &str = r#"{"metadata": {"name": "payments", "namespace": "shop"}, "spec": {}}"#;

    #[test]
    fn a_list_with_a_bad_object_yields_the_others_and_its_name() {
        let list = format!(
            r#"{{"apiVersion": "v1", "kind": "ServiceList", "metadata": {{"resourceVersion": "7"}}, "items": [{BAD}, {GOOD}]}}"#
        );
        let list: ObjectList<Guarded<Service>> = serde_json::from_str(&list).expect("a list");
        assert!(
            matches!(&list.items[0], Guarded::Bad(bad) if bad.metadata.name.as_deref() == Some("odd") && bad.words.contains("expected"))
        );
        assert!(matches!(&list.items[1], Guarded::Good(_)));
    }

    #[test]
    fn a_watch_event_of_a_bad_object_names_it() {
        let event = format!(r#"{{"type": "MODIFIED", "object": {BAD}}}"#);
        let event: WatchEvent<Guarded<Service>> = serde_json::from_str(&event).expect("an event");
        assert!(matches!(event, WatchEvent::Modified(Guarded::Bad(..))));
    }

    fn is_good<K: serde::de::DeserializeOwned + kube::Resource>(object: &str) -> bool {
        matches!(serde_json::from_str::<Guarded<K>>(object), Ok(Guarded::Good(_)))
    }

    #[test]
    fn a_part_that_is_null_is_as_one_that_is_absent() {
        const META: &str = r#""metadata": {"name": "a", "namespace": "shop", "labels": null, "annotations": null, "ownerReferences": null}"#;
        for parts in [
            r#""endpoints": null, "ports": null"#,
            r#""endpoints": []"#,
            r#""endpoints": [{"addresses": ["192.0.2.1"], "conditions": null, "hints": null, "targetRef": null, "zone": null}]"#,
            r#""endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": null, "serving": null, "terminating": null}}]"#,
            r#""endpoints": [], "ports": [{"name": null, "port": null, "protocol": null, "appProtocol": null}]"#,
        ] {
            assert!(is_good::<EndpointSlice>(&format!(r#"{{{META}, "addressType": "IPv4", {parts}}}"#)), "{parts}");
        }
        for spec in [
            r#""spec": null"#,
            r#""spec": {"ports": null, "selector": null, "clusterIPs": null, "ipFamilies": null, "externalName": null}"#,
            r#""spec": {"type": "ExternalName", "externalName": "db.example.net", "clusterIP": null}"#,
            r#""spec": {}, "status": null"#,
        ] {
            assert!(is_good::<Service>(&format!("{{{META}, {spec}}}")), "{spec}");
        }
        for status in [r#""status": null"#, r#""status": {"podIPs": null, "conditions": null}"#, r#""spec": null"#] {
            assert!(is_good::<Pod>(&format!("{{{META}, {status}}}")), "{status}");
        }
    }
}
