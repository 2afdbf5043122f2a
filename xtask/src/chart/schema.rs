//! values.schema.json: with it helm refuses wrong values, and editors complete right ones.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::values::{Document, Entry};

/// Types that several values have.
const DEFINITIONS: &str = include_str!("definitions.yaml");

/// The text of the schema.
pub(super) fn json(document: &Document) -> Result<String> {
    let mut root = object("Values of the chart rollcall");
    for entry in &document.entries {
        let schema = of(entry).with_context(|| entry.name())?;
        insert(&mut root, &entry.path, schema)?;
    }
    // Parent charts put keys of their own there.
    root["properties"]["global"]["additionalProperties"] = json!(true);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["$defs"] = used(&root, &serde_saphyr::from_str(DEFINITIONS).context("definitions.yaml")?)?;
    Ok(format!("{}\n", serde_json::to_string_pretty(&root)?))
}

/// A mapping of known keys: a misspelt one is refused by its name.
fn object(title: &str) -> Value {
    json!({"title": title, "type": "object", "additionalProperties": false, "properties": {}})
}

fn insert(root: &mut Value, path: &[String], schema: Value) -> Result<()> {
    let (last, groups) = path.split_last().context("a value without a key")?;
    let mut place = root;
    for (depth, key) in groups.iter().enumerate() {
        let properties = place["properties"].as_object_mut().context("a value below a value")?;
        let title = path.iter().take(depth + 1).map(String::as_str).collect::<Vec<_>>().join(".");
        place = properties.entry(key).or_insert_with(|| object(&title));
    }
    place["properties"][last] = schema;
    Ok(())
}

/// The type comes from the default, unless the comments say it.
fn of(entry: &Entry) -> Result<Value> {
    let mut schema = entry.schema.clone();
    let says_type = ["type", "enum", "$ref"].iter().any(|key| schema.contains_key(*key));
    match (type_of(&entry.default), says_type) {
        (Some(_), _) if schema.contains_key("type") || schema.contains_key("enum") => {}
        (Some(name), _) => drop(schema.insert("type".to_owned(), json!(name))),
        (None, true) => {}
        (None, false) => bail!("is null by default; say its type, such as `# @schema {{type: [string, \"null\"]}}`"),
    }
    schema.insert("description".to_owned(), json!(entry.description));
    schema.insert("default".to_owned(), entry.default.clone());
    Ok(Value::Object(schema))
}

fn type_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_f64() => Some("number"),
        Value::Number(_) => Some("integer"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
    }
}

/// The definitions that are referred to, by values or by each other.
fn used(root: &Value, definitions: &Map<String, Value>) -> Result<Value> {
    let mut wanted = BTreeSet::new();
    references(root, &mut wanted);
    let mut found = Map::new();
    while let Some(name) = wanted.iter().find(|name| !found.contains_key(*name)).cloned() {
        let definition = definitions.get(&name).with_context(|| format!("definitions.yaml has no {name}"))?;
        references(definition, &mut wanted);
        found.insert(name, definition.clone());
    }
    if let Some(name) = definitions.keys().find(|name| !found.contains_key(*name)) {
        bail!("nothing refers to {name} of definitions.yaml; remove it");
    }
    Ok(Value::Object(found))
}

fn references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
            names.extend(name.map(str::to_owned));
            map.values().for_each(|value| references(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;

    fn entry(text: &str) -> Result<Value> {
        of(&values::read(text)?.entries[0])
    }

    #[test]
    fn the_type_is_that_of_the_default_unless_it_is_said() {
        assert_eq!(entry("# -- A.\na: 3\n").unwrap(), json!({"type": "integer", "description": "A.", "default": 3}));
        let said = entry("# -- A.\n# @schema {type: [integer, \"null\"], minimum: 1}\na: null\n").unwrap();
        assert_eq!(said["type"], json!(["integer", "null"]));
        assert!(entry("# -- A.\n# @schema {enum: [x, y]}\na: x\n").unwrap().get("type").is_none());
        let error = entry("# -- A.\na: null\n").unwrap_err().to_string();
        assert!(error.contains("say its type"), "{error}");
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        let mut root = object("all");
        insert(&mut root, &["a".to_owned(), "b".to_owned()], json!({"type": "string"})).unwrap();
        let group = &root["properties"]["a"];
        assert_eq!((&root["additionalProperties"], &group["additionalProperties"]), (&json!(false), &json!(false)));
        assert_eq!((&group["title"], &group["properties"]["b"]["type"]), (&json!("a"), &json!("string")));
    }

    #[test]
    fn definitions_come_along_when_referred_to_and_must_be() {
        let definitions = json!({"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"type": "string"}});
        let definitions = definitions.as_object().unwrap();
        assert_eq!(used(&json!({"$ref": "#/$defs/a"}), definitions).unwrap().as_object(), Some(definitions));
        let unused = used(&json!({"$ref": "#/$defs/b"}), definitions).unwrap_err().to_string();
        assert_eq!(unused, "nothing refers to a of definitions.yaml; remove it");
        let unknown = used(&json!({"$ref": "#/$defs/c"}), definitions).unwrap_err().to_string();
        assert_eq!(unknown, "definitions.yaml has no c");
    }
}
