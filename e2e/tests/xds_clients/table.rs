//! The table of clients and scenarios, and the page of the documentation that keeps it.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use rollcall_e2e::layout;

use super::crowd::{Cell, Crowd, locked};
use super::scenarios::Scenario;

const PAGE: &str = "docs/xds-clients.md";

const HEAD: &str = "\
# xDS clients

Programs that use the libraries as anybody would, and Envoys, each against one Rollcall of two replicas on a real control
plane, all at once. Each calls every service about six times a second, and every call is judged: after a client has settled on what
is there, no call of it may go elsewhere or fail until the next change. Scenarios that are about one service run at the same time; those
about the server follow.

`cargo xtask test xds_clients` runs it and writes this page to `target/xds-clients.md`; it fails when a result differs from
this page, figures apart. A figure is the time from a change until the client had called all that is there, and made its last call
to what is not; two figures are of there and back. They are those of a loaded machine of two cores with unoptimised programs
and calls 150 ms apart, and say no more than that it does not take minutes.
[xds.md](xds.md) says how to point each of them at Rollcall.

";

/// Rows are clients, columns scenarios.
pub(crate) struct Table {
    clients: Vec<(String, String)>,
    absent: Vec<Option<String>>,
    columns: Vec<(Scenario, Vec<Cell>)>,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(crowd: &Crowd) -> Self {
        let members = || crowd.members().map(locked);
        let clients = members().map(|member| (member.name.clone(), member.package.clone())).collect();
        let absent = members().map(|member| member.absent()).collect();
        Self { clients, absent, columns: Vec::new() }
    }

    pub(crate) fn add(&mut self, scenario: Scenario, cells: Vec<Cell>) {
        self.columns.push((scenario, cells));
    }

    /// The names of clients that could not be had.
    pub(crate) fn absent(&self) -> Vec<String> {
        let absent = self.clients.iter().zip(&self.absent).filter(|(_, why)| why.is_some());
        absent.map(|((name, _), _)| name.clone()).collect()
    }

    /// What went wrong, a line each.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (scenario, cells) in &self.columns {
            for (cell, (client, _)) in cells.iter().zip(&self.clients) {
                if let Cell::Wrong(why) = cell {
                    failures.push(format!("{client}, {}: {why}", scenario.title));
                }
            }
        }
        failures
    }

    /// The table in Markdown.
    pub(crate) fn rows(&self) -> String {
        let titles: Vec<&str> = self.columns.iter().map(|(scenario, _)| scenario.title).collect();
        let mut text = format!("| client | {} |\n| --- |{}\n", titles.join(" | "), " --- |".repeat(titles.len()));
        for (index, (client, _)) in self.clients.iter().enumerate() {
            let cells: Vec<String> = match &self.absent[index] {
                Some(why) => vec![format!("cannot be had here: {}", why.replace('|', "/"))],
                None => self.columns.iter().map(|(_, cells)| cell(&cells[index])).collect(),
            };
            let _ = writeln!(text, "| {client} | {} |", cells.join(" | ")); // a String takes everything
        }
        text
    }

    /// The whole page.
    pub(crate) fn page(&self) -> String {
        let mut text = format!("{HEAD}{}\n## The scenarios\n\n", self.rows());
        for (scenario, _) in &self.columns {
            let _ = writeln!(text, "- **{}**: {}", scenario.title, scenario.about);
        }
        text.push_str("\n## The versions\n\n");
        let mut packages: Vec<&str> = self.clients.iter().map(|(_, package)| package.as_str()).collect();
        packages.dedup();
        for package in packages {
            let _ = writeln!(text, "- {package}");
        }
        text
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Fine(said) => format!("✔ {said}"),
        Cell::Wrong(why) => format!("✘ {}", why.replace('|', "/").chars().take(80).collect::<String>()),
        Cell::Absent => "not there".to_owned(),
    }
}

/// Holds the page of a run against the one that is kept. What these clients came to is not compared: they were not there.
pub(crate) fn compare(page: &str, absent: &[String]) -> Result<()> {
    let made = layout::target().join("xds-clients.md");
    std::fs::write(&made, page).with_context(|| format!("writing {}", made.display()))?;
    let kept = std::fs::read_to_string(layout::root().join(PAGE)).unwrap_or_default();
    let (made, kept) = (form(page, absent), form(&kept, absent));
    let differs = made.iter().zip(&kept).find(|(made, kept)| made != kept);
    if let Some((made, kept)) = differs {
        bail!("{PAGE} is not of this run: it has\n{kept}\nnot\n{made}\nRun `cp target/xds-clients.md {PAGE}`");
    }
    if made.len() != kept.len() {
        bail!("{PAGE} is not of this run: a part is missing. Run `cp target/xds-clients.md {PAGE}`");
    }
    Ok(())
}

/// Its lines without figures, and without the rows of these clients.
fn form(page: &str, absent: &[String]) -> Vec<String> {
    let is_absent = |line: &str| absent.iter().any(|client| line.starts_with(&format!("| {client} |")));
    let lines = page.lines().filter(|line| !is_absent(line));
    lines.map(|line| line.split(|c: char| c.is_ascii_digit()).filter(|part| *part != ".").collect()).collect()
}

#[test]
fn figures_do_not_count_and_results_do() {
    let row = |cell: &str| form(&format!("| grpc-go | {cell} |"), &[]);
    assert_eq!(row("✔ 0.2 s; 12 s"), row("✔ 10.7 s; 3.1 s").clone());
    assert_ne!(row("✔ 0.2 s"), row("✘ 0.2 s"));
    assert!(form("| grpc-go | cannot be had here |", &["grpc-go".to_owned()]).is_empty());
}
