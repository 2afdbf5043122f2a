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
    use k8s_openapi::api::core::v1::Service;
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
}
