//! The process that holds the sockets: it starts the server, and another one when that dies.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, io};

use anyhow::Context;
use rollcall_admin::Notices;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind};
use tokio::time::Instant;

use super::STARTED_BY;
use super::channel::{self, Message};
use super::patience::Patience;

/// What a panic ends a process with, where it does not abort.
const PANICKED: i32 = 101;

type Sockets = Arc<Mutex<Vec<(String, OwnedFd)>>>;

/// Whether this process is to hold the sockets of another one that it starts: as told, unless it was itself started so.
pub fn is_wanted(told: bool) -> bool {
    told && env::var_os(STARTED_BY).is_none()
}

/// Starts this program again as the server, with the same flags, until it ends by itself: with which code. What ends this
/// process ends the server. To be called on the main thread, with whose end the server would end.
pub async fn hold() -> anyhow::Result<u8> {
    let mut signals = (unix::signal(SignalKind::terminate())?, unix::signal(SignalKind::interrupt())?);
    let (sockets, mut patience, mut deaths) = (Sockets::default(), Patience::default(), 0_u64);
    loop {
        let begin = Instant::now();
        let (ours, theirs) = channel::pair().context("a channel to the server")?;
        let server = start(theirs).context("the server cannot be started")?;
        let pid = Pid::from_child(&server);
        tracing::debug!(pid = server.id(), deaths, "started a server");
        let attending = {
            let sockets = Arc::clone(&sockets);
            move || attend(server, &ours, &sockets, deaths)
        };
        let mut attending = tokio::task::spawn_blocking(attending);
        let mut ending = false;
        let status = loop {
            let signal = tokio::select! {
                status = &mut attending => break status.context("nobody attends to the server")??,
                _ = signals.0.recv() => Signal::TERM,
                _ = signals.1.recv() => Signal::INT,
            };
            ending = true;
            // It may have ended by now.
            let _ = kill_process(pid, signal);
        };
        if let Some(code) = code(status) {
            return Ok(code);
        }
        deaths += 1;
        let lived = begin.elapsed();
        tell_of_death(status, lived);
        match patience.after(lived) {
            _ if ending => return Ok(1),
            None => anyhow::bail!("one server after the other died ({status}); see what they logged last"),
            Some(wait) => tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = signals.0.recv() => return Ok(1),
                _ = signals.1.recv() => return Ok(1),
            },
        }
    }
}

fn start(channel: OwnedFd) -> io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(STARTED_BY, std::process::id().to_string())
        .stdin(Stdio::from(channel))
        .spawn()
}

/// Gives a server the sockets that are held, takes those that it makes, and waits for its end.
fn attend(mut server: Child, channel: &OwnedFd, sockets: &Sockets, deaths: u64) -> io::Result<ExitStatus> {
    let held = || sockets.lock().unwrap_or_else(PoisonError::into_inner);
    let told = held().iter().try_for_each(|(name, socket)| channel::send_socket(channel.as_fd(), name, socket.as_fd()));
    // An error here or there means that it died: the wait says of what.
    if told.and_then(|()| channel::send_end(channel.as_fd(), deaths)).is_ok() {
        while let Ok(Some(message)) = channel::receive(channel.as_fd()) {
            if let Message::Socket(name, socket) = message {
                held().push((name, socket));
            }
        }
    }
    server.wait()
}

/// What a server ended with by itself; `None` when it died.
fn code(status: ExitStatus) -> Option<u8> {
    status.code().filter(|code| *code != PANICKED).map(|code| u8::try_from(code).unwrap_or(1))
}

fn tell_of_death(status: ExitStatus, lived: Duration) {
    let lived_s = lived.as_secs();
    tracing::error!(signal = status.signal(), lived_s, "the server died; starting another one, queries wait meanwhile");
    let text = format!("the server died after {lived_s} s ({status}), and was started again");
    // Nobody waits for the API server.
    tokio::spawn(async move { Notices::of_this_pod("dns").fatal("ServerDied", &text).await });
}
