//! `rollcall-dns`: DNS from Rollcall's catalog.

use clap::Parser;
use rollcall_admin::{Readiness, logs, shutdown};
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    logs::init(args.log_format, "info")?;
    let readiness = Readiness::default();
    let stop = shutdown::on_signal(readiness.clone(), args.lame_duck)?;
    Prepared::new(args).await?.serve(readiness, stop).await
}
