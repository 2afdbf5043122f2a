//! `rollcall-agent`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rollcall_agent::args::{Args, At, Command, Output, Switch};
use rollcall_agent::clock::Clock;
use rollcall_agent::config::Config;
use rollcall_agent::control::{Answer, Ask, client};
use rollcall_agent::start;

/// musl's own allocator has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One thread: what an agent does in a second takes less than a millisecond.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rollcall-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Run(files) => start::run(&files.config).await.map(|()| ExitCode::SUCCESS),
        Command::CheckConfig(files) => {
            let config = Config::load(&files.config);
            config.problems.iter().for_each(|problem| println!("{problem}"));
            if config.problems.is_empty() {
                let services = config.services.len();
                let noun = if services == 1 { "service" } else { "services" };
                println!("{}: good; {services} {noun}", files.config.display());
            }
            Ok(code(config.problems.is_empty()))
        }
        Command::Status { at, output } => {
            let Answer::Status(view) = answer(&at, &Ask::Status).await? else { anyhow::bail!("that is no status") };
            match output {
                Output::Table => print!("{}", view.table(Clock::wall_ms())),
                Output::Json => println!("{}", serde_json::to_string_pretty(&view)?),
            }
            Ok(code(view.is_good()))
        }
        Command::Maintenance { at, to, instance, reason } => {
            let reason = (to == Switch::On).then_some(reason);
            let words = if reason.is_some() { "in maintenance" } else { "out of maintenance" };
            match answer(&at, &Ask::Maintenance { instance, reason }).await? {
                Answer::Changed(instances) => {
                    instances.iter().for_each(|instance| println!("{instance}: {words}"));
                    Ok(ExitCode::SUCCESS)
                }
                Answer::Refused(words) => anyhow::bail!(words),
                Answer::Status(_) => anyhow::bail!("that is no answer"),
            }
        }
    }
}

fn code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn answer(at: &At, ask: &Ask) -> anyhow::Result<Answer> {
    let Some(socket) = &at.socket else {
        let socket: PathBuf = Config::load(&at.config).agent.socket;
        let answer = client::ask(&socket, ask).await;
        // Who may not read the file may still ask at the usual place.
        let unread = std::fs::File::open(&at.config).err();
        return answer.map_err(|error| match unread {
            Some(unread) => error.context(format!("{} cannot be read ({unread})", at.config.display())),
            None => error,
        });
    };
    client::ask(socket, ask).await
}
