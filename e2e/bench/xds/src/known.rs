//! What was measured, by server, step and figure: kept in a file, so that the parts of the whole may be run one by one.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rollcall_e2e::layout;
use serde_json::{Map, Value, json};

use crate::SERVERS;
use crate::measure::{Figures, STEPS, Step};

/// Of this run, and of those before it.
pub(crate) struct Known(Map<String, Value>);

// === impl Known ===

impl Known {
    /// What earlier runs have left.
    pub(crate) fn read() -> Result<Self> {
        let Ok(text) = std::fs::read(path()) else { return Ok(Self(Map::new())) };
        serde_json::from_slice(&text).map(Self).with_context(|| format!("reading {}", path().display()))
    }

    /// What a step found of a server, in the place of what it found before.
    pub(crate) fn note(&mut self, server: &str, step: &Step, figures: &Figures) {
        let named = step.figures.iter().zip(figures).map(|((name, _), figure)| ((*name).to_owned(), json!(figure)));
        let its = self.0.entry(server).or_insert_with(|| json!({}));
        its[step.name] = Value::Object(named.collect());
    }

    pub(crate) fn write(&self) -> Result<()> {
        let path = path();
        let folder = path.parent().context("it is in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let text = serde_json::to_string_pretty(&self.0)?;
        std::fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }

    /// Markdown, as docs/sizing.md has it.
    pub(crate) fn print(&self) {
        let servers: Vec<&str> = SERVERS.into_iter().filter(|server| self.0.contains_key(*server)).collect();
        let headings: String = servers.iter().map(|server| format!(" {server} |")).collect();
        println!("\n| |{headings} aim |\n| --- |{} --- |", " --- |".repeat(servers.len()));
        for step in &STEPS {
            for (name, aim) in step.figures {
                let cell = |server: &&str| {
                    let figure = self.0[*server][step.name][*name].as_f64();
                    figure.map_or_else(|| " \u{2013} |".to_owned(), |figure| format!(" {figure:.1} |"))
                };
                let cells: String = servers.iter().map(cell).collect();
                println!("| {name} |{cells} {aim} |");
            }
        }
        println!(
            "\nlinear and snapshot are the caches of go-control-plane; \u{2013} where a step did not come to its end in time, or was not run."
        );
    }
}

fn path() -> PathBuf {
    layout::target().join("bench/xds.json")
}
