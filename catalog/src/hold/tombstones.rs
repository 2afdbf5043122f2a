//! Pods that were seen and are gone. An EndpointSlice lags behind its pods, by seconds or for as long as its controller is
//! away; until it says so too, the pod is not callable again.

use std::collections::BTreeSet;

use crate::hashed::HashMap;
use crate::model::{Name, Uid};

/// A pod by namespace and name.
pub(crate) type PodKey = (Name, Name);

/// Pods that are gone, by name and uid. Bounded: what no EndpointSlice names is forgotten after [`KEPT_MS`], and beyond
/// [`COUNT_MAX`] the oldest of those first.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    gone: HashMap<PodKey, Vec<Uid>>,
    count: usize,
    /// Buried since the time was last told.
    fresh: Vec<(PodKey, Uid)>,
    due: BTreeSet<(u64, PodKey, Uid)>,
}

/// How long a tombstone that no slice names stays: a slice written by a controller that lags may still come to name it.
const KEPT_MS: u64 = 300_000;
/// Tombstones beyond this number are forgotten early, unless a slice names them.
const COUNT_MAX: usize = 32_768;

// === impl Tombstones ===

impl Tombstones {
    /// A pod is gone.
    pub(crate) fn bury(&mut self, pod: &PodKey, uid: Uid) {
        let uids = self.gone.entry(pod.clone()).or_default();
        if !uids.contains(&uid) {
            uids.push(uid);
            self.count += 1;
            self.fresh.push((pod.clone(), uid));
        }
    }

    /// It is there after all.
    pub(crate) fn raise(&mut self, pod: &PodKey, uid: Uid) {
        let Some(uids) = self.gone.get_mut(pod) else { return };
        let before = uids.len();
        uids.retain(|other| *other != uid);
        self.count -= before - uids.len();
        if uids.is_empty() {
            self.gone.remove(pod);
        }
    }

    /// Whether the pod of that uid was there and is gone; of no uid, whether any of that name.
    pub(crate) fn is_gone(&self, pod: &PodKey, uid: Option<Uid>) -> bool {
        self.gone.get(pod).is_some_and(|uids| uid.is_none_or(|uid| uids.contains(&uid)))
    }

    /// Forgets what need not be remembered any more. When it wants to do so next.
    pub(crate) fn tend(&mut self, now_ms: u64, is_named: impl Fn(&PodKey, Uid) -> bool) -> Option<u64> {
        let until = now_ms.saturating_add(KEPT_MS);
        self.due.extend(self.fresh.drain(..).map(|(pod, uid)| (until, pod, uid)));
        let mut named = Vec::new();
        while let Some((at, pod, uid)) = self.due.pop_first() {
            if at > now_ms && self.count <= COUNT_MAX {
                self.due.insert((at, pod, uid));
                break;
            }
            if !self.gone.get(&pod).is_some_and(|uids| uids.contains(&uid)) {
                continue;
            }
            if is_named(&pod, uid) {
                named.push((until, pod, uid));
            } else {
                self.raise(&pod, uid);
            }
        }
        self.due.extend(named);
        self.due.first().map(|(at, ..)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> PodKey {
        ("shop".into(), name.into())
    }

    fn uid(text: &str) -> Uid {
        Uid::of(text).expect("a uid")
    }

    #[test]
    fn a_pod_that_is_gone_stays_gone_while_a_slice_names_it() {
        let mut tombstones = Tombstones::default();
        tombstones.bury(&pod("a"), uid("1"));
        assert!(tombstones.is_gone(&pod("a"), Some(uid("1"))) && tombstones.is_gone(&pod("a"), None));
        assert!(!tombstones.is_gone(&pod("a"), Some(uid("2"))), "another pod of that name");
        assert_eq!(tombstones.tend(1_000, |_, _| true), Some(1_000 + KEPT_MS));
        assert_eq!(tombstones.tend(1_000 + KEPT_MS, |_, _| true), Some(1_000 + 2 * KEPT_MS));
        assert!(tombstones.is_gone(&pod("a"), Some(uid("1"))));
        assert_eq!(tombstones.tend(1_000 + 2 * KEPT_MS, |_, _| false), None);
        assert!(!tombstones.is_gone(&pod("a"), None));
    }

    #[test]
    fn a_pod_that_is_seen_again_was_not_gone() {
        let mut tombstones = Tombstones::default();
        tombstones.bury(&pod("a"), uid("1"));
        tombstones.raise(&pod("a"), uid("1"));
        assert!(!tombstones.is_gone(&pod("a"), Some(uid("1"))));
        tombstones.tend(0, |_, _| false);
        assert_eq!(tombstones.tend(KEPT_MS, |_, _| false), None);
        assert_eq!(tombstones.count, 0);
    }

    #[test]
    fn beyond_the_bound_the_oldest_that_no_slice_names_are_forgotten() {
        let mut tombstones = Tombstones::default();
        (0..COUNT_MAX + 100).for_each(|n| tombstones.bury(&pod(&format!("pod-{n:06}")), uid("1")));
        tombstones.tend(0, |pod, _| &*pod.1 < "pod-000050");
        assert_eq!(tombstones.count, COUNT_MAX);
        assert!(tombstones.is_gone(&pod("pod-000049"), None) && !tombstones.is_gone(&pod("pod-000050"), None));
    }
}
