//! What outlives a restart of the agent: who it is, what its checks said, what is in maintenance. One small file, written
//! anew as a whole and then moved into place.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::board::{Board, Remembered, Shared};
use crate::clock;

/// What outlives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Made when the agent first ran here.
    #[serde(default)]
    pub agent_id: String,
    /// What is known of each service, by id.
    #[serde(default)]
    pub services: BTreeMap<String, Remembered>,
}

/// Changes that come together are written together.
const CALM: Duration = Duration::from_secs(1);
/// A file that is larger is none of ours.
const BYTES_MAX: u64 = 4 << 20;

// === impl State ===

impl State {
    /// Reads the file. Without one, or with one that cannot be read, the agent begins anew: it is said and does no harm.
    pub fn load(path: &Path) -> Self {
        let read = || -> io::Result<Self> {
            if std::fs::metadata(path)?.len() > BYTES_MAX {
                return Err(io::Error::other("it is larger than any that the agent writes"));
            }
            Ok(serde_json::from_slice(&std::fs::read(path)?)?)
        };
        let mut state = match read() {
            Ok(state) => state,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                warn!(file = %path.display(), %error, "the state file cannot be read, and is begun anew");
                Self::default()
            }
        };
        if state.agent_id.is_empty() {
            state.agent_id = format!("{:016x}{:016x}", clock::bits(), clock::bits());
        }
        state
    }

    /// What operators said, by id: which services are in maintenance, and why.
    fn orders(&self) -> BTreeMap<&str, &str> {
        self.services.iter().filter_map(|(id, known)| Some((id.as_str(), known.maintenance.as_deref()?))).collect()
    }

    /// What the file has of a service.
    pub fn of(&self, id: &str) -> Remembered {
        self.services.get(id).cloned().unwrap_or_default()
    }

    /// As the board has it now. When a check was looked at last is no reason to write.
    pub fn of_board(agent_id: &str, board: &Board) -> Self {
        let remembered = |held: &crate::board::Held| Remembered {
            results: held
                .results
                .iter()
                .map(|(name, told)| (name.clone(), crate::board::Told { at_ms: 0, ..told.clone() }))
                .collect(),
            maintenance: held.maintenance.clone(),
        };
        let services = board.services.iter().map(|(id, held)| (id.clone(), remembered(held))).collect();
        Self { agent_id: agent_id.to_owned(), services }
    }

    /// Writes it so that there is always a whole one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        let next = path.with_extension("next");
        let mut file = std::fs::File::create(&next)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&next, path)
    }
}

/// Writes the file when something changed, until the board is gone.
pub async fn keep(path: PathBuf, agent_id: String, board: Shared) {
    let mut changes = board.subscribe();
    drop(board);
    let (mut saved, mut said) = (State::default(), false);
    loop {
        let state = State::of_board(&agent_id, &changes.borrow_and_update());
        if state != saved {
            match state.save(&path) {
                Ok(()) => (saved, said) = (state, false),
                Err(error) if !said => {
                    said = true;
                    warn!(file = %path.display(), %error, "the state cannot be written: after a restart the checks begin anew. Give the agent's user a state_file that it may write");
                }
                Err(_) => {}
            }
        }
        // Results may wait a moment. What an operator said may not: an agent that is killed must not forget it.
        let calm = tokio::time::Instant::now() + CALM;
        if changes.changed().await.is_err() {
            return;
        }
        let ordered = changes.wait_for(|board| State::of_board(&agent_id, board).orders() != saved.orders());
        if let Ok(Err(_)) = tokio::time::timeout_at(calm, ordered).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Said, Told};

    #[test]
    fn a_state_comes_back_and_a_broken_one_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/agent.json");
        let fresh = State::load(&path);
        assert_eq!((fresh.agent_id.len(), fresh.services.len()), (32, 0));
        let told = Told { health: Said::Warning, since_ms: 7, output: "91 %".into(), at_ms: 0 };
        let remembered =
            Remembered { results: [("disk".to_owned(), told)].into(), maintenance: Some("new disk".into()) };
        let state = State { services: [("shop/payments".to_owned(), remembered.clone())].into(), ..fresh };
        state.save(&path).expect("written");
        let read = State::load(&path);
        assert_eq!((&read, read.of("shop/payments")), (&state, remembered));
        assert_eq!(read.of("shop/other"), Remembered::default());
        std::fs::write(&path, "{").expect("spoiled");
        assert_ne!(State::load(&path).agent_id, state.agent_id);
    }
}
