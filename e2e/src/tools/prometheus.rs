//! Prometheus and promtool, from the Go module: alerts are tested with them, and the dashboard is drawn from what they
//! have scraped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Recipe, go, run};
use crate::layout;

/// Neither the web page nor the discovery of clouds is needed; both are most of Prometheus.
const FLAGS: [&str; 5] = ["-trimpath", "-tags", "remove_all_sd", "-ldflags", "-s -w"];

/// The `prometheus` binary.
pub fn prometheus() -> Result<PathBuf> {
    install("prometheus", "building Prometheus from its Go module", "about a minute on two cores, after promtool,")
}

/// The `promtool` binary. Tests need it alone.
pub fn promtool() -> Result<PathBuf> {
    install("promtool", "building promtool from the Go module of Prometheus", "about 4 minutes on two cores")
}

fn install(name: &str, doing: &str, takes: &str) -> Result<PathBuf> {
    // A module of its own, since `go install …@VERSION` refuses the one of Prometheus: it has replacements.
    let source = layout::root().join("e2e/prometheus");
    let recipe = Recipe {
        name,
        binary: name,
        inputs: go::inputs(&source, &FLAGS.join(" "))?,
        doing,
        takes,
        remedy: "It needs Go 1.26 or later and, the first time, a network that reaches a Go module proxy (see GOPROXY)",
    };
    recipe.ready(|folder| build(&source, name, &folder.join(name)))
}

fn build(source: &Path, name: &str, binary: &Path) -> Result<()> {
    // Under another name first: the old binary may be running, and a broken build must not take its place.
    let fresh = binary.with_extension("new");
    let package = format!("github.com/prometheus/prometheus/cmd/{name}");
    let mut build = Command::new("go");
    build.arg("build").args(FLAGS).arg("-o").arg(&fresh).arg(package).current_dir(source).env("CGO_ENABLED", "0");
    run(&mut build)?;
    std::fs::rename(&fresh, binary).with_context(|| format!("putting {} in place", binary.display()))
}
