//! The README's table of values, section by section.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::values::{Document, Entry};

const BEGIN: &str = "<!-- values: generated from values.yaml by `cargo xtask generate` -->\n";
const END: &str = "<!-- end of values -->\n";

/// The README with the table of these values between its markers.
pub(super) fn insert(readme: &str, document: &Document) -> Result<String> {
    let (before, rest) = readme.split_once(BEGIN).with_context(|| format!("the line {BEGIN:?} is missing"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("the line {END:?} is missing"))?;
    Ok(format!("{before}{BEGIN}{}\n{END}{after}", table(document)?))
}

fn table(document: &Document) -> Result<String> {
    let mut text = String::new();
    let mut section = "";
    for entry in &document.entries {
        if entry.section.is_empty() {
            bail!("{} comes before the first `# @section`", entry.name());
        }
        if entry.section != section {
            section = &entry.section;
            write!(text, "\n### {section}\n\n| value | default | |\n| --- | --- | --- |\n")?;
        }
        writeln!(text, "| `{}` | {} | {} |", entry.name(), default(entry), escaped(&entry.description))?;
    }
    Ok(text)
}

/// As one would write it on a command line.
fn default(entry: &Entry) -> String {
    match &entry.default {
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => format!("`{}`", escaped(text)),
        value => format!("`{}`", escaped(&value.to_string())),
    }
}

/// A bar ends a cell, in code as well.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;

    #[test]
    fn the_table_replaces_what_was_between_the_markers() {
        let document = values::read("# @section Things\n# -- One | two.\na: x\nb:\n  # -- More.\n  c: []\n").unwrap();
        let readme = format!("before\n{BEGIN}old\n{END}after\n");
        let expected = format!(
            "before\n{BEGIN}\n### Things\n\n| value | default | |\n| --- | --- | --- |\n| `a` | `x` | One \\| two. |\n\
             | `b.c` | `[]` | More. |\n\n{END}after\n"
        );
        assert_eq!(insert(&readme, &document).unwrap(), expected);
        assert_eq!(insert(&expected, &document).unwrap(), expected, "not the same when done again");
        assert!(insert("no markers", &document).is_err());
    }
}
