//! Whether the same sources give the same bytes elsewhere: a copy of them, in a folder of another name and length, with
//! another cargo home and nothing compiled before.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rollcall_e2e::layout;

use super::compile::Workshop;
use super::factory::{self, Product};
use super::source::{Source, git};
use super::{Image, Images, Options};
use crate::terminal;

/// A copy of the sources, with folders of its own for what cargo keeps.
pub(super) struct Elsewhere {
    folder: PathBuf,
    source: Source,
}

// === impl Elsewhere ===

impl Elsewhere {
    /// Copies the sources. To be done before building here: what is edited meanwhile is not in either then.
    pub(super) fn prepare(options: &Options) -> Result<Self> {
        let (root, folder) = (layout::root(), options.folder().join("verify"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        let elsewhere = Self { folder, source: Source::of(&root, options)? };
        copy_sources(&root, &elsewhere.sources())?;
        link_cargo_home(&elsewhere.cargo_home())?;
        Ok(elsewhere)
    }

    /// Builds in the copy and compares with the images that were built here.
    pub(super) fn compare(&self, options: &Options, images: &Images) -> Result<()> {
        let workshop = Workshop {
            root: self.sources(),
            target: Some(self.folder.join("its-target")),
            cargo_home: Some(self.cargo_home()),
            arch: options.arch()?,
            is_quick: options.quick,
        };
        let step = terminal::begin("building again elsewhere, from nothing (some minutes)");
        let products = step.outcome(factory::products(&workshop, &self.source, options))?;
        for product in &products {
            compare(images.of(product.component)?, product)?;
        }
        // A failure leaves it, so that the difference can be looked at.
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))?;
        println!("Every byte is the same: layouts, archives and SBOMs.");
        Ok(())
    }

    fn sources(&self) -> PathBuf {
        self.folder.join("another-working-copy")
    }

    fn cargo_home(&self) -> PathBuf {
        self.folder.join("another-cargo-home")
    }
}

fn compare(here: &Image, there: &Product) -> Result<()> {
    let (name, layer) = (here.component, there.assembled.layer.to_string());
    if here.layer != layer {
        bail!(
            "{name} is another program when it is built elsewhere (layers {} and {layer}): compare the binaries in \
             target and target/image/verify/its-target with diffoscope; a crate may have kept a path, a time or an \
             order of this machine, or sources were edited meanwhile",
            here.layer
        );
    }
    if here.everything != there.everything() {
        bail!("{name} is the same program with other words around it: {} and {}", here.digest, there.assembled.digest);
    }
    Ok(())
}

/// All files that git knows or would add, as they are now: also a changed working copy can be verified.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    let listed = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = listed.context("--verify copies what git lists, and git is not there or this is no working copy")?;
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let (from, to) = (root.join(path), copy.join(path));
        if !from.is_file() {
            continue; // Removed, but not yet from git's index.
        }
        let parent = to.parent().unwrap_or(copy);
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(())
}

/// A cargo home of another name that shares what was downloaded, and how this machine downloads.
fn link_cargo_home(link: &Path) -> Result<()> {
    let default = || std::env::home_dir().map(|home| home.join(".cargo"));
    let home =
        std::env::var_os("CARGO_HOME").map(Into::into).or_else(default).context("neither CARGO_HOME nor HOME")?;
    std::fs::create_dir_all(link).with_context(|| format!("making {}", link.display()))?;
    for name in ["registry", "config.toml"] {
        let shared = home.join(name);
        if shared.exists() {
            std::os::unix::fs::symlink(&shared, link.join(name)).with_context(|| format!("linking {name}"))?;
        }
    }
    Ok(())
}
