//! `cargo xtask dashboard`: the chart's Grafana dashboard, drawn from what Prometheus has scraped of real programs.
//!
//! [`stage`] starts a cluster with Rollcall, [`story`] lets something happen to it, [`record`] asks Prometheus the
//! dashboard's own queries, [`picture`] draws the answers where the dashboard places them. A panel without an answer is
//! an error: its query is wrong, or its metric is gone.

mod axis;
mod chart;
mod colour;
mod load;
mod model;
mod picture;
mod prometheus;
mod record;
mod stage;
mod stat;
mod story;
mod svg;
mod upstream;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use rollcall_e2e::rollcall::{Binaries, Profile};
use rollcall_e2e::{layout, tools};

use crate::terminal;
use model::Dashboard;
use prometheus::Prometheus;
use record::Recording;
use stage::Stage;

/// What to draw.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the picture goes.
    #[arg(long, value_name = "PATH", default_value = "docs/images/dashboard.svg")]
    output: PathBuf,
    /// Draw what the last run has recorded, instead of recording anew (some minutes).
    #[arg(long)]
    redraw: bool,
}

const DASHBOARD: &str = "charts/rollcall/files/dashboards/rollcall.json";

/// Records and draws.
pub(crate) fn dashboard(options: &Options) -> Result<()> {
    let dashboard = Dashboard::read(&layout::root().join(DASHBOARD))?;
    let folder = layout::target().join("dashboard");
    let kept = folder.join("recording.json");
    if !options.redraw {
        record(&dashboard, &folder)?.write(&kept)?;
    }
    let recording = Recording::read(&kept)?;
    let output = layout::root().join(&options.output);
    write(&output, &picture::draw(&dashboard, &recording))?;
    println!("{} panels are in {}", recording.panels.len(), options.output.display());
    if !recording.empty.is_empty() {
        let empty = recording.empty.join("\n  ");
        bail!("these gave no data; compare {DASHBOARD} with docs/metrics.md:\n  {empty}");
    }
    Ok(())
}

fn record(dashboard: &Dashboard, folder: &Path) -> Result<Recording> {
    let step = terminal::begin("building Rollcall (some minutes the first time)");
    let binaries = step.outcome(Binaries::build(Profile::Dev))?;
    let program = tools::prometheus()?;
    let folder = layout::Scratch::at(folder.to_path_buf())?;
    let step = terminal::begin("starting a control plane, two controllers, two DNS servers, and what they look after");
    let mut stage = step.outcome(Stage::start(&binaries, folder.path()))?;
    let step = terminal::begin("starting Prometheus");
    let prometheus = step.outcome(Prometheus::start(&program, &stage.targets(), folder.path()))?;
    let (times, marks) = story::play(&mut stage)?;
    let step = terminal::begin("asking Prometheus the dashboard's queries");
    let recording = step.outcome(Recording::make(dashboard, &prometheus, times, marks))?;
    drop(prometheus);
    stage.end()?;
    folder.remove()?;
    Ok(recording)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("the picture needs a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
