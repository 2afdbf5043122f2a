//! Namespaces by their labels.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Namespaces of this cluster, by their labels there: those that fit all that is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)")
        .message("namespaceSelector: give matchLabels or matchExpressions; for all namespaces write namespaces: ['*'] in its place"),
)]
pub struct NamespaceSelector {
    /// Labels that a namespace must have, with their values, at most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = labels)]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() >= 1 && key.size() <= 317)")
            .message("namespaceSelector matchLabels: give keys of labels, such as team or example.net/team"),
        validation = Rule::new("self.all(key, type(self[key]) == string)")
            .message("namespaceSelector matchLabels: values are texts; put numbers into quotes, such as tier: \"2\""),
    )]
    pub match_labels: BTreeMap<String, String>,
    /// What else must be so of its labels, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<LabelRequirement>,
}

/// What must be so of one label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && self.values.size() > 0)")
        .message("namespaceSelector matchExpressions: give values with In and NotIn, and none with Exists and DoesNotExist"),
)]
pub struct LabelRequirement {
    /// Its key.
    #[schemars(length(max = 317))]
    #[x_kube(
        validation = Rule::new("self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')")
            .message("namespaceSelector key: give the key of a label, such as team or example.net/team"),
    )]
    pub key: String,
    /// In: it has one of these values. NotIn: it has none of them, or the label is absent. Exists, DoesNotExist: whatever its value.
    pub operator: LabelOperator,
    /// Values, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new("self.all(value, value.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))")
            .message("namespaceSelector values: give values of labels, such as prod: letters, digits, -, _ and . of at most 63 characters"),
    )]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It has one of the values.
    #[default]
    In,
    /// It has none of them.
    NotIn,
    /// It is there.
    Exists,
    /// It is not.
    DoesNotExist,
    /// A word of a newer version of the API: nobody knows what fits. Never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unsupported,
}

/// Bounds them. A number in the place of a text passes the type, so that a rule can say what to write.
fn labels(schema: &mut Schema) {
    let object = schema.ensure_object();
    object.insert("maxProperties".into(), json!(32));
    object.insert("additionalProperties".into(), json!({"x-kubernetes-int-or-string": true, "maxLength": 63}));
}
