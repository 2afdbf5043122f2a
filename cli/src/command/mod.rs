//! What each command does.
//!
//! - [`get`]: services, or endpoints of one; [`watch`]: the same and each change
//! - [`explain`]: the whole story; [`resolve`]: one endpoint to call
//! - [`streams`]: who reads the stream; [`bootstrap`]: a file for clients of it
//! - [`beat`]: a beat; [`maintenance`]: out of the answers, and back in

mod beat;
mod bootstrap;
mod explain;
mod get;
mod maintenance;
mod resolve;
mod streams;
mod watch;

use clap::CommandFactory;
use clap_complete::generate;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::output;

/// Does it.
///
/// # Errors
/// What went wrong, with its exit code.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { command, reach } = args;
    match command {
        Command::Get { service: Some(service), filter, output, .. } => {
            get::endpoints(&reach, &service, &filter, output).await
        }
        Command::Get { service: None, all_namespaces, output, .. } => {
            get::services(&reach, all_namespaces, output).await
        }
        Command::Explain { service, endpoint, output } => {
            explain::run(&reach, &service, endpoint.as_deref(), output).await
        }
        Command::Resolve { service, zone, region, tag, port, output } => {
            let wanted = resolve::Wanted { zone, region, tag, port };
            resolve::run(&reach, &service, &wanted, output).await
        }
        Command::Watch { service, filter, output } => watch::run(&reach, &service, &filter, output).await,
        Command::Streams { output } => streams::run(&reach, output).await,
        Command::Bootstrap { client, id, region, zone, stream, ca, token, cert, key } => {
            let said = [
                ("id", id),
                ("region", region),
                ("zone", zone),
                ("server", stream),
                ("ca", ca),
                ("token", token),
                ("cert", cert),
                ("key", key),
            ];
            bootstrap::run(&reach, client, &said).await
        }
        Command::Beat { registration, endpoint, output } => beat::run(&reach, &registration, &endpoint, output).await,
        Command::Maintenance { switch, registration, endpoint, reason } => {
            maintenance::run(&reach, switch, &registration, endpoint.as_deref(), &reason).await
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            generate(shell, &mut Args::command(), "kubectl-rollcall", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
    }
}
