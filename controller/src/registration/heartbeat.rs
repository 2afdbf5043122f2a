//! The heartbeat of a spec: which of its endpoints are to beat, and which silence convicts them.

use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::model::{Endpoint, Health, Name};
use rollcall_crds::{self as api, ServiceRegistrationSpec};
use rollcall_health::Restored;
use rollcall_health::beat::definition::INTERVAL;
use rollcall_health::beat::{Beating, Detector, Heartbeat, Phi};

use super::restored;

/// The heartbeat of a spec, if it has one.
pub(super) fn read(spec: &ServiceRegistrationSpec) -> Option<Arc<Heartbeat>> {
    let said = spec.heartbeat.as_ref()?;
    let ttl = said.ttl.map(api::ApiDuration::get);
    // Three beats fit into a TTL, so that two may be lost.
    let interval = said.interval.map(api::ApiDuration::get).or_else(|| ttl.map(|ttl| ttl / 3)).unwrap_or(INTERVAL);
    let detector = match (&said.phi, ttl) {
        (Some(said), None) => Detector::Phi(phi(said, interval)),
        (_, Some(ttl)) => Detector::Ttl(ttl),
        (None, None) => Detector::Ttl(interval * 3),
    };
    Some(Arc::new(Heartbeat::new(interval, detector)))
}

/// The endpoints that are to beat. Something is known of those that this process has `seen`, by the hashes of their names, and
/// of those that an earlier one knew.
pub(super) fn beating(endpoints: &[Arc<Endpoint>], seen: &[u64], restored: &[(Name, Restored)]) -> Vec<Beating> {
    let known = |name: &str| {
        let decided = |(of, known): &(Name, Restored)| **of == *name && known.verdict.health != Health::Unknown;
        seen.binary_search(&restored::hash(name)).is_ok() || restored.iter().any(decided)
    };
    let beating = |endpoint: &Arc<Endpoint>| Beating {
        name: endpoint.name().to_name(),
        addresses: endpoint.addresses,
        vouched: known(&endpoint.name()),
    };
    endpoints.iter().map(beating).collect()
}

fn phi(said: &api::PhiSpec, interval: Duration) -> Phi {
    let default = Phi::of(interval);
    let pause = said.acceptable_pause.map_or(default.acceptable_pause, Duration::from);
    Phi {
        threshold: said.threshold.unwrap_or(default.threshold),
        window: said.window.unwrap_or(default.window),
        min_deviation: said.min_deviation.map_or(default.min_deviation, Duration::from),
        acceptable_pause: pause,
        hard_deadline: said.hard_deadline.map_or_else(|| pause.saturating_add(interval * 8), Duration::from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn heartbeat(said: &Value) -> Heartbeat {
        let spec = serde_json::from_value(json!({
            "service": "payments", "ports": [{"port": 1}], "endpoints": [], "heartbeat": said,
        }));
        (*read(&spec.expect("a spec")).expect("a heartbeat")).clone()
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_not_said_follows_from_what_is() {
        assert_eq!(heartbeat(&json!({})), Heartbeat::new(seconds(1), Detector::Ttl(seconds(3))));
        assert_eq!(heartbeat(&json!({"ttl": "1m"})), Heartbeat::new(seconds(20), Detector::Ttl(seconds(60))));
        assert_eq!(heartbeat(&json!({"interval": "2s"})), Heartbeat::new(seconds(2), Detector::Ttl(seconds(6))));
        assert_eq!(heartbeat(&json!({"phi": {}})), Heartbeat::new(seconds(1), Detector::Phi(Phi::of(seconds(1)))));
        let long = heartbeat(&json!({"interval": "5s", "phi": {"acceptablePause": "1m", "threshold": 12}}));
        let expected =
            Phi { threshold: 12, acceptable_pause: seconds(60), hard_deadline: seconds(100), ..Phi::of(seconds(5)) };
        assert_eq!(long, Heartbeat::new(seconds(5), Detector::Phi(expected)));
    }
}
