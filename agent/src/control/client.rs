//! Asks the agent that runs.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Answer, Ask};

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// Asks, and waits for the answer.
///
/// # Errors
/// When no agent answers, in words that say what to do.
pub async fn ask(socket: &Path, ask: &Ask) -> anyhow::Result<Answer> {
    let place = socket.display();
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(serde_json::from_slice(&answer)?)
    };
    let answer = timeout(PATIENCE, asked).await;
    let answer = answer.map_err(|_| anyhow::anyhow!("the agent at {place} gave no answer within {PATIENCE:?}"))?;
    answer.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            anyhow::anyhow!("no agent runs at {place}; start it (systemctl start rollcall-agent), or give --socket")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("you may not ask the agent at {place}: be its user or one of its group, or use sudo")
        }
        _ => anyhow::anyhow!("asking the agent at {place}: {error}"),
    })
}
