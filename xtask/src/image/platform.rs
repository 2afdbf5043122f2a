//! Where the images run, and what this machine needs in order to build for it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rollcall_e2e::tools;
use serde_json::{Value, json};

use crate::terminal;

/// A kind of processor; the system is Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// amd64.
    #[value(name = "x86_64", alias = "amd64")]
    X86,
    /// arm64.
    #[value(name = "aarch64", alias = "arm64")]
    Arm,
}

// === impl Arch ===

impl Arch {
    /// This machine's.
    pub(crate) fn host() -> Result<Self> {
        let arch = std::env::consts::ARCH;
        Self::from_str(arch, false).ok().with_context(|| format!("no images for {arch}: give --arch x86_64 or aarch64"))
    }

    /// The Rust target: musl, so that the program needs no file beside itself.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::X86 => "x86_64-unknown-linux-musl",
            Self::Arm => "aarch64-unknown-linux-musl",
        }
    }

    /// The name that containers have for it.
    pub(crate) fn oci(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }

    /// As image indexes name it.
    pub(crate) fn platform(self) -> Value {
        json!({"architecture": self.oci(), "os": "linux"})
    }

    /// A C compiler for it. ring's C needs no header but the compiler's own and a few that are alike in every libc, so
    /// on the host it is plain `cc`, also where musl-gcc happens to be installed: one compiler less to differ.
    pub(crate) fn c_compiler(self) -> Result<String> {
        if Self::host().is_ok_and(|host| host == self) {
            return Ok("cc".to_owned());
        }
        let (cross, package) = match self {
            Self::X86 => ("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
            Self::Arm => ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        };
        if tools::on_path(cross).is_none() {
            let name = self.target();
            bail!("{cross} is missing, which compiles C for {name}: install the package {package} (Debian, Ubuntu)");
        }
        Ok(cross.to_owned())
    }

    /// Adds the target's standard library to the Rust toolchain when it is missing.
    pub(crate) fn ensure_target(self, root: &Path) -> Result<()> {
        let target = self.target();
        if standard_library_is_there(root, target)? {
            return Ok(());
        }
        if tools::on_path("rustup").is_none() {
            bail!(
                "the standard library for {target} is missing, and rustup is not there to add it: install rustup, or \
                 your distribution's package of it"
            );
        }
        terminal::interject(&format!("adding the Rust target {target} …"));
        let added = Command::new("rustup").args(["--quiet", "target", "add", target]).current_dir(root).status()?;
        if !added.success() || !standard_library_is_there(root, target)? {
            bail!("`rustup target add {target}` failed; it needs a network the first time");
        }
        Ok(())
    }
}

fn standard_library_is_there(root: &Path, target: &str) -> Result<bool> {
    let folder = rustc(root, &["--print", "target-libdir", "--target", target])?;
    Ok(Path::new(&folder).is_dir())
}

/// What rustc answers.
pub(super) fn rustc(root: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("rustc").args(args).current_dir(root).stdin(Stdio::null()).output();
    let output = output.context("rustc cannot be started: is it on the PATH?")?;
    if !output.status.success() {
        bail!("rustc {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
