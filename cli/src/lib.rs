//! The command line for people and scripts: a plugin of kubectl, or a program of its own.
//!
//! ```text
//!  args --> reach: --server, or a port-forward through the API server --> ask (HTTP) --> command: tables, JSON, YAML
//!                          credential: whose token
//! ```
//!
//! - [`args`]: flags; [`failure`]: what goes wrong, with the remedy, and the exit codes
//! - [`reach`]: the way to a controller; [`credential`]: the token that is shown there; [`trust`]: TLS
//! - [`ask`]: requests and answers
//! - [`command`]: what each command does; [`table`], [`paint`], [`output`]: what is printed

pub mod args;
pub mod ask;
pub mod command;
pub mod credential;
pub mod failure;
pub mod output;
pub mod paint;
pub mod reach;
pub mod table;
pub mod trust;

use std::process::ExitCode;

use args::Args;

/// Runs a command, and says on standard error what went wrong.
pub async fn run(args: Args) -> ExitCode {
    match command::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
