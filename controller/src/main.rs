//! `rollcall-controller`.

use clap::Parser;
use rollcall_admin::logs;
use rollcall_controller::args::Args;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    logs::init(args.log_format, "info")?;
    rollcall_controller::start::run(args).await
}
