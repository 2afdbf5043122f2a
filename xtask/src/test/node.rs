//! The stage on a real node: images as pods. It needs root and features of the kernel, and says so where they are missing.

use std::path::Path;
use std::process::Command;

use rollcall_e2e::{layout, node};

use super::outcome::Outcome;
use super::suite::{Program, Suite, Tier};
use crate::image;

/// What its step is called.
pub(super) const NAME: &str = "end-to-end tests on a real node";

/// Whether the stage is run.
pub(super) struct Stage {
    is_asked_for: bool,
    missing: Vec<String>,
}

// === impl Stage ===

impl Stage {
    /// What this machine can do about it.
    pub(super) fn new(is_asked_for: bool) -> Self {
        Self { is_asked_for, missing: if is_asked_for { node::missing() } else { Vec::new() } }
    }

    /// Whether there is something to run, and this machine can.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_asked_for && self.missing.is_empty()
    }

    /// The images that it needs, if it is run: those that are shipped, but for a few tests that somebody waits for.
    pub(super) fn images(&self, filter: Option<&str>) -> Option<image::Options> {
        self.is_wanted().then(|| image::Options::new(filter.is_some()))
    }

    /// Prepares the stage, but for its images; its programs, or nothing after it was said why it is left out.
    pub(super) fn prepare(self, outcome: &mut Outcome, filter: Option<&str>) -> Vec<Program> {
        if !self.is_asked_for {
            return Vec::new();
        }
        let mut programs = Vec::new();
        if self.missing.is_empty() {
            outcome.step("what the tests on a real node run", |_| {
                let suite = Suite::build(Tier::Node, filter)?;
                // The command line, which people run outside of the cluster.
                super::build_programs()?;
                programs = suite.programs(filter, command(filter))?;
                Ok(Vec::new())
            });
        }
        // Once more: programs that were missing may be there now, and the other way about.
        let missing = if self.missing.is_empty() { node::missing() } else { self.missing };
        if missing.is_empty() {
            return programs;
        }
        outcome.skip(NAME, &missing);
        Vec::new()
    }
}

/// The command of its program, which runs its scenarios side by side itself.
fn command(filter: Option<&str>) -> impl Fn(&Path) -> Command {
    let images = image::Options::new(filter.is_some()).folder();
    move |program| {
        let mut command = Command::new(program);
        command.env(node::IMAGES, &images);
        command.env("ROLLCALL_E2E_BINARIES", layout::cargo_target().join("debug"));
        command
    }
}
