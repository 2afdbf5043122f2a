//! values.yaml with its comments: each value, what it is for, and what its schema adds.
//!
//! The values come from a YAML parser, the comments from the lines: a comment that starts with `--` describes the value
//! below it, `@schema` adds to its schema, `@section` begins a part of the table. Below a described value nothing is looked
//! at: it is one value, however deep. A value without a description must be a mapping whose own values have one.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// All values, in the order of the file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) entries: Vec<Entry>,
}

/// One value that users may set.
#[derive(Debug)]
pub(super) struct Entry {
    /// The keys that lead to it.
    pub(super) path: Vec<String>,
    /// The part of the table that it is in.
    pub(super) section: String,
    /// What it is for.
    pub(super) description: String,
    /// What the comments add to its schema.
    pub(super) schema: Map<String, Value>,
    /// What it is if it is not set.
    pub(super) default: Value,
}

/// What the comments above a value said.
#[derive(Default)]
struct Comments {
    description: Vec<String>,
    schema: Map<String, Value>,
}

/// Reads line by line; where it is in the file.
#[derive(Default)]
struct Scanner {
    section: String,
    comments: Comments,
    /// The mappings around the next line: their indentation and keys.
    around: Vec<(usize, String)>,
    /// The indentation of the described value whose lines follow.
    within: Option<usize>,
    entries: Vec<Entry>,
}

/// Reads the text of a values.yaml.
pub(super) fn read(text: &str) -> Result<Document> {
    let values: Value = serde_saphyr::from_str(text).context("not YAML")?;
    let mut scanner = Scanner::default();
    for (index, line) in text.lines().enumerate() {
        scanner.line(line, &values).with_context(|| format!("line {}", index + 1))?;
    }
    Ok(Document { entries: scanner.entries })
}

// === impl Entry ===

impl Entry {
    /// The path as users write it.
    pub(super) fn name(&self) -> String {
        self.path.join(".")
    }
}

// === impl Comments ===

impl Comments {
    fn add(&mut self, text: &str) -> Result<()> {
        if let Some(first) = text.strip_prefix("-- ") {
            self.description = vec![first.to_owned()];
        } else if let Some(schema) = text.strip_prefix("@schema ") {
            let more: Map<String, Value> =
                serde_saphyr::from_str(schema).with_context(|| format!("`@schema {schema}` is no YAML mapping"))?;
            self.schema.extend(more);
        } else if !self.description.is_empty() {
            self.description.push(text.to_owned());
        }
        Ok(())
    }
}

// === impl Scanner ===

impl Scanner {
    fn line(&mut self, line: &str, values: &Value) -> Result<()> {
        let text = line.trim_start();
        let indentation = line.len() - text.len();
        if text.is_empty() {
            self.comments = Comments::default();
            return Ok(());
        }
        if self.within.is_some_and(|outer| indentation > outer || (indentation == outer && text.starts_with('-'))) {
            return Ok(());
        }
        self.within = None;
        match text.strip_prefix('#') {
            Some(comment) => self.comment(comment.trim()),
            None => self.value(indentation, text, values),
        }
    }

    fn comment(&mut self, text: &str) -> Result<()> {
        match text.strip_prefix("@section -- ").or_else(|| text.strip_prefix("@section ")) {
            Some(section) => section.clone_into(&mut self.section),
            None => self.comments.add(text)?,
        }
        Ok(())
    }

    fn value(&mut self, indentation: usize, text: &str, values: &Value) -> Result<()> {
        let (key, _) = text.split_once(':').with_context(|| format!("{text:?} is neither a key nor a comment"))?;
        self.around.retain(|(outer, _)| *outer < indentation);
        self.around.push((indentation, key.to_owned()));
        let path: Vec<String> = self.around.iter().map(|(_, key)| key.clone()).collect();
        let default = path.iter().try_fold(values, |value, key| value.get(key));
        let default = default.with_context(|| format!("{} is not where its indentation says", path.join(".")))?;
        let comments = std::mem::take(&mut self.comments);
        if comments.description.is_empty() {
            if default.as_object().is_none_or(Map::is_empty) || !comments.schema.is_empty() {
                bail!("{} has no description; write `# -- …` above it", path.join("."));
            }
            return Ok(());
        }
        self.within = Some(indentation);
        self.entries.push(Entry {
            path,
            section: self.section.clone(),
            description: comments.description.join(" "),
            schema: comments.schema,
            default: default.clone(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "\
# What this file is.

# @section First
global:
  # -- A list
  # over two lines.
  # @schema {items: {type: string}}
  list:
  - a
  - b
# -- A number.
number: 3

# @section Second
# -- One value, however deep.
deep:
  a:
    b: true
# -- After it.
after: x
";

    #[test]
    fn values_come_with_what_is_said_above_them() {
        let document = read(TEXT).unwrap();
        let names: Vec<String> = document.entries.iter().map(Entry::name).collect();
        assert_eq!(names, ["global.list", "number", "deep", "after"]);
        let list = &document.entries[0];
        assert_eq!((list.section.as_str(), list.description.as_str()), ("First", "A list over two lines."));
        assert_eq!(Value::Object(list.schema.clone()), json!({"items": {"type": "string"}}));
        assert_eq!(list.default, json!(["a", "b"]));
        let deep = &document.entries[2];
        assert_eq!((deep.section.as_str(), &deep.default), ("Second", &json!({"a": {"b": true}})));
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        let cases = [
            ("a: 1\n", "line 1: a has no description; write `# -- …` above it"),
            ("a:\n  b: {}\n", "line 2: a.b has no description"),
            ("# -- A.\n# @schema [\na: 1\n", "line 2: `@schema [` is no YAML mapping"),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
