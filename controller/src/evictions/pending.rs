//! Evictions that were decided and are not everywhere yet.

use std::time::Duration;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::OriginKind;

use super::Decided;

/// Evictions that were decided and are not everywhere yet.
#[derive(Debug, Default)]
pub struct Pending(Vec<Wait>);

#[derive(Debug)]
struct Wait {
    decided: Decided,
    served: bool,
    written: bool,
}

/// An eviction that callers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What was decided.
    pub decided: Decided,
    /// From the verdict to the streams.
    pub served: Duration,
    /// From when it was last seen alive to the streams.
    pub took: Duration,
}

/// Whether callers still get an endpoint that was found dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// Nobody gets it.
    Out,
    /// The news is not everywhere yet.
    In,
    /// A guard keeps it on purpose: that takes as long as it takes.
    Held,
}

/// Evictions that wait at most; further ones are not measured.
const WAITING_MAX: usize = 4096;
/// What is not out after this long came back.
const HELD_MS: u64 = 60_000;

// === impl Pending ===

impl Pending {
    /// One was decided.
    pub fn decided(&mut self, decided: Decided) {
        if self.0.len() < WAITING_MAX {
            // The EndpointSlices of pods are Kubernetes's.
            let written = decided.origin.kind == OriginKind::Service;
            self.0.push(Wait { decided, served: false, written });
        }
    }

    /// Those that are out by now, and were not before. What is held is let go of.
    pub fn served(&mut self, now_ms: u64, whereabouts: impl Fn(&Decided) -> Whereabouts) -> Vec<Measured> {
        let mut measured = Vec::new();
        self.0.retain_mut(|wait| {
            if wait.served {
                return true;
            }
            match whereabouts(&wait.decided) {
                Whereabouts::Held => return false,
                Whereabouts::In => {}
                Whereabouts::Out => {
                    wait.served = true;
                    let since = |ms: u64| Duration::from_millis(now_ms.saturating_sub(ms));
                    let (served, took) = (since(wait.decided.decided_ms), since(wait.decided.alive_ms));
                    measured.push(Measured { decided: wait.decided.clone(), served, took });
                }
            }
            true
        });
        self.drop_done();
        measured
    }

    /// The EndpointSlices of a service were written: how long that took since the verdicts.
    pub fn written(&mut self, service: &ServiceKey, now_ms: u64) -> Vec<Duration> {
        let mut took = Vec::new();
        for wait in self.0.iter_mut().filter(|wait| !wait.written && wait.decided.service == *service) {
            wait.written = true;
            took.push(Duration::from_millis(now_ms.saturating_sub(wait.decided.decided_ms)));
        }
        self.drop_done();
        took
    }

    /// Lets go of what will not come: another replica writes, or the endpoint came back.
    pub fn forget(&mut self, now_ms: u64) {
        self.0.retain(|wait| now_ms.saturating_sub(wait.decided.decided_ms) < HELD_MS);
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn drop_done(&mut self) {
        self.0.retain(|wait| !(wait.served && wait.written));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{origin, service_key};

    fn decided(endpoint: &str, decided_ms: u64) -> Decided {
        Decided {
            origin: origin(OriginKind::ServiceRegistration, "vms"),
            service: service_key("payments"),
            endpoint: endpoint.into(),
            alive_ms: decided_ms - 2_000,
            failed_ms: decided_ms - 500,
            decided_ms,
            longest: None,
        }
    }

    #[test]
    fn an_eviction_is_measured_once_at_each_stage_and_then_forgotten() {
        let mut pending = Pending::default();
        pending.decided(decided("vm-1", 10_000));
        pending.decided(decided("vm-2", 10_000));
        assert!(pending.served(10_020, |_| Whereabouts::In).is_empty());
        let out = |decided: &Decided| match &*decided.endpoint {
            "vm-1" => Whereabouts::Out,
            _ => Whereabouts::In,
        };
        let out = pending.served(10_040, out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].served.as_millis(), out[0].took.as_millis()), (40, 2_040));
        assert!(pending.written(&service_key("orders"), 10_050).is_empty());
        assert_eq!(pending.written(&service_key("payments"), 10_100), [Duration::from_millis(100); 2]);
        assert_eq!(pending.served(10_200, |_| Whereabouts::Out).len(), 1, "the other one");
        assert!(pending.is_empty());
    }

    #[test]
    fn of_a_pod_nothing_is_to_be_written() {
        let mut pending = Pending::default();
        let pod = Decided { origin: origin(OriginKind::Service, "payments"), ..decided("payments-a", 10_000) };
        pending.decided(pod);
        assert!(pending.written(&service_key("payments"), 10_050).is_empty(), "that was for others");
        assert_eq!(pending.served(10_100, |_| Whereabouts::Out).len(), 1);
        assert!(pending.is_empty());
    }

    #[test]
    fn what_a_guard_holds_is_not_measured() {
        let mut pending = Pending::default();
        pending.decided(decided("vm-1", 10_000));
        assert!(pending.served(10_040, |_| Whereabouts::Held).is_empty());
        assert!(pending.is_empty());
    }

    #[test]
    fn what_came_back_is_let_go_of() {
        let mut pending = Pending::default();
        pending.decided(decided("vm-1", 10_000));
        pending.forget(10_000 + HELD_MS - 1);
        assert!(!pending.is_empty());
        pending.forget(10_000 + HELD_MS);
        assert!(pending.is_empty());
    }
}
