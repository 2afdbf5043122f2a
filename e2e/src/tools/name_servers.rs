//! The DNS servers that ours is compared with, and what puts load on all of them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Recipe, debian, on_path, run};

const COREDNS: &str = "github.com/coredns/coredns@v1.15.0";

const KNOT_REMEDY: &str = "knotd is missing: install the package knot (Debian, Ubuntu, Fedora)";
const DNSPERF_REMEDY: &str = "dnsperf is missing: install the package dnsperf (Debian, Ubuntu, Fedora)";

/// CoreDNS with the plugins that it comes with.
pub fn coredns() -> Result<PathBuf> {
    let recipe = Recipe {
        name: "coredns",
        binary: "coredns.bin/coredns",
        inputs: format!("{COREDNS}\n").into_bytes(),
        doing: "building CoreDNS from its Go module",
        takes: "about 4 minutes on two cores",
        remedy: "It needs Go 1.26 or later and, the first time, a network that reaches a Go module proxy (see GOPROXY)",
    };
    recipe.ready(|folder| {
        let mut install = Command::new("go");
        install.args(["install", "-trimpath", "-ldflags", "-s -w", COREDNS]);
        run(install.env("GOBIN", folder.join("coredns.bin")).env("CGO_ENABLED", "0"))
    })
}

/// `knotd` of the search path; on Debian, as root, it is installed when missing.
pub fn knotd() -> Result<PathBuf> {
    of_system("knotd", "knot", KNOT_REMEDY)
}

/// `dnsperf`, in the same way.
pub fn dnsperf() -> Result<PathBuf> {
    of_system("dnsperf", "dnsperf", DNSPERF_REMEDY)
}

fn of_system(program: &str, package: &str, remedy: &'static str) -> Result<PathBuf> {
    if let Some(found) = on_path(program) {
        return Ok(found);
    }
    debian::install(&[package], remedy)?;
    on_path(program).context(remedy)
}
