//! What schemars says differently from what Kubernetes wants to hear.

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::{Value, json};

/// CEL: a DNS label (RFC 1123 §2.1), as Kubernetes names Services and hosts. A rule and no `pattern`, since the API
/// server says of a pattern only its expression, and says it before any rule can name the remedy.
pub(crate) const IS_LABEL: &str = "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";
/// CEL: a DNS subdomain (RFC 1123 §2.1), as Kubernetes names Secrets.
pub(crate) const IS_SUBDOMAIN: &str = "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')";
/// CEL: no two entries of a list have the same name.
pub(crate) const NAMES_DIFFER: &str = "self.all(one, self.exists_one(other, \
    (has(other.name) ? other.name : '') == (has(one.name) ? one.name : '')))";
/// An IPv4 or IPv6 literal is never longer; bounds the cost of the CEL rules that parse it.
pub(crate) const ADDRESS_BYTES_MAX: u32 = 45;

/// Removes `null` as a value and Rust's integer formats.
///
/// A nullable field keeps an explicit `null`, which CEL's `has()` then takes for a given value. Of a field that is not
/// nullable the API server drops the `null`, which is what its author meant. Formats such as `uint16` make the API
/// server print a warning at every installation; the bounds say the same.
pub(crate) fn kubernetes_style(schema: &mut Schema) {
    transform_subschemas(&mut kubernetes_style, schema);
    let object = schema.ensure_object();
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [single] = types.as_slice() {
            let single = single.clone();
            object.insert("type".into(), single);
        }
    }
    if let Some(Value::Array(variants)) = object.get_mut("anyOf") {
        variants.retain(|variant| variant.get("type") != Some(&json!("null")));
        if let [Value::Object(single)] = variants.as_slice() {
            let single = single.clone();
            object.remove("anyOf");
            // What the field says about itself, its description above all, wins over what its type says.
            single.into_iter().for_each(|(key, value)| {
                object.entry(key).or_insert(value);
            });
        }
    }
    if object.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        object.remove("format");
    }
}

/// Turns a closed enum into a string of at most 32 bytes, for the words that Rollcall itself writes (see the crate's
/// documentation).
pub(crate) fn open_enum(schema: &mut Schema) {
    let object = schema.ensure_object();
    for keyword in ["enum", "oneOf", "anyOf"] {
        object.remove(keyword);
    }
    object.insert("type".into(), json!("string"));
    object.insert("maxLength".into(), json!(32));
}

/// Bounds a map of strings: 32 pairs, values of 512 bytes. The keys' bound needs CEL. A number in the place of a text
/// passes the type, so that a rule can say what to write.
pub(crate) fn bounded_map(schema: &mut Schema) {
    let object = schema.ensure_object();
    object.insert("maxProperties".into(), json!(32));
    object.insert("additionalProperties".into(), json!({"x-kubernetes-int-or-string": true, "maxLength": 512}));
}

/// A text in whose place a number is a natural mistake: the type lets it pass, so that a rule can say what to write.
/// The rule must be cheap: API servers before 1.35 take the text for 3 MB long when they estimate its cost.
pub(crate) fn text_or_number(schema: &mut Schema) {
    let object = schema.ensure_object();
    object.remove("type");
    object.remove("pattern");
    object.insert("x-kubernetes-int-or-string".into(), json!(true));
}

/// An object that is left empty (`tcp:`) passes the type, so that a rule can say what to write: it counts as absent there.
/// Server-side apply keeps the `null`, where other writes drop it. Only for what is an `Option` here.
pub(crate) fn may_be_left_empty(schema: &mut Schema) {
    schema.ensure_object().insert("nullable".into(), json!(true));
}

/// An integer whose bounds a rule speaks of.
pub(crate) fn any_integer(schema: &mut Schema) {
    let object = schema.ensure_object();
    object.remove("minimum");
    object.remove("maximum");
}

/// A number in whose place a text is a natural mistake (`"8080"`): the type lets it pass, and its bounds, so that a rule can
/// speak of both. It has to ask `type(self) in [int]`: of `==` API servers before 1.34 think that it compares 3 MB.
pub(crate) fn number_or_text(schema: &mut Schema) {
    let object = schema.ensure_object();
    for keyword in ["type", "format", "minimum", "maximum"] {
        object.remove(keyword);
    }
    object.insert("x-kubernetes-int-or-string".into(), json!(true));
    // kube would let a `null` pass, of which no rule could speak.
    object.insert("nullable".into(), json!(false));
}

/// Leaves every default to the reader. What the API server writes into the entry of a list makes the object differ from
/// its file, and `kubectl apply` then sends the whole list each time and says "configured" of a file that nobody changed.
pub(crate) fn without_defaults(schema: &mut Schema) {
    transform_subschemas(&mut without_defaults, schema);
    schema.ensure_object().remove("default");
}
