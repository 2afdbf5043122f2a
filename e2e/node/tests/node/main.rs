//! End-to-end tests on a cluster with a real node, which is started once for all of them.
//!
//! ```text
//! runner     starts the cluster, runs the scenarios, ends the cluster
//! traces     what this machine has before and after: nothing may be left
//! cluster    the cluster itself: is it a real one?
//! two_nodes  a cluster of its own with a second node
//! workload   pods of the image for tests, and what they report
//!
//! release        Rollcall as users have it: the chart, by Helm
//! install        from nothing to the first answer
//! traffic        callers that must not notice changes
//! takeover       in the place of kube-dns, and back
//! certificates   rotation under open streams
//! lifecycle      upgrade, rollback, uninstall
//! operations     what operators do with it
//! faults         what is wrong is said, with the remedy
//! ```
//!
//! `cargo test --package rollcall-e2e-node PART_OF_A_NAME`, or `cargo xtask test`.

mod certificates;
mod cluster;
mod faults;
mod install;
mod lifecycle;
mod operations;
mod release;
mod runner;
mod takeover;
mod traces;
mod traffic;
mod two_nodes;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    let of_rollcall = [
        install::SCENARIOS,
        traffic::SCENARIOS,
        takeover::SCENARIOS,
        certificates::SCENARIOS,
        lifecycle::SCENARIOS,
        operations::SCENARIOS,
        faults::SCENARIOS,
    ];
    runner::main(&[&[cluster::SCENARIOS][..], &of_rollcall].concat())
}
