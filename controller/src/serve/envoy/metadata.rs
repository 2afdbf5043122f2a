//! What is said about an endpoint beside where it is, as metadata of Envoy's: for subsets and access logs what its owner says,
//! for people where it comes from and why it is as it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prost::Message;
use rollcall_catalog::input::OriginKind;
use rollcall_catalog::model::{Attributes, Name};
use rollcall_catalog::service::Member;

use super::endpoint::Standing;
use super::levels::Ranked;
use super::reach::Reach;

/// What Envoy selects subsets by: `{tags: ["canary"], version: "1.2"}`.
pub(in crate::serve) const SELECTORS: &str = "envoy.lb";

/// The key of the tags among them.
pub(in crate::serve) const TAGS: &str = "tags";

/// What people are told: `{origin: "ServiceRegistration/payments-vm", name: "vm-1", reason: "…", since: "…"}`.
const ABOUT: &str = "rollcall.dev";

/// How much weight is missing in a locality.
const MISSING: &str = "missing";

/// The weight of a locality, where the one beside it says how much of all traffic it takes.
const WEIGHT: &str = "weight";

/// Whose a locality's endpoints are, where that is not this cluster.
const REACH: &str = "reach";

/// `envoy.config.core.v3.Metadata`, with maps in order: equal content must be equal bytes on every replica.
#[derive(Clone, PartialEq, Message)]
pub(in crate::serve) struct Metadata {
    #[prost(btree_map = "string, message", tag = "1")]
    filter_metadata: BTreeMap<String, Struct>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Value>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(oneof = "Kind", tags = "3, 6")]
    kind: Option<Kind>,
}

/// The kinds of `google.protobuf.Value` that are used here.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(message, tag = "6")]
    List(List),
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

// === impl Metadata ===

impl Metadata {
    /// `None` when there is nothing to say: of pods that are simply ready, which are most, and whose labels change without
    /// meaning for callers; and of those of other clusters, of which there may be millions: whose they are stands in their locality,
    /// and their name there is their address.
    pub(super) fn of(member: &Member) -> Option<Self> {
        let registered = is_registered(member);
        let mut about = Vec::new();
        if let Some((reason, since_s)) = member.told() {
            about.push(("reason", reason.to_string()));
            let since = since_s.and_then(|since_s| Timestamp::from_second(since_s).ok());
            about.extend(since.map(|since| ("since", since.to_string())));
        } else if Standing::of(member) == Some(Standing::Draining) {
            about.push(("reason", "it is being shut down".to_owned()));
        }
        let is_own = registered && member.origin.kind != OriginKind::Import;
        if is_own || (registered && !about.is_empty()) {
            about.push(("origin", member.origin.to_string()));
        }
        if !about.is_empty() {
            about.push(("name", member.endpoint.name().to_string()));
        }
        let selectors = registered.then(|| selectors(&member.endpoint.attributes));
        let said = [(SELECTORS, selectors.unwrap_or_default()), (ABOUT, texts(about))];
        let said = said.into_iter().filter(|(_, said)| !said.fields.is_empty());
        let filter_metadata: BTreeMap<_, _> = said.map(|(key, said)| (key.to_owned(), said)).collect();
        (!filter_metadata.is_empty()).then_some(Self { filter_metadata })
    }

    /// Of a locality: what it has to be ranked by anew. How much weight is missing there, where that is so much that others have to
    /// carry some of it: what comes and goes all the time, as pods do, is not worth a change. Its own weight, where `given` is
    /// another. And whose it is.
    pub(super) fn of_locality(of: &Ranked, given: u32) -> Option<Self> {
        let is_missed = of.weight > 0 && lacks(of.weight.into(), of.missing.into());
        let missing = is_missed.then(|| (MISSING, of.missing.to_string()));
        let weight = (of.weight != given).then(|| (WEIGHT, of.weight.to_string()));
        let reach = of.reach.word().map(|word| (REACH, word.to_owned()));
        let said: Vec<_> = missing.into_iter().chain(weight).chain(reach).collect();
        (!said.is_empty()).then(|| Self::of_texts(said))
    }

    /// The weight that is missing in a locality.
    pub(super) fn missing(&self) -> Option<u32> {
        self.said(MISSING)?.parse().ok()
    }

    /// A locality's own weight.
    pub(super) fn weight(&self) -> Option<u32> {
        self.said(WEIGHT)?.parse().ok()
    }

    /// Whose a locality's endpoints are.
    pub(super) fn reach(&self) -> Reach {
        self.said(REACH).map(Reach::read).unwrap_or_default()
    }

    fn said(&self, key: &str) -> Option<&str> {
        match self.filter_metadata.get(ABOUT)?.fields.get(key)?.kind.as_ref()? {
            Kind::Text(said) => Some(said),
            Kind::List(_) => None,
        }
    }

    /// Of texts, as something is said about a whole resource.
    pub(in crate::serve) fn of_texts(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { filter_metadata: [(ABOUT.to_owned(), texts(pairs))].into() }
    }
}

/// Whether what is there cannot carry what is meant for all: endpoints take 1.4 times their share, which is Envoy's
/// overprovisioning factor.
pub(in crate::serve) fn lacks(weight: u64, missing: u64) -> bool {
    7 * weight < 5 * (weight + missing)
}

