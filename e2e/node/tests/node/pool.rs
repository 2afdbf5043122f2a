//! The clusters of a run: as many as scenarios run side by side, started when first needed, ended after the last.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use rollcall_e2e::clock;
use rollcall_e2e::layout::{self, Scratch};
use rollcall_e2e::node::{self, Config, NodeCluster};
use rollcall_e2e::process::Identity;

use crate::traces::{Marks, Traces};

/// Clusters that run and that nobody uses now.
pub(crate) struct Clusters {
    free: Mutex<Free>,
    before: Traces,
}

#[derive(Default)]
struct Free {
    clusters: Vec<(NodeCluster, Scratch)>,
    /// Why one could not be started. It is not tried again: that takes minutes, and fails again.
    broken: Option<String>,
}

// === impl Clusters ===

impl Clusters {
    /// None runs yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { free: Mutex::default(), before: Traces::now()? })
    }

    /// Runs a scenario on a cluster that is free, or a new one.
    pub(crate) fn with(&self, scenario: fn(&mut NodeCluster) -> Result<()>) -> Result<()> {
        // The one that was given back last: a release may have been kept on it.
        let free = self.free().clusters.pop();
        let (mut cluster, scratch) = free.map_or_else(|| self.start(), Ok)?;
        // A scenario that panics has its cluster ended, and the next one starts another.
        let outcome = scenario(&mut cluster);
        self.free().clusters.push((cluster, scratch));
        outcome
    }

    fn start(&self) -> Result<(NodeCluster, Scratch)> {
        let broken = self.free().broken.clone();
        if let Some(why) = broken {
            bail!("no cluster: {why}");
        }
        let scratch = Scratch::new("node")?;
        match start(scratch.path()) {
            Ok(cluster) => Ok((cluster, scratch)),
            Err(error) => {
                self.free().broken = Some(format!("{error:#}"));
                Err(error)
            }
        }
    }

    /// Ends all clusters, at least one, and looks for what they have left on this machine.
    pub(crate) fn end_and_leave_nothing(&self, keep_logs: bool) -> Result<()> {
        let is_first = self.free().clusters.is_empty();
        if is_first {
            let started = self.start()?;
            self.free().clusters.push(started);
        }
        let scratches = self.stop()?;
        let folders: Vec<&Path> = scratches.iter().map(Scratch::path).collect();
        self.before.expect_nothing_of(Marks { makers: &[ourselves()?], folders: &folders })?;
        remove(scratches, keep_logs)
    }

    /// Ends those that still run.
    pub(crate) fn end(&self, keep_logs: bool) -> Result<()> {
        remove(self.stop()?, keep_logs)
    }

    fn stop(&self) -> Result<Vec<Scratch>> {
        let clusters = std::mem::take(&mut self.free().clusters);
        clusters.into_iter().map(|(cluster, scratch)| cluster.stop().map(|()| scratch)).collect()
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This process, as a maker of clusters.
pub(crate) fn ourselves() -> Result<Identity> {
    Identity::own("runner").context("this process is not in /proc")
}

fn remove(scratches: Vec<Scratch>, keep_logs: bool) -> Result<()> {
    if keep_logs { Ok(()) } else { scratches.into_iter().try_for_each(Scratch::remove) }
}

/// A cluster with all images that are there.
fn start(folder: &Path) -> Result<NodeCluster> {
    let start = clock::now();
    let config = Config { images: images()?, ..Config::new(folder) };
    let loaded = config.images.len();
    let cluster = NodeCluster::start(config)?;
    println!("\nnode Ready after {:.1} s, {loaded} images of Rollcall loaded", start.elapsed().as_secs_f32());
    Ok(cluster)
}

/// The archives that `cargo xtask image` writes, or those in the folder that [`node::IMAGES`] names.
pub(crate) fn images() -> Result<Vec<PathBuf>> {
    let given = std::env::var_os(node::IMAGES).map(PathBuf::from);
    node::archives(&given.unwrap_or_else(|| layout::target().join("image")))
}
