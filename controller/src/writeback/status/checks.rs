//! What each check says, in the status of its endpoint.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rollcall_catalog::input::CheckVerdict;
use rollcall_catalog::model::Name;
use rollcall_crds::CheckStatus;

use super::{SAME_SECONDS, whole_seconds};
use crate::writeback::entries;
use crate::writeback::observed::SeenRegistration;

/// As much of a reason is kept as the schema takes.
const REASON_BYTES_MAX: usize = 128;
/// As many checks as the schema takes: those of a spec, the heartbeat, and some on the machine.
const CHECKS_MAX: usize = 16;

/// The checks of an endpoint as its status should have them. Times stay as long as what they time does.
pub(super) fn desired(seen: &SeenRegistration, endpoint: &Name, checks: &[CheckVerdict]) -> Vec<CheckStatus> {
    desired_of(seen.checks.get(endpoint).map(|known| &**known).unwrap_or_default(), checks)
}

/// The same, given those that stand.
pub fn desired_of(known: &[CheckStatus], checks: &[CheckVerdict]) -> Vec<CheckStatus> {
    let mut kept: Vec<_> = checks.iter().collect();
    if kept.len() > CHECKS_MAX {
        // Without what fails a restarted controller would give callers the endpoint again; the order of names stays.
        kept.sort_by_key(|check| (check.health.is_callable(), check.on_machine));
        kept.truncate(CHECKS_MAX);
        kept.sort_by(|a, b| a.name.cmp(&b.name));
    }
    kept.into_iter().map(|check| desired_one(known, check)).collect()
}

fn desired_one(known: &[CheckStatus], check: &CheckVerdict) -> CheckStatus {
    let health = entries::health(check.health);
    let decided = whole_seconds(Timestamp::from_millisecond(check.since_ms).unwrap_or_default());
    let before = known.iter().find(|before| *before.name == *check.name && before.health == health);
    // Another replica may have decided the same a moment earlier or later, and a restarted check is Unknown anew.
    let stands = before.map(|before| before.since.0).filter(|before| {
        health == rollcall_crds::Health::Unknown || (decided.as_second() - before.as_second()).abs() <= SAME_SECONDS
    });
    CheckStatus {
        name: check.name.to_string(),
        health,
        since: Time(stands.unwrap_or(decided)),
        reason: cut(&check.reason).to_owned(),
        on_machine: check.on_machine,
    }
}

fn cut(reason: &str) -> &str {
    let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    &reason[..end.unwrap_or(0)]
}
