//! The chart's alerts and dashboard: Prometheus takes them, they do what their tests say, and what they name exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::{layout, tools};
use serde_json::{Value, json};

const ALERTS: &str = "charts/rollcall/files/alerts";
const DASHBOARDS: &str = "charts/rollcall/files/dashboards";
const TESTS: &str = "e2e/tests/alerts";
const RUNBOOKS: &str = "docs/runbooks";
const SECTIONS: [&str; 4] = ["## What the user sees", "## Why", "## What to do", "## How to check that it is over"];

#[test]
fn alerts_fire_when_they_should_and_neither_at_a_rollout_nor_for_ever() -> Result<()> {
    for rules in files(ALERTS, "yaml")? {
        promcheck("rules", &rules)?;
    }
    let (tests, alerts) = (files(TESTS, "yaml")?, alerts()?);
    for test in &tests {
        promcheck("test", test)?;
    }
    let text = read_all(&tests)?;
    for alert in &alerts {
        let at = |end: &str| text.matches(&format!("alertname: {alert}{end}")).count();
        ensure!(at("\n") >= 1, "no test in {TESTS} expects {alert} to fire");
        ensure!(at(", eval_time") >= 3, "the tests in {TESTS} hardly ever expect {alert} not to fire");
    }
    println!("    {} alerts, {} files of tests", alerts.len(), tests.len());
    Ok(())
}

#[test]
fn every_alert_says_how_bad_it_is_and_has_a_runbook() -> Result<()> {
    let alerts = alerts()?;
    ensure!(alerts.len() == 9, "{alerts:?}: there are to be nine alerts; what is a cause belongs into a runbook");
    for rules in files(ALERTS, "yaml")? {
        let text = read(&rules)?;
        let count = text.matches("- alert: ").count();
        for field in ["for: ", "severity: ", "summary: ", "description: ", "runbook_url: "] {
            let found = text.lines().filter(|line| line.trim_start().starts_with(field)).count();
            ensure!(found == count, "{}: {count} alerts, {found} times {field}", rules.display());
        }
    }
    let rules = read_all(&files(ALERTS, "yaml")?)?;
    let overview = read(&layout::root().join(RUNBOOKS).join("README.md"))?;
    for alert in &alerts {
        // The chart replaces what stands before the page's name.
        let url = format!("runbook_url: https://rollcall.dev/runbooks/{alert}.md\n");
        ensure!(rules.contains(&url), "{alert} has another runbook than {alert}.md");
        ensure!(overview.contains(&format!("[{alert}]({alert}.md)")), "{RUNBOOKS}/README.md does not list {alert}");
        let page = read(&layout::root().join(RUNBOOKS).join(format!("{alert}.md")))?;
        let sections: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        ensure!(sections == SECTIONS, "{alert}.md has the sections {sections:?}, not {SECTIONS:?}");
    }
    let pages = files(RUNBOOKS, "md")?.len() - 1;
    ensure!(pages == alerts.len(), "{pages} runbooks for {} alerts: one is nobody's", alerts.len());
    Ok(())
}

#[test]
fn every_metric_that_is_asked_for_exists() -> Result<()> {
    let listed = read(&layout::root().join("docs/metrics.md"))?;
    let listed: BTreeSet<&str> = listed.split('`').filter(|word| is_metric(word)).collect();
    ensure!(listed.len() > 40, "docs/metrics.md lists only {} metrics", listed.len());
    let of_histogram = |name: &str| {
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
        base.is_some_and(|base| listed.contains(base))
    };
    for file in [files(ALERTS, "yaml")?, files(DASHBOARDS, "json")?, files(TESTS, "yaml")?].concat() {
        let text = read(&file)?;
        let unknown = metrics(&text).into_iter().filter(|name| !listed.contains(name) && !of_histogram(name));
        let unknown: Vec<&str> = unknown.collect();
        ensure!(unknown.is_empty(), "{} asks for {unknown:?}, which no program has", file.display());
    }
    // In commands they may be cut off, for grep.
    for file in files(RUNBOOKS, "md")? {
        let text = read(&file)?;
        let begins = |name: &&str| !listed.iter().any(|listed| listed.starts_with(*name));
        let unknown: Vec<&str> = metrics(&text).into_iter().filter(begins).collect();
        ensure!(unknown.is_empty(), "{} speaks of {unknown:?}, which no program has", file.display());
    }
    Ok(())
}

