//! kdig, the DNS client of Knot DNS: it shows every flag and section, and speaks JSON.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{on_path, run};

const REMEDY: &str = "kdig is missing: install the package knot-dnsutils (Debian, Ubuntu), knot-utils (Fedora) or knot \
                      (Homebrew, Arch)";

/// `kdig` of the search path; on Debian, as root, it is installed when missing.
pub fn kdig() -> Result<PathBuf> {
    if let Some(kdig) = on_path("kdig") {
        return Ok(kdig);
    }
    let may_install = rustix::process::getuid().is_root() && Path::new("/etc/debian_version").exists();
    if !may_install {
        bail!(REMEDY);
    }
    eprintln!("installing kdig with apt-get: some seconds …");
    apt_get(&["update"]).and_then(|()| apt_get(&["install", "--yes", "knot-dnsutils"])).context(REMEDY)?;
    on_path("kdig").context(REMEDY)
}

fn apt_get(args: &[&str]) -> Result<()> {
    run(Command::new("apt-get").args(["--quiet", "--quiet"]).args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}
