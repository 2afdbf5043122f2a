//! Where things are in the working copy.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// The root of the repository: the folder of the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The folder for everything that is made and may be deleted.
pub fn target() -> PathBuf {
    root().join("target")
}

/// Where cargo puts binaries: `target/`, or `CARGO_TARGET_DIR`.
pub fn cargo_target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(target, |folder| root().join(folder))
}

/// A folder of one run's state. It is removed when dropped, unless the thread is panicking: then its logs are needed.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    keep: bool,
}

// === impl Scratch ===

impl Scratch {
    /// Makes an empty folder `target/e2e/NAME-PID-N`.
    pub fn new(name: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(target().join("e2e").join(format!("{name}-{}-{number}", std::process::id())))
    }

    /// Makes the folder `path`, empty.
    pub fn at(path: PathBuf) -> Result<Self> {
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("emptying {}", path.display()))?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { path, keep: false })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder in place when this value goes.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs of the failed run are in {}", self.path.display());
        } else if !self.keep {
            // Nothing to be done about a failure here: the folder is under target/.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
