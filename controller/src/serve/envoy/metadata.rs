//! What an owner says about an endpoint, as metadata of Envoy's: for access logs, and for filters that select by it.

use std::collections::BTreeMap;

use prost::Message;
use rollcall_catalog::model::Attributes;

/// Where it stands in Envoy's metadata: `{tags: ["canary"], metadata: {version: "1.2"}}`.
pub(in crate::serve) const KEY: &str = "dev.rollcall";

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
    #[prost(oneof = "Kind", tags = "3, 5, 6")]
    kind: Option<Kind>,
}

/// The kinds of `google.protobuf.Value` that are used here.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(message, tag = "5")]
    Struct(Struct),
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
    /// `None` when there is nothing to say.
    pub(super) fn of(attributes: &Attributes) -> Option<Self> {
        let mut fields = BTreeMap::new();
        if !attributes.tags.is_empty() {
            let values = attributes.tags.iter().map(|tag| text(tag)).collect();
            fields.insert("tags".to_owned(), value(Kind::List(List { values })));
        }
        if !attributes.metadata.is_empty() {
            let pairs = attributes.metadata.iter().map(|(key, value)| (key.to_string(), text(value)));
            fields.insert("metadata".to_owned(), value(Kind::Struct(Struct { fields: pairs.collect() })));
        }
        let said = !fields.is_empty();
        said.then(|| Self { filter_metadata: [(KEY.to_owned(), Struct { fields })].into() })
    }
}

impl Metadata {
    /// Of texts, as something is said about a whole resource.
    pub(in crate::serve) fn of_texts(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let fields = pairs.into_iter().map(|(key, said)| (key.to_owned(), text(&said))).collect();
        Self { filter_metadata: [(KEY.to_owned(), Struct { fields })].into() }
    }
}

fn text(text: &str) -> Value {
    value(Kind::Text(text.to_owned()))
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3 as envoy;
    use envoy_types::pb::google::protobuf::value::Kind as Theirs;

    use super::*;

    #[test]
    fn envoy_reads_tags_as_a_list_and_metadata_as_fields() {
        let metadata = [("version".into(), "1.2".into()), ("rack".into(), "7".into())];
        let attributes =
            Attributes { tags: vec!["canary".into(), "new".into()], metadata: metadata.into(), machine: None };
        let ours = Metadata::of(&attributes).expect("something is said");
        let theirs = envoy::Metadata::decode(&*ours.encode_to_vec()).expect("the same message");
        let fields = &theirs.filter_metadata[KEY].fields;
        let kind = |key: &str| fields[key].kind.clone().expect("a value");
        let Theirs::ListValue(tags) = kind("tags") else { panic!("tags are a list") };
        assert_eq!(tags.values[1].kind, Some(Theirs::StringValue("new".to_owned())));
        let Theirs::StructValue(metadata) = kind("metadata") else { panic!("metadata is a struct") };
        assert_eq!(metadata.fields["rack"].kind, Some(Theirs::StringValue("7".to_owned())));
        assert_eq!(Metadata::of(&Attributes::default()), None);
    }
}
