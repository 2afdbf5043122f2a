//! The Prometheus conventions as a test: <https://prometheus.io/docs/practices/naming>.

use std::collections::{BTreeMap, BTreeSet};

/// Units that are not base units, with the one to use. A name must not hold them as a word.
const NOT_BASE: &[(&str, &str)] = &[
    ("ms", "seconds"),
    ("milliseconds", "seconds"),
    ("microseconds", "seconds"),
    ("nanoseconds", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("kilobytes", "bytes"),
    ("megabytes", "bytes"),
    ("percent", "ratio"),
];
/// Base units: at most one of them in a name, and only once.
const UNITS: &[&str] = &["seconds", "bytes", "ratio"];
/// What may follow a unit.
const SUFFIXES: &[&str] = &["total", "info"];

/// Panics with every breach of the conventions in a metrics page in OpenMetrics text.
///
/// Names are snake case and begin with `rollcall_` or `process_`; units are base units, last, and not doubled; counters
/// end in `_total` and nothing else does; every metric has a help text that is a sentence; labels are snake case.
///
/// # Panics
/// When there is a breach, with all of them; and when the page holds no metric.
pub fn assert_metric_conventions(text: &str) {
    let breaches = breaches(text);
    assert!(breaches.is_empty(), "metrics break conventions:\n  {}\n", breaches.join("\n  "));
    assert!(text.contains("# TYPE "), "the page holds no metric");
}

/// The breaches of the conventions, one sentence each.
pub fn breaches(text: &str) -> Vec<String> {
    let (mut kinds, mut helps) = (BTreeMap::new(), BTreeMap::new());
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some((name, kind)) = comment(line, "# TYPE ") {
            if kinds.insert(name, kind).is_some() {
                found.push(format!("{name}: is registered twice; use one family with a label"));
            }
        } else if let Some((name, help)) = comment(line, "# HELP ") {
            helps.insert(name, help);
        }
    }
    for (name, kind) in &kinds {
        found.extend(name_breaches(name, kind).into_iter().map(|breach| format!("{name}: {breach}")));
        match helps.get(name) {
            None => found.push(format!("{name}: has no help text")),
            Some(help) => found.extend(help_breach(help).map(|breach| format!("{name}: {breach}: {help:?}"))),
        }
    }
    found.extend(text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| sample_breaches(line, &kinds)));
    let unique: BTreeSet<_> = found.into_iter().collect();
    unique.into_iter().collect()
}

fn comment<'a>(line: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(prefix)?.split_once(' ')
}

fn name_breaches(name: &str, kind: &str) -> Vec<String> {
    let words: Vec<_> = name.split('_').collect();
    let mut found = Vec::new();
    if !is_snake_case(name) {
        found.push("is not snake case".to_owned());
    }
    if !matches!(words.first(), Some(&"rollcall" | &"process")) {
        found.push("does not begin with rollcall_ or process_".to_owned());
    }
    for (unit, base) in NOT_BASE.iter().filter(|(unit, _)| words.contains(unit)) {
        found.push(format!("counts in {unit}; use {base}"));
    }
    let units: Vec<_> = words.iter().filter(|word| UNITS.contains(word)).collect();
    if units.len() > 1 {
        found.push(format!("holds a unit more than once: {units:?}"));
    }
    let last = words.iter().rev().find(|word| !SUFFIXES.contains(word));
    if !units.is_empty() && !last.is_some_and(|word| UNITS.contains(word)) {
        found.push("does not have its unit last".to_owned());
    }
    // The text format names a counter's family without the suffix that its samples carry.
    if words.last() == Some(&"total") {
        found.push(format!("is a {kind} registered with _total, which is added to counters on encoding"));
    }
    found
}

fn help_breach(help: &str) -> Option<&'static str> {
    let Some(sentence) = help.strip_suffix('.') else { return Some("help text does not end with a period") };
    match sentence.chars().next() {
        _ if sentence.ends_with('.') => Some("help text ends with two periods; the registry adds one"),
        None => Some("help text is empty"),
        Some(first) if first.is_lowercase() => Some("help text does not begin with a capital letter"),
        Some(_) => None,
    }
}

fn sample_breaches(line: &str, kinds: &BTreeMap<&str, &str>) -> Vec<String> {
    let end = line.find(['{', ' ']).unwrap_or(line.len());
    let name = &line[..end];
    let family = ["_total", "_info", "_bucket", "_count", "_sum", "_created"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    let mut found = Vec::new();
    let Some(kind) = kinds.get(name).or_else(|| kinds.get(family?)) else {
        return if name.is_empty() { found } else { vec![format!("{name}: has no TYPE line")] };
    };
    if *kind == "counter" && !name.ends_with("_total") && !name.ends_with("_created") {
        found.push(format!("{name}: is a counter without _total"));
    }
    if *kind == "gauge" && name.ends_with("_total") {
        found.push(format!("{name}: is a gauge with _total"));
    }
    for label in labels(&line[end..]).filter(|label| !is_snake_case(label)) {
        found.push(format!("{name}: label {label} is not snake case"));
    }
    found
}

/// The label names in `{a="x",b="y"} 1`.
fn labels(rest: &str) -> impl Iterator<Item = &str> {
    let inside = rest.strip_prefix('{').unwrap_or("");
    inside
        .split("=\"")
        .filter_map(|piece| piece.rsplit(['"', ',', '{']).next())
        .filter(|label| !label.is_empty() && !label.contains(['}', ' ']))
}

fn is_snake_case(name: &str) -> bool {
    let words = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(words) && !name.contains("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str, kind: &str, help: &str, sample: &str) -> String {
        format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{sample}\n# EOF\n")
    }

    #[test]
    fn a_good_page_has_no_breach() {
        let page = page(
            "rollcall_dns_queries",
            "counter",
            "Queries.",
            r#"rollcall_dns_queries_total{type="A",rcode="x, y"} 3"#,
        );
        assert_eq!(breaches(&page), Vec::<String>::new());
        assert_metric_conventions(&page);
    }

    #[test]
    fn each_breach_is_named() {
        let cases = [
            (page("rollcall_Queries", "gauge", "Queries.", ""), "not snake case"),
            (page("dns_queries", "gauge", "Queries.", ""), "does not begin with rollcall_"),
            (page("rollcall_wait_ms", "gauge", "Wait.", ""), "counts in ms; use seconds"),
            (page("rollcall_wait_seconds_seconds", "gauge", "Wait.", ""), "unit more than once"),
            (page("rollcall_seconds_waited", "gauge", "Wait.", ""), "unit last"),
            (page("rollcall_waits_total", "counter", "Waits.", ""), "registered with _total"),
            (page("rollcall_waits", "counter", "Waits.", "rollcall_waits 3"), "counter without _total"),
            (page("rollcall_waits", "gauge", "waits.", ""), "capital letter"),
            (page("rollcall_waits", "gauge", "Waits..", ""), "two periods"),
            (page("rollcall_waits", "gauge", "Waits.", r#"rollcall_waits{Zone="a"} 3"#), "label Zone"),
            (page("rollcall_waits", "gauge", "Waits.", "# TYPE rollcall_waits gauge"), "registered twice"),
            ("# TYPE rollcall_waits gauge\n".to_owned(), "no help text"),
        ];
        for (page, expected) in cases {
            let found = breaches(&page);
            assert!(found.iter().any(|breach| breach.contains(expected)), "{expected}: {found:?}\n{page}");
        }
    }

    #[test]
    fn a_help_text_without_a_period_is_a_breach() {
        assert_eq!(breaches(&page("rollcall_waits", "gauge", "Waits", "")).len(), 1);
    }
}
