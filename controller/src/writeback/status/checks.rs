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
/// As many checks, which is as many as a spec may have.
const CHECKS_MAX: usize = 8;

/// The checks of an endpoint as its status should have them. Times stay as long as what they time does.
pub(super) fn desired(seen: &SeenRegistration, endpoint: &Name, checks: &[CheckVerdict]) -> Vec<CheckStatus> {
    checks.iter().take(CHECKS_MAX).map(|check| desired_one(seen, endpoint, check)).collect()
}

fn desired_one(seen: &SeenRegistration, endpoint: &Name, check: &CheckVerdict) -> CheckStatus {
    let health = entries::health(check.health);
    let decided = whole_seconds(Timestamp::from_millisecond(check.since_ms).unwrap_or_default());
    let known = seen.checks.get(endpoint).into_iter().flatten();
    let before = known.into_iter().find(|before| *before.name == *check.name && before.health == health);
    // Another replica may have decided the same a moment earlier or later, and a restarted check is Unknown anew.
    let stands = before.map(|before| before.since.0).filter(|before| {
        health == rollcall_crds::Health::Unknown || (decided.as_second() - before.as_second()).abs() <= SAME_SECONDS
    });
    CheckStatus {
        name: check.name.to_string(),
        health,
        since: Time(stands.unwrap_or(decided)),
        reason: cut(&check.reason).to_owned(),
    }
}

fn cut(reason: &str) -> &str {
    let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    &reason[..end.unwrap_or(0)]
}
