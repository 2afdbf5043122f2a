//! The agent's own socket: `status` and `maintenance` ask there. One line of JSON each way.
//!
//! - [`view`]: what is answered, as people and tools see it; [`client`]: who asks

pub mod client;
pub mod view;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

use self::view::View;
use crate::board::Shared;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "ask")]
pub enum Ask {
    /// Everything that the agent knows.
    Status,
    /// Takes an instance, or all, out of the answers, or back into them.
    Maintenance {
        /// `NAMESPACE/SERVICE[/NAME]`, or the service's name alone; none for all.
        instance: Option<String>,
        /// Why; none to end it.
        reason: Option<String>,
    },
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Everything.
    Status(Box<View>),
    /// These instances were changed.
    Changed(Vec<String>),
    /// Why not.
    Refused(String),
}

/// Who asks at a time.
const CONNECTIONS_MAX: usize = 8;
/// One question, in bytes.
const QUESTION_BYTES_MAX: u64 = 4096;
/// One question and its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Why something is in maintenance, in characters: what the API takes.
const REASON_MAX: usize = 256;

/// Takes the socket's place: what an earlier agent left there goes.
///
/// # Errors
/// When another agent answers there, or the place cannot be had.
pub async fn bind(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::Error::other("another agent answers there; stop it, or give this one another `socket`"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = UnixListener::bind(path)?;
    // Who may write there, may take the machine out of the answers.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers until the agent ends.
pub async fn serve(listener: UnixListener, machine: String, board: Shared) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "the control socket");
                tokio::time::sleep(PATIENCE).await;
                continue;
            }
        };
        let (machine, board) = (machine.clone(), Arc::clone(&board));
        tokio::spawn(async move {
            let _ = timeout(PATIENCE, answer(stream, &machine, &board)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: UnixStream, machine: &str, board: &Shared) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = Vec::new();
    BufReader::new(reading.take(QUESTION_BYTES_MAX)).read_until(b'\n', &mut line).await?;
    let answer = match serde_json::from_slice(&line) {
        Ok(Ask::Status) => Answer::Status(Box::new(View::of(machine, &board.borrow()))),
        Ok(Ask::Maintenance { instance, reason }) => maintain(board, instance.as_deref(), reason),
        Err(error) => Answer::Refused(format!("this is no question: {error}; use rollcall-agent of the same version")),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writing.write_all(&text).await
}

fn maintain(board: &Shared, instance: Option<&str>, reason: Option<String>) -> Answer {
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_MAX) {
        return Answer::Refused(format!("the reason is longer than {REASON_MAX} characters; shorten it"));
    }
    let mut changed = Vec::new();
    let mut known = Vec::new();
    board.send_if_modified(|board| {
        for (id, held) in &mut board.services {
            known.push(id.clone());
            let is_meant = instance.is_none_or(|instance| *id == instance || held.service.instance.service == instance);
            if is_meant {
                held.maintenance.clone_from(&reason);
                changed.push(id.clone());
            }
        }
        !changed.is_empty()
    });
    if changed.is_empty() {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let instance = instance.unwrap_or("any");
        return Answer::Refused(format!("there is no instance {instance}; these are: {known}"));
    }
    info!(instances = changed.join(", "), reason, "maintenance");
    Answer::Changed(changed)
}
