//! Prometheus and promtool, from the Go module: alerts are tested with them, and the dashboard is drawn from what they
//! have scraped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Recipe, go, run};
use crate::layout;

/// Neither the web page nor the discovery of clouds is needed; both are most of Prometheus.
const FLAGS: [&str; 5] = ["-trimpath", "-tags", "remove_all_sd", "-ldflags", "-s -w"];
const PACKAGES: [&str; 2] =
    ["github.com/prometheus/prometheus/cmd/prometheus", "github.com/prometheus/prometheus/cmd/promtool"];

/// The `prometheus` binary.
pub fn prometheus() -> Result<PathBuf> {
    // A module of its own, since `go install …@VERSION` refuses the one of Prometheus: it has replacements.
    let source = layout::root().join("e2e/prometheus");
    let recipe = Recipe {
        name: "prometheus",
        binary: "prometheus/prometheus",
        inputs: go::inputs(&source, &FLAGS.join(" "))?,
        doing: "building Prometheus and promtool from their Go module",
        takes: "about 5 minutes on two cores",
        remedy: "It needs Go 1.26 or later and, the first time, a network that reaches a Go module proxy (see GOPROXY)",
    };
    recipe.ready(|folder| build(&source, &folder.join("prometheus")))
}

/// The `promtool` binary.
pub fn promtool() -> Result<PathBuf> {
    prometheus().map(|prometheus| prometheus.with_file_name("promtool"))
}

fn build(source: &Path, folder: &Path) -> Result<()> {
    // In another folder first: the old binaries may be running, and a broken build must not take their place.
    let fresh = folder.with_extension("new");
    std::fs::create_dir_all(&fresh).and_then(|()| std::fs::create_dir_all(folder))?;
    let mut build = Command::new("go");
    build.arg("build").args(FLAGS).arg("-o").arg(&fresh).args(PACKAGES).current_dir(source).env("CGO_ENABLED", "0");
    run(&mut build)?;
    for name in ["promtool", "prometheus"] {
        let binary = folder.join(name);
        std::fs::rename(fresh.join(name), &binary).with_context(|| format!("putting {} in place", binary.display()))?;
    }
    std::fs::remove_dir(&fresh).with_context(|| format!("removing {}", fresh.display()))
}