#[test]
fn the_dashboard_explains_itself_and_its_queries_can_be_asked() -> Result<()> {
    let mut rules = Vec::new();
    for file in files(DASHBOARDS, "json")? {
        let dashboard: Value = serde_json::from_str(&read(&file)?)?;
        let panels = array(&dashboard["panels"]);
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().unwrap_or_default();
            no_overlap(panel, &mut taken).with_context(|| format!("panel {title:?}"))?;
            if panel["type"] == "row" {
                continue;
            }
            ensure!(panel["description"].as_str().is_some_and(|text| text.len() > 30), "{title:?} has no description");
            ensure!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title:?} has no unit");
            ensure!(panel["datasource"]["uid"] == "${datasource}", "{title:?} has a data source of its own");
            for target in array(&panel["targets"]) {
                rules.push(rule(target["expr"].as_str().unwrap_or_default(), rules.len())?);
            }
        }
        println!("    {}: {} panels and rows", file.display(), panels.len());
    }
    let scratch = layout::Scratch::new("dashboard-queries")?;
    let path = scratch.path().join("rules.yaml");
    // JSON is YAML.
    std::fs::write(&path, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string())?;
    promcheck("rules", &path)?;
    scratch.remove()
}

/// A query as a recording rule, to be checked as one.
fn rule(query: &str, number: usize) -> Result<Value> {
    let selectors = query.matches("rollcall_").count() + query.matches("process_").count();
    for variable in ["namespace=~\"$namespace\"", "job=~\"$job\"", "instance=~\"$instance\""] {
        ensure!(query.matches(variable).count() == selectors, "{query} does not keep to {variable}");
    }
    Ok(json!({"record": format!("dashboard:query:{number}"), "expr": query.replace("$__rate_interval", "1m")}))
}

fn no_overlap(panel: &Value, taken: &mut BTreeSet<(u64, u64)>) -> Result<()> {
    let read = |name: &str| panel["gridPos"][name].as_u64().with_context(|| format!("gridPos has no {name}"));
    let (x, y, w, h) = (read("x")?, read("y")?, read("w")?, read("h")?);
    ensure!(x + w <= 24, "it ends at column {}", x + w);
    for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
        ensure!(taken.insert(cell), "another panel is at {cell:?} already");
    }
    Ok(())
}

fn promcheck(task: &str, file: &Path) -> Result<()> {
    let output = Command::new(tools::promcheck()?).arg(task).arg(file).output().context("starting promcheck")?;
    if !output.status.success() {
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("promcheck {task} {}:\n{out}{errors}", file.display());
    }
    Ok(())
}

fn alerts() -> Result<Vec<String>> {
    let rules = read_all(&files(ALERTS, "yaml")?)?;
    Ok(rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect())
}

/// Names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| is_metric(word)).collect()
}

fn is_metric(word: &str) -> bool {
    // The modules of log filters look like metrics.
    const MODULES: [&str; 3] = ["rollcall_controller", "rollcall_dns", "rollcall_xds"];
    let looks = ["rollcall_", "process_"].iter().any(|prefix| word.starts_with(prefix));
    looks && !MODULES.contains(&word) && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The files of a folder with an extension; an error if there is none.
fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let folder = layout::root().join(folder);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    ensure!(!files.is_empty(), "no .{extension} in {}", folder.display());
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn read_all(paths: &[PathBuf]) -> Result<String> {
    paths.iter().map(|path| read(path)).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
