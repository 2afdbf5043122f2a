//! What schemars says differently from what Kubernetes wants to hear.

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::{Value, json};

/// A DNS label (RFC 1123 §2.1), as Kubernetes names Services, ports and hosts.
pub(crate) const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
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

/// Bounds a map of strings: 32 pairs, values of 512 bytes. The keys' bound needs CEL.
pub(crate) fn bounded_map(schema: &mut Schema) {
    let object = schema.ensure_object();
    object.insert("maxProperties".into(), json!(32));
    object.insert("additionalProperties".into(), json!({"type": "string", "maxLength": 512}));
}
