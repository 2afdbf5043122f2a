//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Registers what runs on this machine with Rollcall, checks it, and says that it lives.
#[derive(Clone, Debug, Parser)]
#[command(name = "rollcall-agent", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Runs until SIGTERM, which takes everything out of the answers first. SIGHUP reads the files again; SIGQUIT ends at
    /// once and takes nothing out, for an agent that is started anew.
    Run(Files),
    /// Reads the files and says what is wrong with them: the file, the line, the key and what to write. 0 if nothing is.
    CheckConfig(Files),
    /// What the agent that runs knows. 0 if it is connected and everything is registered, else 1.
    Status {
        #[command(flatten)]
        /// Where it is asked.
        at: At,
        /// As a table for people, or as JSON for tools.
        #[arg(short, long, value_name = "HOW", default_value = "table")]
        output: Output,
    },
    /// Takes an instance out of the answers, or back into them.
    Maintenance {
        #[command(flatten)]
        /// Where the agent is asked.
        at: At,
        /// on or off.
        to: Switch,
        /// NAMESPACE/SERVICE[/NAME], or the service's name; all of this machine if not given.
        instance: Option<String>,
        /// Why, for the colleague who finds it.
        #[arg(long, default_value = "maintenance of the machine")]
        reason: String,
    },
}

/// The files.
#[derive(Clone, Debug, clap::Args)]
pub struct Files {
    /// The agent's file.
    #[arg(long, env = "ROLLCALL_AGENT_CONFIG", value_name = "PATH", default_value = CONFIG)]
    pub config: PathBuf,
}

/// Where the agent that runs is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct At {
    /// Its socket; if not given, the one of its file.
    #[arg(long, env = "ROLLCALL_AGENT_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The agent's file.
    #[arg(long, env = "ROLLCALL_AGENT_CONFIG", value_name = "PATH", default_value = CONFIG)]
    pub config: PathBuf,
}

/// How something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For tools.
    Json,
}

/// Into maintenance or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Out of the answers.
    On,
    /// Back into them.
    Off,
}

const CONFIG: &str = "/etc/rollcall/agent.toml";
