//! Child processes: each in its own process group, with a log file, and gone when the harness is.
//!
//! Three things end a child: `stop` or `kill`, the drop of its [`Process`], and the death of the harness, however hard
//! (`setpriv --pdeathsig`, where it exists). A test run that is killed leaves nothing behind.

mod identity;
mod spawner;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal};

pub use identity::Identity;

use crate::clock;

/// How long a process may take to end after SIGTERM before it is killed. Tests fail then, so it is generous.
pub const STOP_BOUND: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name in messages, and of its log file.
    pub name: String,
    /// The binary.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables to add to its environment.
    pub env: Vec<(String, String)>,
    /// The file that its output is appended to.
    pub log: PathBuf,
}

/// A program that runs, or ran.
#[derive(Debug)]
pub struct Process {
    program: Program,
    /// There while the process has not been waited for, so that its id cannot be another's.
    child: Option<Child>,
    /// How it ended, when it did so by itself.
    ended: Option<ExitStatus>,
}

// === impl Program ===

impl Program {
    /// A program without arguments that logs to `NAME.log` in the folder `logs`.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, logs: &Path) -> Self {
        let name = name.into();
        let log = logs.join(format!("{name}.log"));
        Self { name, path: path.into(), args: Vec::new(), env: Vec::new(), log }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Process> {
        let mut process = Process { program: self, child: None, ended: None };
        process.start()?;
        Ok(process)
    }

    fn command(&self) -> Result<Command> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening the log {}", self.log.display()))?;
        let mut command = spawner::dies_with_us(&self.path);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        Ok(command)
    }

    /// The last lines of the log, for error messages.
    fn tail(&self) -> String {
        const TAIL_BYTES: u64 = 3_000;
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

// === impl Process ===

impl Process {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// What runs here. Changes take effect with the next start.
    pub fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.program.log
    }

    /// Its process id while it has been started and not yet stopped.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Name, process id and start time, to find it again from another process.
    pub fn identity(&self) -> Option<Identity> {
        Identity::of(&self.program.name, self.pid()?)
    }

    /// Starts the program with the same arguments as before. An error if it still runs.
    pub fn start(&mut self) -> Result<()> {
        if self.is_running() {
            bail!("{} runs already", self.program.name);
        }
        let child = spawner::spawn(self.program.command()?)
            .with_context(|| format!("starting {} ({})", self.program.name, self.program.path.display()))?;
        self.child = Some(child);
        self.ended = None;
        Ok(())
    }

    /// Whether it runs. A process that ended is reaped by this.
    pub fn is_running(&mut self) -> bool {
        let Some(child) = self.child.as_mut() else { return false };
        match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                self.ended = Some(status);
                self.child = None;
                false
            }
            Err(_) => false,
        }
    }

    /// How it ended, when it did so by itself and has not been started again.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.ended
    }

    /// An error with the end of its log when the process has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let Some(status) = self.ended else { bail!("{} is stopped", self.program.name) };
        Err(anyhow!(
            "{} ended by itself ({status}). The end of its log, {}:\n{}",
            self.program.name,
            self.program.log.display(),
            self.program.tail()
        ))
    }

    /// Waits for a condition as [`clock::wait_until`] does, and gives up at once when the process ends.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        bound: Duration,
        mut condition: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let waited = clock::wait_until(what, bound, || {
            self.check().map_err(|error| clock::fatal(&error))?;
            condition()
        });
        waited.with_context(|| format!("{} (log: {})", self.program.name, self.program.log.display()))
    }

    /// Ends it with SIGTERM, and with SIGKILL after [`STOP_BOUND`]. Returns whether SIGTERM was enough.
    pub fn stop(&mut self) -> Result<bool> {
        self.terminate();
        self.join(STOP_BOUND)
    }

    /// Sends SIGTERM and does not wait; [`Process::join`] does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
        // A frozen process would never see it.
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended; kills it when the bound passes. Returns whether it ended without that.
    pub fn join(&mut self, bound: Duration) -> Result<bool> {
        let start = clock::now();
        // Not `wait_until`: an interrupt is often why it shall end, and no reason to hurry it.
        while self.is_running() && start.elapsed() < bound {
            clock::pause(Duration::from_millis(10));
        }
        let ended = !self.is_running();
        self.kill()?;
        Ok(ended)
    }

    /// Ends it, and what it started in its process group, with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            child.wait().with_context(|| format!("waiting for the end of {}", self.program.name))?;
        }
        Ok(())
    }

    /// Stops it from running without ending it (SIGSTOP): its sockets stay open and nobody answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it run on after [`Process::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let group = self.child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?));
        if let Some(group) = group {
            // "No such process group" means that it has ended.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
