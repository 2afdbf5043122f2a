//! `kubectl-rollcall`.

use std::process::ExitCode;

use clap::Parser;
use rollcall_cli::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    rollcall_cli::run(Args::parse()).await
}
