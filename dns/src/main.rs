//! `rollcall-dns`: DNS from Rollcall's catalog.

use std::process::ExitCode;

use clap::Parser;
use rollcall_admin::server::ServerError;
use rollcall_admin::{Descriptors, Notices, Readiness, Telemetry, shutdown};
use rollcall_dns::args::{self, Args, Command, CommandLine};
use rollcall_dns::diagnose;
use rollcall_dns::holder::{Held, guard};
use rollcall_dns::start::Prepared;

/// What ships: musl's own allocator has one lock for all threads. The same wherever it is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            drop(error.print());
            // A person's slip in `kubectl exec … diagnose` is no fault of this pod's.
            if error.use_stderr() && std::env::args().nth(1).is_none_or(|first| !args::DIAGNOSE.contains(&&*first)) {
                Notices::of_this_pod("dns").fatal("BadFlags", &error.to_string()).await;
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Some(Command::Diagnose(options)) = line.command {
        return if diagnose::run(options).await { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match run(line.serve).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("rollcall-dns: {error:#}");
            let fault = error.chain().find_map(|cause| Some(cause.downcast_ref::<ServerError>()?.fault()));
            Notices::of_this_pod("dns").fatal(fault.unwrap_or("CannotStart"), &format!("{error:#}")).await;
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<u8> {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let endpoint = args.otlp_endpoint.as_deref();
    if guard::is_wanted(args.hold_sockets) {
        // What the server does is traced by itself.
        Telemetry::start(args.log_format, &args.log_level, None, name, version)?;
        return guard::hold().await;
    }
    Descriptors::raise();
    let held = Held::of_this_process()?;
    let telemetry = Telemetry::start(args.log_format, &args.log_level, endpoint, name, version)?;
    let readiness = Readiness::default();
    let stop = shutdown::on_signal(readiness.clone(), args.lame_duck)?;
    let ended = Prepared::with_held(args, held).await?.with_telemetry(telemetry.clone()).serve(readiness, stop).await;
    telemetry.flush().await;
    ended.map(|()| 0)
}
