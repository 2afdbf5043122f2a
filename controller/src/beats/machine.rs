//! What checks on the machines of instances say, as replicas tell each other.

use std::sync::Arc;

use rollcall_catalog::model::{Health, Name};
use rollcall_health::beat::{NOTE_MAX, OnMachine};
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::proto::rollcall::v1::evidence;
use rollcall_xds::proto::rollcall::v1::overheard_beat::Status as Word;

/// What is read of one instance at most: an agent has as many.
const CHECKS_MAX: usize = 32;

/// What they say, for other replicas.
pub(super) fn told(checks: &[OnMachine]) -> proto::MachineChecks {
    let told = |check: &OnMachine| proto::MachineCheck {
        name: check.name.to_string(),
        health: match check.health {
            Health::Passing => evidence::Health::Passing,
            Health::Warning => evidence::Health::Warning,
            Health::Critical => evidence::Health::Critical,
            Health::Unknown | Health::Maintenance => evidence::Health::Unknown,
        }
        .into(),
        saw: check.saw.to_string(),
    };
    proto::MachineChecks { checks: checks.iter().map(told).collect() }
}

/// What another replica heard.
pub(super) fn read(told: &proto::MachineChecks) -> Arc<[OnMachine]> {
    let read = |check: &proto::MachineCheck| OnMachine {
        name: check.name.as_str().into(),
        health: match check.health() {
            evidence::Health::Passing => Health::Passing,
            evidence::Health::Warning => Health::Warning,
            evidence::Health::Critical => Health::Critical,
            evidence::Health::Unknown => Health::Unknown,
        },
        saw: beginning(&check.saw),
    };
    told.checks.iter().take(CHECKS_MAX).map(read).collect()
}

/// What a check comes to, for a replica that knows no checks on machines.
pub(super) fn word(health: Health) -> Word {
    match health {
        Health::Passing => Word::Pass,
        Health::Warning => Word::Warn,
        Health::Critical | Health::Unknown | Health::Maintenance => Word::Fail,
    }
}

fn beginning(text: &str) -> Name {
    let end = (0..=NOTE_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].into()
}
