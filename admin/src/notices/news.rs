//! What about the gates is worth an Event: a fault that lasts, another one, and the end of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::readiness::Standing;
use crate::shutdown;

/// What was told already.
#[derive(Debug, Default)]
pub struct News {
    told: BTreeMap<Arc<str>, Told>,
    /// Gates that were told and have opened since.
    mended: BTreeSet<Arc<str>>,
    /// When the time began in which [`NOTICES_MAX`] may be told, and how many were.
    window: Option<(Instant, u32)>,
}

/// One Event to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Good or bad.
    pub kind: Kind,
    /// In CamelCase.
    pub reason: String,
    /// What the process was doing.
    pub action: &'static str,
    /// For people.
    pub note: String,
}

/// The type of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Normal,
    Warning,
}

#[derive(Debug)]
struct Told {
    reason: String,
    text: String,
    at: Instant,
}

/// A fault that has a name is told when the gate has been closed for this long: most mend by themselves before.
pub const FAULT: Duration = Duration::from_secs(5);
/// A gate that merely waits is told later: a large cluster takes some seconds to be listed.
pub const WAIT: Duration = Duration::from_secs(20);
/// The same fault in other words is told again after this time.
const OTHER_WORDS: Duration = Duration::from_secs(60);
/// Notices in [`WINDOW`] at most.
pub const NOTICES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(600);

// === impl News ===

impl News {
    /// What is to be told of the gates as they stand.
    pub fn observe(&mut self, now: Instant, gates: &[Standing]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for gate in gates.iter().filter(|gate| *gate.name != *shutdown::GATE) {
            match &gate.closed {
                Some(text) => notices.extend(self.closed(now, gate, text)),
                None if self.told.remove(&gate.name).is_some() => drop(self.mended.insert(Arc::clone(&gate.name))),
                None => {}
            }
        }
        if self.told.is_empty() && !self.mended.is_empty() && self.may_tell(now) {
            let gates = std::mem::take(&mut self.mended).into_iter().collect::<Vec<_>>().join(", ");
            let note = format!("the fault is gone: {gates}");
            notices.push(Notice { kind: Kind::Normal, reason: "Ready".to_owned(), action: "Readiness", note });
        }
        notices
    }

    fn closed(&mut self, now: Instant, gate: &Standing, text: &str) -> Option<Notice> {
        let patience = if gate.fault.is_some() { FAULT } else { WAIT };
        let reason = gate.fault.map_or_else(|| format!("{}NotReady", camel(&gate.name)), str::to_owned);
        let steady = steady(text);
        let is_news = match self.told.get(&gate.name) {
            None => true,
            Some(told) if told.reason != reason => true,
            Some(told) => told.text != steady && now.duration_since(told.at) >= OTHER_WORDS,
        };
        if gate.since < patience || !is_news || !self.may_tell(now) {
            return None;
        }
        self.mended.remove(&gate.name);
        self.told.insert(Arc::clone(&gate.name), Told { reason: reason.clone(), text: steady, at: now });
        Some(Notice { kind: Kind::Warning, reason, action: "Readiness", note: format!("{}: {text}", gate.name) })
    }

    fn may_tell(&mut self, now: Instant) -> bool {
        let window = self.window.filter(|(begin, _)| now.duration_since(*begin) < WINDOW);
        let (begin, told) = window.unwrap_or((now, 0));
        self.window = Some((begin, (told + 1).min(NOTICES_MAX)));
        told < NOTICES_MAX
    }
}

// === impl Kind ===

impl Kind {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// A text without its numbers: "trying again in 800 ms" is the same as "in 1600 ms".
pub(super) fn steady(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// `catalog-stream` as `CatalogStream`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(word).collect()
}

#[cfg(test)]
mod tests;
