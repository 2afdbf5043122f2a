//! The project's chores, as `cargo xtask …`: try it, test it, measure it, generate what is generated.

mod bench;
mod chart;
mod generate;
mod image;
#[cfg(test)]
mod pages;
mod serve_http;
mod terminal;
mod test;
mod up;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of Rollcall's working copy.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run Rollcall on a control plane of this machine, with an example, until Ctrl-C.
    Up(up::Options),
    /// End what `up` started.
    Down,
    /// Check everything: format, lints, licences, unit and property tests, end-to-end tests.
    Test(test::Options),
    /// Measure: the core, start-up, memory, and how long a change takes to callers.
    Bench(bench::Options),
    /// Build the container images: static programs, OCI layouts and archives, SBOMs.
    Image(image::Options),
    /// Write the files that are made from others: the CRDs, and what of the chart is generated.
    Generate,
    /// Serve HTTP as a machine outside the cluster would. Started by `up`.
    #[command(hide = true)]
    ServeHttp {
        /// What it answers.
        name: String,
        /// Where it listens.
        address: SocketAddr,
    },
}

fn main() -> ExitCode {
    rollcall_e2e::tools::say_by(terminal::interject);
    let outcome = match Arguments::parse().task {
        Task::Up(options) => up::up(&options),
        Task::Down => up::down(),
        Task::Test(options) => test::test(&options),
        Task::Bench(options) => bench::bench(&options),
        Task::Image(options) => image::image(&options),
        Task::Generate => generate::generate(),
        Task::ServeHttp { name, address } => serve_http::serve(&name, address),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::failure(&error);
            ExitCode::FAILURE
        }
    }
}
