//! What the agent knows, in one place: what is configured, what checks say, what the controller answered.
//!
//! Every part of the agent reads it, and is woken when it changes; each writes its own fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_catalog::model::Health;
use rollcall_xds::proto::rollcall::v1::answer::State;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::Service;

/// The board, and who is woken by it.
pub type Shared = Arc<watch::Sender<Board>>;

/// What the agent knows.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// What is registered, by id.
    pub services: BTreeMap<String, Held>,
    /// The connection to a controller.
    pub link: Link,
    /// Everything is to leave the answers: the agent ends.
    pub leaving: bool,
    /// What is wrong with the files.
    pub problems: Vec<String>,
}

/// One instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// As it is configured.
    pub service: Arc<Service>,
    /// What checks on the machine say, by name.
    pub results: BTreeMap<String, Told>,
    /// Why it is out of the answers, if somebody wanted that.
    pub maintenance: Option<String>,
    /// What the controller answered last.
    pub answer: Option<(State, String)>,
}

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Passing, Warning, Critical or Unknown.
    pub health: Said,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// What it saw.
    pub output: String,
    /// When it was looked at last, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// The health that a check says, as it stands in the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// Nothing yet.
    Unknown,
    /// Well.
    Passing,
    /// Something is wrong, and callers may call.
    Warning,
    /// Callers may not.
    Critical,
}

/// The connection to a controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Where it leads, while it is open.
    pub server: Option<String>,
    /// Since when it is open, or is not, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Why it is not.
    pub trouble: String,
    /// Beats sent since the agent began.
    pub beats: u64,
}

// === impl Board ===

impl Board {
    /// Whether there is no instance of whose life anything is to be said.
    pub fn is_silent(&self) -> bool {
        self.leaving || self.services.is_empty()
    }

    /// Takes up a configuration. What is known of a service that stays, stays.
    pub fn configure(&mut self, services: &BTreeMap<String, Service>, remembered: &dyn Fn(&str) -> Remembered) {
        let mut before = std::mem::take(&mut self.services);
        for (id, service) in services {
            let held = before.remove(id).unwrap_or_else(|| {
                let Remembered { results, maintenance } = remembered(id);
                Held { service: Arc::new(service.clone()), results, maintenance, answer: None }
            });
            let service = if *held.service == *service { Arc::clone(&held.service) } else { Arc::new(service.clone()) };
            let mut results = held.results;
            results.retain(|name, _| service.checks.iter().any(|check| *check.check.name == **name));
            self.services.insert(id.clone(), Held { service, results, ..held });
        }
    }
}

/// What the state file has of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What its checks said.
    #[serde(default)]
    pub results: BTreeMap<String, Told>,
    /// Why it is in maintenance.
    #[serde(default)]
    pub maintenance: Option<String>,
}

// === impl Said ===

impl From<Health> for Said {
    fn from(health: Health) -> Self {
        match health {
            Health::Passing => Self::Passing,
            Health::Warning => Self::Warning,
            Health::Critical => Self::Critical,
            Health::Unknown | Health::Maintenance => Self::Unknown,
        }
    }
}

impl Said {
    /// As the ledger has it.
    pub fn health(self) -> Health {
        match self {
            Self::Unknown => Health::Unknown,
            Self::Passing => Health::Passing,
            Self::Warning => Health::Warning,
            Self::Critical => Health::Critical,
        }
    }
}

/// The beginning of a text, cut between letters.
pub(crate) fn beginning(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
