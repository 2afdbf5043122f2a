//! Tests of the harness itself, when all scenarios have ended: nothing may be left of a cluster, however it ends.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use rollcall_e2e::clock;
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::node::{Config, NodeCluster};
use rollcall_e2e::process::Program;

use crate::pool::ourselves;
use crate::traces::{Marks, Traces};
use crate::workload::BOUND;

/// The argument by which this program, started by itself, holds a cluster until it is killed.
pub(crate) const HOLD: &str = "--hold";

pub(crate) const ENDS: &str = "a_cluster_that_ends_leaves_nothing";
pub(crate) const KILLED: &str = "a_cluster_whose_owner_is_killed_leaves_nothing";

/// Kills a process that holds a cluster, as hard as can be.
pub(crate) fn kill_owner() -> Result<()> {
    let before = Traces::now()?;
    let scratch = Scratch::new("node-killed")?;
    let us = std::env::current_exe().context("finding this program")?;
    let args = [HOLD.to_owned(), scratch.path().display().to_string()];
    let mut owner = Program::new("owner", us, scratch.path()).args(args).start()?;
    let ready = scratch.path().join("ready");
    owner.wait_until("its cluster", BOUND * 2, || Ok(ready.exists().then_some(())))?;
    let makers = [ourselves()?, owner.identity().context("it has ended by itself")?];
    owner.kill()?;
    clock::wait_until("the end of all that it had started", BOUND, || {
        before.expect_groups_alone_of(Marks { makers: &makers, folders: &[scratch.path()] }).map(Some)
    })?;
    // Empty groups cannot end by themselves: the next cluster removes them.
    let next = Scratch::new("node-next")?;
    NodeCluster::start(Config::new(next.path()))?.stop()?;
    before.expect_nothing_of(Marks { makers: &makers, folders: &[scratch.path(), next.path()] })?;
    next.remove()?;
    scratch.remove()
}

/// Holds a cluster, in a process that is to be killed.
pub(crate) fn hold(folder: &Path) -> ExitCode {
    match NodeCluster::start(Config::new(folder)) {
        Ok(_cluster) => {
            let _ = std::fs::write(folder.join("ready"), "");
            loop {
                clock::pause(Duration::from_secs(60));
            }
        }
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
