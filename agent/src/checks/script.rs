//! One execution of a script: exit 0 is passing, 1 warning, all else critical; what does not end in time is killed with
//! everything that it started.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rollcall_health::{LocalFault, Outcome};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::board::beginning;

/// Bytes of its output that are kept. All else is read and forgotten, so that the script does not wait.
const OUTPUT_BYTES_MAX: usize = 4096;
/// What is told of it.
const TOLD_BYTES_MAX: usize = 512;
/// After its end, for what it started and left behind with its output open.
const GRACE: Duration = Duration::from_millis(200);
/// What it finds in its environment beside its own variables.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The processes of a script, which end with this.
struct Group {
    child: Option<Child>,
    /// What is left of the group once its leader has ended is its own.
    is_over: bool,
}

/// Runs a command once, with these variables.
pub async fn run(name: &str, command: &[String], bound: Duration, variables: &[(&str, &str)]) -> Outcome {
    let Some((program, arguments)) = command.split_first() else { return failed(name, "there is no command") };
    let mut starting = Command::new(program);
    starting.args(arguments).env_clear().env("PATH", PATH).envs(variables.iter().copied()).current_dir("/");
    starting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut group = match starting.spawn() {
        Ok(child) => Group { child: Some(child), is_over: false },
        Err(error) => return not_started(name, program, &error),
    };
    let mut output = Vec::new();
    match timeout(bound, group.end(&mut output)).await {
        Ok(Ok(status)) => judged(name, status, &output),
        Ok(Err(error)) => failed(name, &format!("its end could not be seen: {error}")),
        Err(_) => {
            failed(name, &format!("did not end within {} s and was killed{}", bound.as_secs_f64(), said(&output)))
        }
    }
}

// === impl Group ===

impl Group {
    /// Waits for its end, and reads what it says until then.
    async fn end(&mut self, output: &mut Vec<u8>) -> io::Result<ExitStatus> {
        let Some(child) = &mut self.child else { return Err(io::ErrorKind::NotFound.into()) };
        let (stdout, stderr) = (child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from));
        let (stdout, stderr) = (pipe(stdout)?, pipe(stderr)?);
        let mut errors = Vec::new();
        let status = {
            let reading = async { tokio::join!(keep(stdout, output), keep(stderr, &mut errors)) };
            let ended = ended(child);
            tokio::pin!(reading, ended);
            let mut is_read = false;
            let status = loop {
                tokio::select! {
                    status = &mut ended => break status?,
                    _ = &mut reading, if !is_read => is_read = true,
                }
            };
            // Somebody of the group may have its output open still; where nobody has, what is left has gone its own way.
            self.is_over = is_read || timeout(GRACE, &mut reading).await.is_ok();
            status
        };
        if output.is_empty() {
            *output = errors;
        }
        Ok(status)
    }
}

/// Waits until it has ended. The signal is listened for before it is looked at: none is missed.
async fn ended(child: &mut Child) -> io::Result<ExitStatus> {
    let mut ends = signal(SignalKind::child())?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        ends.recv().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take().filter(|_| !self.is_over) else { return };
        if let Ok(group) = pid(&child) {
            // Gone already is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
        // Reaped, so that no zombie stays. It has ended, or does at once.
        std::thread::spawn(move || child.wait());
    }
}

fn pid(child: &Child) -> io::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn pipe(end: Option<OwnedFd>) -> io::Result<Option<Receiver>> {
    end.map(Receiver::from_owned_fd).transpose()
}

async fn keep(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

fn judged(name: &str, status: ExitStatus, output: &[u8]) -> Outcome {
    let words = |what: &str| format!("check {name}: {what}{}", said(output)).into();
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Success(words("passed")),
        (Some(1), _) => Outcome::Warning(words("warns (exit 1)")),
        (Some(code), _) => Outcome::Failure(words(&format!("failed (exit {code})"))),
        (None, Some(signal)) => Outcome::Failure(words(&format!("was ended by signal {signal}"))),
        (None, None) => Outcome::Failure(words("failed")),
    }
}

/// The first lines of its output, as one.
fn said(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let plain: String =
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|letter| !letter.is_control()).collect();
    match beginning(&plain, TOLD_BYTES_MAX) {
        "" => String::new(),
        told if told.len() < plain.len() => format!(": {told}…"),
        told => format!(": {told}"),
    }
}

fn failed(name: &str, what: &str) -> Outcome {
    Outcome::Failure(format!("check {name}: {what}").into())
}

fn not_started(name: &str, program: &str, error: &io::Error) -> Outcome {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "; give its whole path",
        io::ErrorKind::PermissionDenied => "; make it executable for the user of the agent",
        _ => "",
    };
    let words = format!("check {name}: {program} cannot be started: {error}{remedy}");
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => Outcome::LocalFault(LocalFault::Descriptors, words.into()),
        Some(Errno::NOMEM | Errno::AGAIN) => Outcome::LocalFault(LocalFault::Memory, words.into()),
        _ => Outcome::Failure(words.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, bound_ms: u64) -> Outcome {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        run("disk", &command, Duration::from_millis(bound_ms), &[("ROLLCALL_SERVICE", "payments")]).await
    }

    #[tokio::test]
    async fn the_exit_decides_and_the_output_is_told() {
        assert_eq!(sh("echo fine", 60_000).await, Outcome::Success("check disk: passed: fine".into()));
        assert_eq!(sh("echo 91 %; exit 1", 60_000).await, Outcome::Warning("check disk: warns (exit 1): 91 %".into()));
        assert_eq!(
            sh("echo full >&2; exit 2", 60_000).await,
            Outcome::Failure("check disk: failed (exit 2): full".into())
        );
        assert_eq!(sh("kill -9 $$", 60_000).await, Outcome::Failure("check disk: was ended by signal 9".into()));
        assert_eq!(
            sh("echo $ROLLCALL_SERVICE $HOME", 60_000).await,
            Outcome::Success("check disk: passed: payments".into())
        );
    }

    #[tokio::test]
    async fn output_is_bounded_and_does_not_hold_the_script_up() {
        let outcome = sh("head -c 10000000 /dev/zero | tr '\\0' x; exit 2", 60_000).await;
        let Outcome::Failure(words) = outcome else { panic!("{outcome:?}") };
        assert!(words.len() < 600 && words.ends_with("xx…"), "{} bytes", words.len());
    }

    #[tokio::test]
    async fn a_timeout_kills_the_whole_process_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let outcome = sh(&script, 1_000).await;
        let Outcome::Failure(words) = outcome else { panic!("{outcome:?}") };
        assert!(words.contains("did not end within 1 s and was killed"), "{words}");
        let pid = std::fs::read_to_string(&file).expect("it ran");
        let gone = async {
            // A zombie, until somebody reaps it, has no command line.
            while std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), gone).await.expect("its child is gone too");
    }

    #[tokio::test]
    async fn what_cannot_be_started_says_the_remedy() {
        let outcome = run("disk", &["/no/such".to_owned()], Duration::from_secs(1), &[]).await;
        assert!(
            matches!(&outcome, Outcome::Failure(words) if words.contains("/no/such cannot be started") && words.contains("give its whole path")),
            "{outcome:?}"
        );
    }
}
