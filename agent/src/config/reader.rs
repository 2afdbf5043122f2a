//! A TOML file, key by key: what is wrong is noted with its line, and all else is read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rollcall_crds::ApiDuration;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// A file that is read, and what is wrong with it.
pub(super) struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

/// A table of it. What was not asked for when it is finished, is a key that does not exist.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    /// Dotted, with a dot at its end unless it is the whole file.
    path: String,
    line: usize,
    left: BTreeMap<&'a str, (usize, &'a DeValue<'a>)>,
    known: Vec<&'static str>,
}

// === impl Source ===

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::default() }
    }

    /// The document; an empty one, with its problem noted, where it is no TOML.
    pub(super) fn parse(&self) -> DeTable<'a> {
        match DeTable::parse(self.text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map_or(0, |span| self.line(span.start));
                self.note(line, String::new(), format!("this is no TOML: {}", error.message()));
                DeTable::new()
            }
        }
    }

    /// The whole file as a table.
    pub(super) fn root(&'a self, document: &'a DeTable<'a>) -> Table<'a> {
        self.table(String::new(), 0, document)
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    fn note(&self, line: usize, key: String, words: String) {
        self.problems.borrow_mut().push(Problem { file: self.file.to_path_buf(), line, key, words });
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn table(&'a self, path: String, line: usize, table: &'a DeTable<'a>) -> Table<'a> {
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a std::borrow::Cow<'a, str> = key.get_ref();
            (&**name, (self.line(key.span().start), value.get_ref()))
        };
        Table { source: self, path, line, left: table.iter().map(entry).collect(), known: Vec::new() }
    }
}

// === impl Table ===

impl<'a> Table<'a> {
    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            (_, DeValue::String(text)) if !text.is_empty() => Some(text.clone().into_owned()),
            (line, _) => self.wrong(line, key, "give a text in quotes"),
        }
    }

    /// A text, or several.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let (line, value) = self.take(key)?;
        let text = |value: &DeValue<'_>| match value {
            DeValue::String(text) if !text.is_empty() => Some(text.clone().into_owned()),
            _ => None,
        };
        let texts: Option<Vec<_>> = match value {
            DeValue::Array(values) => values.iter().map(|value| text(value.get_ref())).collect(),
            value => text(value).map(|text| vec![text]),
        };
        texts.or_else(|| self.wrong(line, key, "give texts in quotes, such as [\"a\", \"b\"]"))
    }

    /// A whole number in a range.
    pub(super) fn number(&mut self, key: &'static str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let (line, value) = self.take(key)?;
        let number = as_number(value).filter(|number| range.contains(number));
        number.or_else(|| {
            self.wrong(line, key, &format!("give a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key)? {
            (_, DeValue::Boolean(flag)) => Some(*flag),
            (line, _) => self.wrong(line, key, "give true or false, without quotes"),
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(&mut self, key: &'static str, min: Duration, max: Duration) -> Option<Duration> {
        let (line, value) = self.take(key)?;
        let text = match value {
            DeValue::String(text) => text.as_ref(),
            _ => "",
        };
        let parsed = text.parse::<ApiDuration>().ok().map(|duration| duration.get());
        parsed.filter(|duration| (min..=max).contains(duration)).or_else(|| {
            let words = format!("give a duration with its unit from {} to {}, such as \"10s\"", words(min), words(max));
            self.wrong(line, key, &words)
        })
    }

    /// A text that is read further.
    pub(super) fn parsed<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let line = self.line_of(key);
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(words) => self.wrong(line, key, &format!("{text:?}: {words}")),
        }
    }

    /// A table.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        match self.take(key)? {
            (line, DeValue::Table(table)) => Some(self.source.table(format!("{}{key}.", self.path), line, table)),
            (line, _) => self.wrong(line, key, &format!("give a table: [{}{key}]", self.path)),
        }
    }

    /// Tables, each begun by `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some((line, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(values) = value else {
            let path = &self.path;
            let words = format!("begin each with [[{path}{key}]], in double brackets");
            return self.wrong::<Vec<_>>(line, key, &words).unwrap_or_default();
        };
        let mut tables = Vec::with_capacity(values.len());
        for value in values.iter() {
            let line = self.source.line(value.span().start);
            match value.get_ref() {
                DeValue::Table(table) => tables.push(self.source.table(format!("{}{key}.", self.path), line, table)),
                _ => drop(self.wrong::<()>(line, key, "give tables here")),
            }
        }
        tables
    }

    /// Keys of any name, with texts as values.
    pub(super) fn pairs(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let mut pairs = Vec::with_capacity(table.left.len());
        for (name, (line, value)) in &table.left {
            match value {
                DeValue::String(text) => pairs.push(((*name).to_owned(), text.clone().into_owned())),
                _ => drop(table.wrong::<()>(*line, name, "give a text; put numbers into quotes")),
            }
        }
        pairs
    }

    /// Any value, with its line.
    pub(super) fn value(&mut self, key: &'static str) -> Option<(usize, &'a DeValue<'a>)> {
        self.take(key)
    }

    /// The table that a value is.
    pub(super) fn inner(&self, key: &str, line: usize, table: &'a DeTable<'a>) -> Self {
        self.source.table(format!("{}{key}.", self.path), line, table)
    }

    /// The keys that are left, with their lines and values.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, usize, &'a DeValue<'a>)> {
        self.left.iter().map(|(key, (line, value))| (*key, *line, *value))
    }

    /// Any value, as JSON, with the names of fields as the Kubernetes API has them: `retry_interval` is `retryInterval`.
    pub(super) fn json(&mut self, key: &'static str) -> Option<(usize, Value)> {
        self.take(key).map(|(line, value)| (line, as_json(value)))
    }

    /// All that is left, as JSON.
    pub(super) fn into_json(mut self) -> Value {
        let left = std::mem::take(&mut self.left);
        Value::Object(left.into_iter().map(|(key, (_, value))| (camel(key), as_json(value))).collect())
    }

    /// Where it begins.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Where a key stands, before it is taken.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.left.get(key).map_or(self.line, |(line, _)| *line)
    }

    /// Notes what is wrong with the value of a key. Always `None`.
    pub(super) fn wrong<T>(&self, line: usize, key: &str, words: &str) -> Option<T> {
        self.source.note(line, format!("{}{key}", self.path), words.to_owned());
        None
    }

    /// Notes that a key is needed and not there. Always `None`.
    pub(super) fn missing<T>(&self, key: &str, words: &str) -> Option<T> {
        self.wrong(self.line, key, &format!("is missing; {words}"))
    }

    /// Every key that was not asked for is one too many.
    pub(super) fn finish(self) {
        for (key, (line, _)) in &self.left {
            let near =
                self.known.iter().filter(|known| distance(key, known) <= 2).min_by_key(|known| distance(key, known));
            let words = match near {
                Some(near) => format!("there is no such key; did you mean `{near}`?"),
                None => format!("there is no such key here; these are: {}", self.known.join(", ")),
            };
            self.source.note(*line, format!("{}{key}", self.path), words);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, &'a DeValue<'a>)> {
        self.known.push(key);
        self.left.remove(key)
    }
}

pub(super) fn as_number(value: &DeValue<'_>) -> Option<u32> {
    let DeValue::Integer(number) = value else { return None };
    u32::from_str_radix(number.as_str(), number.radix()).ok()
}

fn as_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(values) => values.iter().map(|value| as_json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let pair = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = key.get_ref();
                (camel(name), as_json(value.get_ref()))
            };
            Value::Object(table.iter().map(pair).collect::<Map<_, _>>())
        }
    }
}

/// `retry_interval` as `retryInterval`. Names of headers and the like have no underscore before a small letter.
fn camel(key: &str) -> String {
    let mut parts = key.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let mut rest = part.chars();
        let upper = rest.next().map(|letter| letter.to_ascii_uppercase());
        name + &upper.into_iter().chain(rest).collect::<String>()
    })
}

fn words(duration: Duration) -> String {
    ApiDuration::rounded_up(duration).to_string()
}

/// Letters to change, to leave out or to add (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, with) in other.iter().enumerate() {
            let same = diagonal + usize::from(letter != *with);
            diagonal = row[column + 1];
            row[column + 1] = same.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
