//! What alerts and the dashboard are tried with: Prometheus' own rules and queries, as packages of its Go module in a
//! program of ours, `e2e/prometheus`.

use std::path::PathBuf;

use anyhow::Result;

use super::{Recipe, go};
use crate::layout;

/// The `promcheck` binary.
pub fn promcheck() -> Result<PathBuf> {
    let source = layout::root().join("e2e/prometheus");
    let recipe = Recipe {
        name: "promcheck",
        binary: "promcheck",
        inputs: go::inputs(&source, "")?,
        doing: "building what checks alerts and queries from Go modules of Prometheus",
        takes: "about 20 seconds on two cores",
        remedy: "It needs Go 1.26 or later and, the first time, a network that reaches a Go module proxy (see GOPROXY)",
    };
    recipe.ready(|folder| go::build(&source, ".", &folder.join("promcheck"), "-s -w"))
}
