//! End-to-end tests on clusters with a real node, which scenarios take one after the other.
//!
//! ```text
//! runner     runs the scenarios, some side by side, each on a cluster that no other uses meanwhile
//! clusters   starts clusters when they are needed, and ends them
//! harness    that a cluster leaves nothing
//! traces     what this machine has before and after: nothing may be left
//! cluster    the cluster itself: is it a real one?
//! two_nodes  a cluster of its own with a second node
//! two_clusters  one more beside, whose pods call and are called
//! workload   pods of the image for tests, and what they report
//!
//! release        Rollcall as users have it: the chart, by Helm
//! install        from nothing to the first answer
//! traffic        callers that must not notice changes
//! takeover       in the place of kube-dns, and back
//! certificates   rotation under open streams
//! lifecycle      upgrade, rollback, uninstall
//! operations     what operators do with it
//! command_line   kubectl rollcall through the API server
//! pod_checks     pods that a policy has checked
//! faults         what is wrong is said, with the remedy
//! ```
//!
//! `cargo test --package rollcall-e2e-node PART_OF_A_NAME`, or `cargo xtask test`.

mod certificates;
mod cluster;
mod command_line;
mod faults;
mod harness;
mod install;
mod lifecycle;
mod operations;
mod pod_checks;
mod pool;
mod release;
mod runner;
mod takeover;
mod traces;
mod traffic;
mod two_clusters;
mod two_nodes;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Long ones first, so that none runs alone at the end, and those beside each other that use the same release.
    let groups = [
        two_nodes::SCENARIOS,
        two_clusters::SCENARIOS,
        install::SCENARIOS,
        traffic::SCENARIOS,
        certificates::SCENARIOS,
        lifecycle::SCENARIOS,
        takeover::SCENARIOS,
        operations::SCENARIOS,
        command_line::SCENARIOS,
        pod_checks::SCENARIOS,
        faults::SCENARIOS,
        cluster::SCENARIOS,
    ];
    runner::main(&groups.concat())
}
