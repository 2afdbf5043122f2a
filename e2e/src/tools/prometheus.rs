//! What alerts and the dashboard are tried with: Prometheus' own rules and queries, as packages of its Go module in a
//! program of ours, `e2e/prometheus`.

use std::path::PathBuf;

use anyhow::Result;

use super::go;

/// The `promcheck` binary.
pub fn promcheck() -> Result<PathBuf> {
    go::program(
        "promcheck",
        "e2e/prometheus",
        "building what checks alerts and queries from Go modules of Prometheus",
        "about 20 seconds on two cores",
    )
}
