//! Where things are in the working copy.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// The root of the repository: the folder of the workspace's `Cargo.lock`.
///
/// That of the package which cargo runs, as long as cargo does: a working copy may have been copied or moved with what was
/// built in it, and cargo takes that for fresh.
pub fn root() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let found = running.as_deref().and_then(workspace).or_else(|| workspace(built));
    found.unwrap_or(built).to_path_buf()
}

fn workspace(package: &Path) -> Option<&Path> {
    // Not any workspace: this may be run by a package of somebody else.
    package.ancestors().find(|folder| folder.join("Cargo.lock").is_file() && folder.join("e2e/src/layout.rs").is_file())
}

/// The folder for everything that is made and may be deleted.
pub fn target() -> PathBuf {
    root().join("target")
}

/// Where cargo puts binaries: `target/`, or `CARGO_TARGET_DIR`.
pub fn cargo_target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(target, |folder| root().join(folder))
}

/// A folder of one run's state and logs. It stays when dropped, since a failure is found in it; success calls
/// [`Scratch::remove`].
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    removed: bool,
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
        Ok(Self { path, removed: false })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder: the run was well, and all that writes into it has ended (drop the control plane first).
    pub fn remove(mut self) -> Result<()> {
        self.removed = true;
        std::fs::remove_dir_all(&self.path).with_context(|| format!("removing {}", self.path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.removed {
            eprintln!("logs of this run are in {}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_that_of_the_package_that_runs() {
        assert_eq!(workspace(Path::new("/nowhere/at/all")), None);
        let root = root();
        assert_eq!(workspace(&root.join("e2e")), Some(root.as_path()));
        assert!(root.join("e2e").join(file!().trim_start_matches("e2e/")).is_file(), "{}", root.display());
    }
}
