//! The cluster's default: the spec of a DiscoveryPolicy in one flag, so that it has the same words and the same defaults.

use std::str::FromStr;

use rollcall_catalog::policy::{From, Policy};
use rollcall_crds::DiscoveryPolicySpec;
use serde_json::Value;

use super::reading;

/// What is in force where no DiscoveryPolicy says otherwise, as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultPolicy {
    policy: Policy,
}

/// Registered endpoints of a service that fail all at once are held for some minutes: the likeliest cause is the way to them.
/// Pods are as Kubernetes says, nothing is damped, and nothing is ever stale. Sections that the flag leaves out are these.
pub const BUILT_IN: &str =
    r#"{"guard":{"scope":"Registered"},"damping":{"enabled":false},"staleness":{"enabled":false}}"#;

// === impl DefaultPolicy ===

impl DefaultPolicy {
    /// The policy.
    pub fn policy(&self) -> Policy {
        self.policy.clone()
    }
}

impl FromStr for DefaultPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let built_in: Value = serde_json::from_str(BUILT_IN).map_err(|error| error.to_string())?;
        let given: Value = serde_json::from_str(text)
            .map_err(|error| format!("{error}; give the spec of a DiscoveryPolicy as JSON, such as {BUILT_IN}"))?;
        let (Value::Object(mut whole), Value::Object(given)) = (built_in, given) else {
            return Err(format!("give the spec of a DiscoveryPolicy as JSON, such as {BUILT_IN}"));
        };
        whole.extend(given);
        let whole = Value::Object(whole);
        let spec: DiscoveryPolicySpec = serde_json::from_value(whole.clone()).map_err(|error| error.to_string())?;
        let read = serde_json::to_value(&spec).map_err(|error| error.to_string())?;
        if let Some(unknown) = unknown(&whole, &read, "") {
            return Err(format!(
                "{unknown} is no field of a DiscoveryPolicy; kubectl explain discoverypolicy.spec lists them"
            ));
        }
        if spec.target.is_some() || spec.maintenance.is_some() || spec.pod_checks.is_some() {
            return Err(
                "target, maintenance and podChecks have no place in the cluster's default; write a DiscoveryPolicy"
                    .to_owned(),
            );
        }
        in_bounds(&spec)?;
        let said = reading::sections(&spec);
        if !said.problems.is_empty() {
            return Err(said.problems.join("; "));
        }
        let policy = Policy {
            removal: said.removal.flatten(),
            staleness: said.staleness.flatten(),
            damping: said.damping.flatten(),
            confirmation: said.confirmation.unwrap_or_default(),
            warning: said.warning.unwrap_or_default(),
            pod_checks: None,
            from: From::default(),
        };
        Ok(Self { policy })
    }
}

/// The path of a field that was given and not read.
fn unknown(given: &Value, read: &Value, path: &str) -> Option<String> {
    let fields = given.as_object()?.iter().filter(|(_, value)| !value.is_null());
    fields.map(|(name, value)| (format!("{path}{name}"), value, read.get(name))).find_map(|(path, value, read)| {
        match read {
            None => Some(path),
            Some(read) => unknown(value, read, &format!("{path}.")),
        }
    })
}

/// The bounds that the API server holds a DiscoveryPolicy to, as far as the catalog needs them.
fn in_bounds(spec: &DiscoveryPolicySpec) -> Result<(), String> {
    let guard = spec
        .guard
        .iter()
        .all(|guard| guard.percent <= 99 && guard.minimum >= 1 && whole(guard.window.get()) && whole(guard.hold.get()));
    let staleness = spec.staleness.iter().all(|staleness| staleness.after.get().as_secs() >= 10);
    let damping = spec.damping.iter().all(|damping| {
        damping.penalty >= 1
            && damping.reuse >= 1
            && damping.reuse < damping.suppress
            && whole(damping.half_life.get())
            && whole(damping.maximum.get())
    });
    let confirmation = spec.confirmation.iter().all(|confirmation| confirmation.replicas <= 3);
    let warning = spec.warning.iter().all(|warning| warning.percent <= 100);
    let says = |section: &str, bounds: &str| {
        Err(format!("{section}: {bounds}; kubectl explain discoverypolicy.spec.{section} has the bounds"))
    };
    match (guard, staleness, damping, confirmation, warning) {
        (false, ..) => says("guard", "percent is 0 to 99, minimum at least 1, window and hold at least 1s"),
        (_, false, ..) => says("staleness", "after is at least 10s"),
        (_, _, false, ..) => says(
            "damping",
            "penalty and reuse are at least 1, reuse is less than suppress, halfLife and maximum at least 1s",
        ),
        (.., false, _) => says("confirmation", "replicas is 0 to 3"),
        (.., false) => says("warning", "percent is 0 to 100"),
        _ => Ok(()),
    }
}

fn whole(time: std::time::Duration) -> bool {
    time.as_secs() >= 1
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::policy::{Confirmation, RemovalGuard, Scope};

    use super::*;

    fn read(text: &str) -> Result<Policy, String> {
        text.parse::<DefaultPolicy>().map(|default| default.policy())
    }

    #[test]
    fn nothing_given_is_the_built_in_one() {
        let guard = RemovalGuard { scope: Scope::Registered, ..RemovalGuard::default() };
        let built_in = Policy { removal: Some(guard), ..Policy::default() };
        assert_eq!((read("{}"), read(BUILT_IN)), (Ok(built_in.clone()), Ok(built_in)));
    }

    #[test]
    fn a_section_is_given_as_a_whole_and_the_others_stay() {
        let policy =
            read(r#"{"staleness":{"after":"1m","then":"Refuse"},"confirmation":{"replicas":1}}"#).expect("good");
        assert_eq!(policy.staleness.map(|staleness| staleness.after.as_secs()), Some(60));
        assert_eq!((policy.confirmation, policy.removal.is_some()), (Confirmation::by_replicas(1), true));
        assert_eq!(read(r#"{"guard":{"enabled":false}}"#).expect("good").removal, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            ("guard", "give the spec of a DiscoveryPolicy as JSON"),
            (r#"{"gaurd":{}}"#, "gaurd is no field"),
            (r#"{"guard":{"percentage":5}}"#, "guard.percentage is no field"),
            (r#"{"guard":{"percent":100}}"#, "percent is 0 to 99"),
            (r#"{"staleness":{"after":"1s"}}"#, "at least 10s"),
            (r#"{"damping":{"reuse":5000}}"#, "reuse is less than suppress"),
            (r#"{"confirmation":{"replicas":4}}"#, "replicas is 0 to 3"),
            (r#"{"warning":{"percent":101}}"#, "percent is 0 to 100"),
            (r#"{"target":{"service":"web"}}"#, "no place in the cluster's default"),
            (r#"{"podChecks":{"checks":[{"name":"web","tcp":{}}]}}"#, "no place in the cluster's default"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
