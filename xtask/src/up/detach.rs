//! `up --detach`: the same program in the background, and its output until all is up.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall_e2e::clock;
use rollcall_e2e::process::Identity;

use super::state;
use crate::terminal::{self, Paint, paint};

/// Starts the supervisor in the background and returns when everything is up.
pub(super) fn start() -> Result<()> {
    super::on_signals()?;
    let folder = state::folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join("up.log");
    let log = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    let mut supervisor = supervisor(log)?;
    let mut output = File::open(&path)?;
    loop {
        let ended = supervisor.try_wait()?;
        let ready = state::ready_mark().exists();
        pass_on(&mut output)?;
        if let Some(status) = ended {
            bail!("the process in the background has ended ({status}); logs are in {}", folder.display());
        }
        if ready {
            println!("\n{}", paint("It stays up until: cargo xtask down", Paint::Bold));
            return Ok(());
        }
        if clock::is_interrupted() {
            return give_up(supervisor);
        }
        clock::pause(Duration::from_millis(50));
    }
}

/// In a session of its own, so that closing the terminal does not end it.
fn supervisor(log: File) -> Result<Child> {
    let us = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new("setsid");
    command.arg(us).args(std::env::args_os().skip(1)).arg("--supervised");
    if terminal::is_coloured() {
        command.env("CLICOLOR_FORCE", "1");
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("--detach needs setsid (package util-linux)")
}

fn pass_on(output: &mut File) -> Result<()> {
    let mut text = Vec::new();
    output.read_to_end(&mut text)?;
    std::io::stdout().write_all(&text)?;
    std::io::stdout().flush().map_err(Into::into)
}

fn give_up(mut supervisor: Child) -> Result<()> {
    if let Some(process) = Identity::of("up", supervisor.id()) {
        process.terminate();
    }
    supervisor.wait()?;
    bail!("interrupted")
}
