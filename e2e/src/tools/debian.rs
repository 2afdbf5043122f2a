//! Packages of Debian, installed when they are missing and we may: as root.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::run;

/// Installs packages with apt-get, on Debian as root. Otherwise the error is the `remedy`: what somebody should install.
pub(super) fn install(packages: &[&str], remedy: &'static str) -> Result<()> {
    if !rustix::process::getuid().is_root() || !Path::new("/etc/debian_version").exists() {
        bail!(remedy);
    }
    eprintln!("installing {} with apt-get: some seconds …", packages.join(", "));
    let install = || -> Result<()> {
        apt_get(&["update"])?;
        apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
    };
    install().context(remedy)
}

fn apt_get(args: &[&str]) -> Result<()> {
    run(Command::new("apt-get").args(["--quiet", "--quiet"]).args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}
