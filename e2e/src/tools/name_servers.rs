//! The DNS servers that ours is compared with, and what puts load on all of them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Recipe, debian, go, on_path, run};

const COREDNS: &str = "github.com/coredns/coredns@v1.15.0"; // the version of e2e/coredns/go.mod

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
        remedy: go::REMEDY,
    };
    recipe.ready(|folder| {
        let mut install = Command::new("go");
        install.args(["install", "-trimpath", "-ldflags", "-s -w", COREDNS]);
        run(install.env("GOBIN", folder.join("coredns.bin")).env("CGO_ENABLED", "0"))
    })
}

/// CoreDNS with the plugins alone that ask another server: built in an eighth of the time.
pub fn coredns_in_front() -> Result<PathBuf> {
    go::program(
        "coredns-in-front",
        "e2e/coredns",
        "building CoreDNS, as far as it asks others, from its Go module",
        "about half a minute",
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    #[test]
    fn coredns_is_of_one_version_wherever_it_is_built() {
        let go_mod = std::fs::read_to_string(layout::root().join("e2e/coredns/go.mod")).unwrap();
        assert!(go_mod.contains(&COREDNS.replace('@', " ")), "go.mod names another version than {COREDNS}");
    }
}
