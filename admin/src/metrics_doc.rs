//! `docs/metrics.md`: tables made from what the programs register. A test of each program keeps its own table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// One family of metrics.
#[derive(Debug, Default)]
struct Family<'a> {
    kind: &'a str,
    help: &'a str,
    labels: BTreeSet<&'a str>,
    samples: usize,
}

/// Panics when the table of `program` in `file` is not what `page`, in OpenMetrics text, says; with UPDATE set in the
/// environment it writes it first. The table stands between `<!-- program: begin -->` and `<!-- program: end -->`.
///
/// # Panics
/// On drift, with the command that mends it; and when a family has no sample, since its labels are not known then.
pub fn assert_documented(file: &Path, program: &str, page: &str) {
    let (begin, end) = (format!("<!-- {program}: begin -->\n"), format!("<!-- {program}: end -->"));
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parts = text.split_once(&begin).and_then(|(head, rest)| Some((head, rest.split_once(&end)?)));
    let Some((head, (found, tail))) = parts else { panic!("{} has no {begin}… {end}", file.display()) };
    let expected = table(page);
    if env::var_os("UPDATE").is_some() && found != expected {
        let written = fs::write(file, format!("{head}{begin}{expected}{end}{tail}"));
        return written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    assert!(
        found == expected,
        "the table of {program} in {} differs from its metrics: run `cargo xtask generate` and commit the result",
        file.display()
    );
}

/// A table in Markdown.
fn table(page: &str) -> String {
    let mut table = "| metric | type | labels | unit | what it is |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (name, family) in families(page) {
        assert!(family.samples > 0, "{name} has no sample: make one before the page is encoded");
        let suffix = match family.kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let unit = ["seconds", "bytes", "ratio"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or_default();
        let help = family.help.replace('|', "\\|");
        // Writing to a String does not fail.
        let _ = writeln!(table, "| `{name}{suffix}` | {} | {labels} | {unit} | {help} |", family.kind);
    }
    table
}

fn families(page: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families = BTreeMap::<&str, Family<'_>>::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name).or_default().kind = kind;
        } else if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name).or_default().help = help;
        }
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let name = &line[..end];
        let base = ["_total", "_info", "_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let known = if families.contains_key(name) { Some(name) } else { base };
        let Some(family) = known.and_then(|name| families.get_mut(name)) else { continue };
        family.samples += 1;
        family.labels.extend(labels(&line[end..]).filter(|label| *label != "le"));
    }
    families
}

/// The label names in `{a="x",b="y"} 1`. Values are told apart by their quotes.
fn labels(rest: &str) -> impl Iterator<Item = &str> {
    let outside = rest.split('"').step_by(2);
    outside.filter_map(|piece| piece.trim_start_matches(['{', ',']).strip_suffix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP rollcall_a Things, a|b.\n# TYPE rollcall_a counter\nrollcall_a_total{y=\"1,z=2\",x=\"q\"} 1\n\
                        # HELP rollcall_b_seconds Time.\n# TYPE rollcall_b_seconds histogram\n\
                        rollcall_b_seconds_bucket{le=\"1\",stage=\"s\"} 1\n# EOF\n";

    #[test]
    fn a_table_has_names_as_they_are_queried_with_labels_and_units() {
        let table = table(PAGE);
        assert!(table.contains("| `rollcall_a_total` | counter | `x`, `y` |  | Things, a\\|b. |\n"), "{table}");
        assert!(table.contains("| `rollcall_b_seconds` | histogram | `stage` | seconds | Time. |\n"), "{table}");
    }

    #[test]
    #[should_panic(expected = "rollcall_a has no sample")]
    fn a_family_without_a_sample_is_found() {
        table("# HELP rollcall_a Things.\n# TYPE rollcall_a counter\n");
    }

    #[test]
    #[should_panic(expected = "run `cargo xtask generate`")]
    fn drift_names_the_command() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "<!-- dns: begin -->\nold\n<!-- dns: end -->\n").unwrap();
        assert_documented(file.path(), "dns", PAGE);
    }
}
