//! Server-side apply: what a manager names is set, what it named before and names no longer is taken away, all else stays.
//!
//! Lists are one value, as most lists in the API are, but for those whose items have a key.

use serde_json::{Map, Value, json};

/// Lists whose items are known by a key.
const KEYED: [(&str, &str); 2] = [("conditions", "type"), ("ownerReferences", "uid")];

/// Applies `config` over an object to which the same manager has applied `before`.
pub(crate) fn apply(object: &mut Value, before: &Value, config: &Value) {
    take_away(object, before, config);
    set(object, config);
}

fn key_of(list: &str) -> Option<&'static str> {
    KEYED.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

fn item<'a>(list: &'a [Value], key: &str, like: &Value) -> Option<&'a Value> {
    list.iter().find(|item| item[key] == like[key])
}

fn take_away(object: &mut Value, before: &Value, config: &Value) {
    let (Some(object), Some(before)) = (object.as_object_mut(), before.as_object()) else { return };
    for (name, said) in before {
        let now = &config[name.as_str()];
        match (said, key_of(name)) {
            (Value::Object(_), _) if now.is_object() || now.is_null() => {
                if let Some(inner) = object.get_mut(name) {
                    take_away(inner, said, now);
                    if now.is_null() && inner.as_object().is_some_and(Map::is_empty) {
                        object.remove(name);
                    }
                }
            }
            (Value::Array(said), Some(key)) => {
                let kept = now.as_array().map(Vec::as_slice).unwrap_or_default();
                if let Some(Value::Array(items)) = object.get_mut(name) {
                    items.retain(|own| item(said, key, own).is_none() || item(kept, key, own).is_some());
                }
            }
            _ if now.is_null() => {
                object.remove(name);
            }
            _ => {}
        }
    }
}

fn set(object: &mut Value, config: &Value) {
    let Value::Object(config) = config else {
        *object = config.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in config {
        match (value, key_of(name)) {
            (Value::Object(_), _) => set(&mut object[name.as_str()], value),
            (Value::Array(wanted), Some(key)) => {
                let slot = &mut object[name.as_str()];
                let mut items = slot.as_array().cloned().unwrap_or_default();
                for item in wanted {
                    match items.iter_mut().find(|own| own[key] == item[key]) {
                        Some(own) => set(own, item),
                        None => items.push(item.clone()),
                    }
                }
                *slot = Value::Array(items);
            }
            _ => object[name.as_str()] = value.clone(),
        }
    }
}

/// Writes down who applied what, as `metadata.managedFields` has it.
pub(crate) fn note_manager(object: &mut Value, manager: &str, api_version: &str, subresource: &str, config: &Value) {
    let mut entry = json!({
        "manager": manager, "operation": "Apply", "apiVersion": api_version, "fieldsType": "FieldsV1", "fieldsV1": fields(config),
    });
    if !subresource.is_empty() {
        entry["subresource"] = subresource.into();
    }
    let others = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let same = |other: &Value| other["manager"] == entry["manager"] && other["subresource"] == entry["subresource"];
    let mut all: Vec<_> = others.into_iter().filter(|other| !same(other)).collect();
    all.push(entry);
    object["metadata"]["managedFields"] = Value::Array(all);
}

fn fields(config: &Value) -> Value {
    let Value::Object(config) = config else { return json!({}) };
    let own = config.iter().filter(|(name, _)| !matches!(&***name, "apiVersion" | "kind" | "name" | "namespace"));
    Value::Object(own.map(|(name, value)| (format!("f:{name}"), fields(value))).collect())
}

/// An absent field is no `null`.
pub(crate) fn without_nulls(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_named_goes_and_what_others_set_stays() {
        let before = json!({ "metadata": { "labels": { "a": "1", "b": "2" } }, "endpoints": [1, 2] });
        let mut object =
            json!({ "metadata": { "labels": { "a": "1", "b": "2", "theirs": "3" } }, "endpoints": [1, 2] });
        apply(&mut object, &before, &json!({ "metadata": { "labels": { "a": "9" } } }));
        assert_eq!(object, json!({ "metadata": { "labels": { "a": "9", "theirs": "3" } } }));
    }

    #[test]
    fn items_with_a_key_belong_to_who_applied_them() {
        let before =
            json!({ "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Old", "status": "True" }] });
        let mut object = json!({ "conditions": [
            { "type": "Theirs", "status": "False" }, { "type": "Ready", "status": "True" }, { "type": "Old", "status": "True" },
        ] });
        apply(&mut object, &before, &json!({ "conditions": [{ "type": "Ready", "status": "False" }] }));
        let left = json!([{ "type": "Theirs", "status": "False" }, { "type": "Ready", "status": "False" }]);
        assert_eq!(object["conditions"], left);
    }
}
