//! The OpenAPI document, as tests hold answers against it: of JSON Schema (2020-12) the part that it uses. Another keyword is a
//! fault of the test.

use serde_json::{Map, Value, json};

use super::openapi;

/// The document.
pub(crate) fn read() -> Value {
    serde_json::from_str(openapi::DOCUMENT).expect("JSON")
}

/// Holds an answer to `GET path` against what the document says of it.
pub(crate) fn holds(path: &str, answer: &Value) {
    let document = read();
    let said = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(said.is_object(), "the document does not tell of {path}");
    let breaches = breaches(&document, said, answer, "");
    assert!(breaches.is_empty(), "{path}: {breaches:?}\n{answer:#}");
}

/// The properties of a schema.
pub(crate) fn properties(name: &str) -> Map<String, Value> {
    let document = read();
    document["components"]["schemas"][name]["properties"].as_object().expect("an object").clone()
}

/// The parameters of `GET path` that stand in its query.
pub(crate) fn parameters(path: &str) -> Vec<String> {
    let document = read();
    let all = document["paths"][path]["get"]["parameters"].as_array().expect("parameters").clone();
    let asked = all.into_iter().filter(|one| one["in"] == "query");
    asked.map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// Every breach, with its place.
pub(super) fn breaches(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        match &**keyword {
            "$ref" => {
                let pointer =
                    wanted.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference in the document");
                let target = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in the document"));
                found.extend(breaches(document, target, value, at));
            }
            "type" => {
                let known = |word: &Value| is(value, word.as_str().expect("a word"));
                let fits = wanted.as_array().map_or_else(|| known(wanted), |words| words.iter().any(known));
                found.extend((!fits).then(|| format!("{at}: {value} is no {wanted}")));
            }
            "enum" => {
                let listed = wanted.as_array().is_some_and(|words| words.contains(value));
                found.extend((!listed).then(|| format!("{at}: {value} is none of {wanted}")));
            }
            "required" => {
                let missing = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                let missing = missing.filter(|name| value.is_object() && value.get(name).is_none());
                found.extend(missing.map(|name| format!("{at}: {name} is missing")));
            }
            "properties" => {
                for (name, inner) in wanted.as_object().into_iter().flatten() {
                    let own = value.get(name).map(|own| breaches(document, inner, own, &format!("{at}/{name}")));
                    found.extend(own.into_iter().flatten());
                }
            }
            "additionalProperties" => found.extend(additional(document, schema, wanted, value, at)),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(breaches(document, wanted, item, &format!("{at}/{index}")));
                }
            }
            "minimum" => found.extend((value.as_i64() < wanted.as_i64()).then(|| format!("{at}: below {wanted}"))),
            "maximum" => found.extend((value.as_i64() > wanted.as_i64()).then(|| format!("{at}: above {wanted}"))),
            "pattern" => found.extend(pattern(wanted.as_str().expect("a text"), value, at)),
            "format" | "description" => {}
            other => panic!("the document uses {other}, which this test does not know"),
        }
    }
    found
}

fn is(value: &Value, word: &str) -> bool {
    match word {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("no type is called {other}"),
    }
}

fn additional(document: &Value, schema: &Value, wanted: &Value, value: &Value, at: &str) -> Vec<String> {
    let known = |name: &String| schema["properties"].get(name).is_some();
    let more = value.as_object().into_iter().flatten().filter(|(name, _)| !known(name));
    let breach = |(name, own): (&String, &Value)| match wanted {
        Value::Bool(false) => vec![format!("{at}: {name} is not in the document")],
        wanted => breaches(document, wanted, own, &format!("{at}/{name}")),
    };
    more.flat_map(breach).collect()
}

/// The two that there are.
fn pattern(pattern: &str, value: &Value, at: &str) -> Option<String> {
    let text = value.as_str().unwrap_or_default();
    let fits = match pattern {
        "^[0-9a-f]{16}$" => text.len() == 16 && text.bytes().all(|digit| b"0123456789abcdef".contains(&digit)),
        "^https://rollcall\\.dev/problems/[a-z-]+$" => {
            let word = text.strip_prefix("https://rollcall.dev/problems/").unwrap_or_default();
            !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'-')
        }
        other => panic!("this test does not know the pattern {other}"),
    };
    (!fits).then(|| format!("{at}: {text:?} does not fit {pattern}"))
}

#[test]
fn breaches_are_found() {
    let document = json!({ "components": { "schemas": { "X": {
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": { "a": { "type": ["string", "null"] }, "b": { "type": "array", "items": { "type": "integer", "minimum": 1 } } },
    } } } });
    let schema = json!({ "$ref": "#/components/schemas/X" });
    let found = |value: Value| breaches(&document, &schema, &value, "").len();
    assert_eq!(found(json!({ "a": null, "b": [1] })), 0);
    assert_eq!(found(json!({ "a": 1 })), 1);
    assert_eq!(found(json!({ "b": [0, "x"], "c": true })), 5);
}
