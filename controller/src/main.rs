//! `rollcall-controller`.

use std::process::ExitCode;

use clap::Parser;
use rollcall_admin::server::ServerError;
use rollcall_admin::{Descriptors, Notices, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;

/// What ships: musl's own allocator has one lock for all threads. The same wherever it is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            drop(error.print());
            if error.use_stderr() {
                Notices::of_this_pod("controller").fatal("BadFlags", &error.to_string()).await;
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollcall-controller: {error:#}");
            let fault = error.chain().find_map(|cause| Some(cause.downcast_ref::<ServerError>()?.fault()));
            Notices::of_this_pod("controller").fatal(fault.unwrap_or("CannotStart"), &format!("{error:#}")).await;
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    Descriptors::raise();
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let endpoint = args.otlp_endpoint.as_deref();
    let telemetry = Telemetry::start(args.log_format, &args.log_level, endpoint, name, version)?;
    let ended = start::run(args, telemetry.clone()).await;
    telemetry.flush().await;
    ended
}
