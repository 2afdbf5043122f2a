//! Packages of Debian, installed when they are missing and we may: as root.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{run, say};

/// Installs packages with apt-get, on Debian as root. Otherwise the error is the `remedy`: what somebody should install.
pub(super) fn install(packages: &[&str], remedy: &'static str) -> Result<()> {
    if !rustix::process::getuid().is_root() || !Path::new("/etc/debian_version").exists() {
        bail!(remedy);
    }
    say(&format!("installing {} with apt-get: some seconds …", packages.join(", ")));
    let install = || -> Result<()> {
        apt_get(&["update"])?;
        apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
    };
    install().context(remedy)
}

fn apt_get(args: &[&str]) -> Result<()> {
    // Another apt-get may be at work just now, and a mirror may drop a connection.
    const PATIENCE: [&str; 4] = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];
    let mut apt_get = Command::new("apt-get");
    apt_get.args(["--quiet", "--quiet"]).args(PATIENCE).args(args);
    run(apt_get.env("DEBIAN_FRONTEND", "noninteractive"))
}
