//! `rollcall-dns`: DNS from Rollcall's catalog.

use std::process::ExitCode;

use clap::Parser;
use rollcall_admin::{Readiness, logs, shutdown};
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollcall-dns: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    logs::init(args.log_format, "info")?;
    let readiness = Readiness::default();
    let stop = shutdown::on_signal(readiness.clone(), args.lame_duck)?;
    Prepared::new(args).await?.serve(readiness, stop).await
}
