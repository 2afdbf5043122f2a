//! A registration that is there and cannot be decoded: its status says so, and keeps what it said before.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use rollcall_crds::ServiceRegistrationStatus;
use rollcall_crds::conditions::{self, accepted, ready};

use crate::kubernetes::guarded::Bad;
use crate::writeback::limits;

/// What stands of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// Its resourceVersion.
    pub resource_version: String,
    generation: Option<i64>,
    words: String,
    /// Its status, as far as that can be decoded.
    status: ServiceRegistrationStatus,
}

// === impl Unreadable ===

impl Unreadable {
    pub(super) fn of(bad: &Bad) -> Self {
        Self {
            resource_version: bad.metadata.resource_version.clone().unwrap_or_default(),
            generation: bad.metadata.generation,
            words: bad.words.clone(),
            status: serde_json::from_value(bad.status.clone()).unwrap_or_default(),
        }
    }

    /// The status that it should have; `None` where it has it.
    pub fn status(&self, now: Timestamp) -> Option<ServiceRegistrationStatus> {
        let words = format!(
            "this version of Rollcall cannot read it: {}; what it read before, if it did, stays in use. Correct what is named, or \
             upgrade the controller",
            self.words
        );
        let said = |type_: &str, reason: &str| {
            let before = self.status.conditions.iter().find(|before| before.type_ == type_);
            let since = before.filter(|before| before.status == conditions::status::FALSE);
            let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
            Condition {
                last_transition_time: since.map_or(Time(now), |since| since.last_transition_time.clone()),
                message: limits::CONDITION_MESSAGE.cut(&words),
                observed_generation: self.generation,
                reason: reason.to_owned(),
                status: conditions::status::FALSE.to_owned(),
                type_: type_.to_owned(),
            }
        };
        let ours = [said(conditions::ACCEPTED, accepted::UNREADABLE), said(conditions::READY, ready::NOT_ACCEPTED)];
        let mut desired = self.status.clone();
        for condition in ours {
            match desired.conditions.iter_mut().find(|standing| standing.type_ == condition.type_) {
                Some(standing) => *standing = condition,
                None => desired.conditions.push(condition),
            }
        }
        (desired != self.status).then_some(desired)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bad(status: &serde_json::Value) -> Bad {
        let text = json!({ "metadata": { "name": "odd", "namespace": "shop", "generation": 3 }, "status": status });
        Bad { words: "invalid type: string".into(), ..serde_json::from_value(text).expect("metadata") }
    }

    #[test]
    fn what_cannot_be_read_is_said_once_and_keeps_what_it_said_before() {
        let said = json!({ "callable": "1/1", "conditions": [
            { "type": "Ready", "status": "True", "reason": "AllPassing", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" },
            { "type": "Synced", "status": "True", "reason": "Theirs", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" },
        ] });
        for (status, types) in [(json!(null), vec!["Accepted", "Ready"]), (said, vec!["Ready", "Synced", "Accepted"])] {
            let seen = Unreadable::of(&bad(&status));
            let desired = seen.status(Timestamp::UNIX_EPOCH).expect("news");
            assert_eq!(desired.conditions.iter().map(|said| &*said.type_).collect::<Vec<_>>(), types);
            let accepted = desired.conditions.iter().find(|said| said.type_ == "Accepted").expect("it is said");
            assert_eq!((&*accepted.status, &*accepted.reason), ("False", "Unreadable"));
            assert!(accepted.message.contains("invalid type: string"), "{}", accepted.message);
            // As it stands then, seen by another process later.
            let stands = Unreadable::of(&bad(&serde_json::to_value(&desired).expect("JSON")));
            assert_eq!(stands.status(Timestamp::MAX), None);
        }
    }
}
