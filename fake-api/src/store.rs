//! Objects, and the log of what happened to them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::asked::Asked;

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// `v1`, `discovery.k8s.io/v1`.
    pub api_version: String,
    /// In the plural: `services`.
    pub resource: String,
    /// Empty for objects of the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) version: u64,
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub(crate) what: &'static str,
    pub(crate) place: Place,
    pub(crate) object: Value,
    /// Watches tell it from then on.
    pub(crate) visible: Instant,
}

/// Every object, and what happened since the last compaction.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<Place, Value>,
    /// What each manager applied last, by object, manager and subresource.
    pub(crate) applied: BTreeMap<(Place, String, String), Value>,
    pub(crate) log: Vec<Happened>,
    /// Versions up to this one are not known any more.
    pub(crate) compacted: u64,
    pub(crate) version: u64,
    pub(crate) lag: Duration,
    /// Fields that are not kept: resource, and JSON pointer.
    pub(crate) unknown: Vec<(String, String)>,
    uids: u64,
    start: Instant,
}

/// When the server's clock starts: a fixed time, so that tests can name times.
const START: &str = "2026-11-01T00:00:00Z";

// === impl Place ===

impl Place {
    /// The place that a request is about.
    pub(crate) fn of(asked: &Asked) -> Self {
        Self {
            api_version: asked.api_version.clone(),
            resource: asked.resource.clone(),
            namespace: asked.namespace.clone(),
            name: asked.name.clone(),
        }
    }

    /// Whether a list or watch of `asked` covers it.
    pub(crate) fn is_in(&self, asked: &Asked) -> bool {
        self.api_version == asked.api_version
            && self.resource == asked.resource
            && (asked.namespace.is_empty() || self.namespace == asked.namespace)
    }
}

// === impl Store ===

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            applied: BTreeMap::new(),
            log: Vec::new(),
            compacted: 0,
            version: 100,
            lag: Duration::ZERO,
            unknown: Vec::new(),
            uids: 0,
            start: Instant::now(),
        }
    }
}

impl Store {
    /// The server's own clock.
    pub(crate) fn now(&self) -> Timestamp {
        let start: Timestamp = START.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        start.checked_add(self.start.elapsed()).unwrap_or(start)
    }

    /// Puts an object where it belongs, with the metadata that the server owns. A write that changes nothing is none.
    pub(crate) fn put(&mut self, place: &Place, mut object: Value) -> Value {
        let before = self.objects.get(place).cloned();
        object["metadata"]["name"] = place.name.clone().into();
        if !place.namespace.is_empty() {
            object["metadata"]["namespace"] = place.namespace.clone().into();
        }
        match &before {
            Some(before) => {
                for owned in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
                    object["metadata"][owned] = before["metadata"][owned].clone();
                }
                if object == *before {
                    return object;
                }
                if desired(&object) != desired(before) {
                    let generation = before["metadata"]["generation"].as_i64().unwrap_or(1);
                    object["metadata"]["generation"] = (generation + 1).into();
                }
            }
            None => {
                self.uids += 1;
                object["metadata"]["uid"] = format!("00000000-0000-4000-8000-{:012}", self.uids).into();
                object["metadata"]["creationTimestamp"] = seconds(self.now()).into();
                object["metadata"]["generation"] = 1.into();
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(place.clone(), object.clone());
        self.happened(if before.is_some() { "MODIFIED" } else { "ADDED" }, place, object.clone());
        object
    }

    /// Takes an object away: at once, or when its finalizers are gone.
    pub(crate) fn remove(&mut self, place: &Place) -> Option<Value> {
        let mut object = self.objects.get(place)?.clone();
        if object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()) {
            object["metadata"]["deletionTimestamp"] = seconds(self.now()).into();
            return Some(self.put(place, object));
        }
        self.objects.remove(place);
        self.applied.retain(|(of, ..), _| of != place);
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.happened("DELETED", place, object.clone());
        Some(object)
    }

    fn happened(&mut self, what: &'static str, place: &Place, object: Value) {
        let visible = Instant::now() + self.lag;
        self.log.push(Happened { version: self.version, what, place: place.clone(), object, visible });
    }
}

/// What `metadata.generation` counts: all but metadata and status.
fn desired(object: &Value) -> Value {
    let mut desired = object.clone();
    if let Some(fields) = desired.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    desired
}

/// Times in metadata are whole seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// The version of a written object.
pub(crate) fn version_of(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty())
}

/// The metadata of a list.
pub(crate) fn list_meta(version: u64, next: Option<String>) -> Value {
    json!({ "resourceVersion": version.to_string(), "continue": next.unwrap_or_default() })
}
