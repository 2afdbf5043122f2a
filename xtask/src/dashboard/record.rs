//! What Prometheus answered to the dashboard's queries.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::model::{Dashboard, Kind};
use super::prometheus::Prometheus;

/// The answers, by panel.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recording {
    pub(super) times: Times,
    pub(super) marks: Vec<Mark>,
    pub(super) panels: BTreeMap<u32, Vec<Series>>,
    /// Queries that gave nothing, with the titles of their panels.
    pub(super) empty: Vec<String>,
}

/// From when to when, in unix time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) start_s: f64,
    pub(super) end_s: f64,
}

/// Something that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    /// When, in unix time.
    pub(super) at_s: f64,
    /// What.
    pub(super) text: String,
}

/// A line of a panel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) name: String,
    /// Unix time and value. Times without a value are left out.
    pub(super) points: Vec<(f64, f64)>,
}

// === impl Recording ===

impl Recording {
    /// Asks every query of every panel.
    pub(super) fn make(dashboard: &Dashboard, prometheus: &Prometheus, times: Times, marks: Vec<Mark>) -> Result<Self> {
        let (mut panels, mut empty) = (BTreeMap::new(), Vec::new());
        for panel in dashboard.panels.iter().filter(|panel| panel.kind != Kind::Row) {
            let mut all = Vec::new();
            for target in &panel.targets {
                let series = prometheus.range(&target.expr, &target.legend_format, times);
                let series = series.with_context(|| format!("panel {:?}, query {}", panel.title, target.expr))?;
                if series.is_empty() {
                    empty.push(format!("{:?}, query {}", panel.title, target.expr));
                }
                all.extend(series);
            }
            panels.insert(panel.id, all);
        }
        Ok(Self { times, marks, panels, empty })
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("{} is not there: leave out --redraw", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        std::fs::write(path, serde_json::to_string(self)?).with_context(|| format!("writing {}", path.display()))
    }

    /// The lines of a panel.
    pub(super) fn series(&self, panel: u32) -> &[Series] {
        self.panels.get(&panel).map(Vec::as_slice).unwrap_or_default()
    }
}
