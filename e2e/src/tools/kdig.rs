//! kdig, the DNS client of Knot DNS: it shows every flag and section, and speaks JSON.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{debian, on_path};

const REMEDY: &str = "kdig is missing: install the package knot-dnsutils (Debian, Ubuntu), knot-utils (Fedora) or knot \
                      (Homebrew, Arch)";

/// `kdig` of the search path; on Debian, as root, it is installed when missing.
pub fn kdig() -> Result<PathBuf> {
    if let Some(kdig) = on_path("kdig") {
        return Ok(kdig);
    }
    debian::install(&["knot-dnsutils"], REMEDY)?;
    on_path("kdig").context(REMEDY)
}