/// What an endpoint may be chosen by.
pub(super) fn keys(member: &Member) -> impl Iterator<Item = Name> {
    let attributes = Some(&member.endpoint.attributes).filter(|_| is_registered(member));
    let tags = attributes.filter(|said| !said.tags.is_empty()).map(|_| Name::from(TAGS));
    tags.into_iter().chain(attributes.into_iter().flat_map(|said| said.metadata.keys().cloned()))
}

fn is_registered(member: &Member) -> bool {
    match member.origin.kind {
        OriginKind::ServiceRegistration | OriginKind::Import => true,
        OriginKind::EndpointSlice | OriginKind::Service => false,
    }
}

/// Tags as a list; free metadata beside them, unless it is called as they are.
fn selectors(attributes: &Attributes) -> Struct {
    let pairs = attributes.metadata.iter().map(|(key, said)| (key.to_string(), text(said)));
    let mut fields: BTreeMap<_, _> = pairs.collect();
    if !attributes.tags.is_empty() {
        let values = attributes.tags.iter().map(|tag| text(tag)).collect();
        fields.insert(TAGS.to_owned(), Value { kind: Some(Kind::List(List { values })) });
    }
    Struct { fields }
}

fn texts(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Struct {
    Struct { fields: pairs.into_iter().map(|(key, said)| (key.to_owned(), text(&said))).collect() }
}

fn text(text: &str) -> Value {
    Value { kind: Some(Kind::Text(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use envoy_types::pb::envoy::config::core::v3 as envoy;
    use envoy_types::pb::google::protobuf::value::Kind as Theirs;
    use rollcall_catalog::model::{Endpoint, Health};

    use super::*;
    use crate::testing::*;

    /// As somebody else reads it.
    fn read(member: &Member) -> envoy::Metadata {
        let ours = Metadata::of(member).expect("something is said");
        envoy::Metadata::decode(&*ours.encode_to_vec()).expect("the same message")
    }

    fn member(change: impl FnOnce(&mut Endpoint)) -> Member {
        let mut machine = Endpoint::clone(&vm("vm-1", "198.51.100.1"));
        change(&mut machine);
        merged([registered("payments", vec![Arc::new(machine)])]).endpoints[0].clone()
    }

    #[test]
    fn envoy_selects_by_tags_and_by_metadata() {
        let metadata = [("version".into(), "1.2".into()), ("rack".into(), "7".into())];
        let attributes =
            Attributes { tags: vec!["canary".into(), "new".into()], metadata: metadata.into(), machine: None };
        let theirs = read(&member(|machine| machine.attributes = attributes.into()));
        let kind = |key: &str| theirs.filter_metadata[SELECTORS].fields[key].kind.clone().expect("a value");
        let Theirs::ListValue(tags) = kind("tags") else { panic!("tags are a list") };
        assert_eq!(tags.values[1].kind, Some(Theirs::StringValue("new".to_owned())));
        assert_eq!(kind("rack"), Theirs::StringValue("7".to_owned()));
    }

    #[test]
    fn people_are_told_where_it_comes_from_and_what_the_complaint_is() {
        let said = |member: &Member| {
            let of = read(member).filter_metadata.remove(ABOUT).expect("something about it").fields;
            let text = |(key, value): (String, envoy_types::pb::google::protobuf::Value)| match value.kind {
                Some(Theirs::StringValue(said)) => format!("{key}: {said}"),
                kind => panic!("{kind:?}"),
            };
            let mut said: Vec<_> = of.into_iter().map(text).collect();
            said.sort();
            said
        };
        let mut member = member(|_| ());
        assert_eq!(said(&member), ["name: vm-1", "origin: ServiceRegistration/vms"]);
        (member.health, member.reason, member.since_ms) =
            (Health::Warning, "the disk is almost full".into(), Some(61_500));
        assert_eq!(said(&member)[2..], ["reason: the disk is almost full", "since: 1970-01-01T00:01:01Z"]);
    }

    #[test]
    fn of_what_another_cluster_exports_it_is_told_what_is_wrong_and_what_it_may_be_chosen_by() {
        let attributes = Attributes { tags: vec!["canary".into()], ..Attributes::default() };
        let mut imported = member(|machine| machine.attributes = attributes.into());
        imported.origin = origin(OriginKind::Import, "payments");
        let said = read(&imported).filter_metadata;
        assert_eq!(said.keys().collect::<Vec<_>>(), [SELECTORS]);
        (imported.health, imported.reason) = (Health::Warning, "its cluster has been silent".into());
        let mut about: Vec<_> = read(&imported).filter_metadata[ABOUT].fields.keys().cloned().collect();
        about.sort();
        assert_eq!(about, ["name", "origin", "reason"]);
        assert_eq!(Metadata::of(&Member { health: Health::Passing, ..plain(imported) }), None);
    }

    /// Without what its owner says.
    fn plain(mut member: Member) -> Member {
        Arc::make_mut(&mut member.endpoint).attributes = Arc::default();
        member
    }

    #[test]
    fn of_a_pod_that_is_ready_nothing_is_said_and_of_one_that_ends_that_it_does() {
        let mut pod = member(|_| ());
        pod.origin = origin(OriginKind::EndpointSlice, "payments-x7");
        assert_eq!(Metadata::of(&pod), None);
        (pod.conditions.ready, pod.conditions.terminating) = (false, true);
        assert!(read(&pod).filter_metadata[ABOUT].fields.contains_key("reason"));
    }
}
