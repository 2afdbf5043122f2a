//! How long a dead endpoint is still given to callers, as objects say it.

use rollcall_catalog::evict;
use rollcall_crds::{ApiDuration, TimeToEvict};

use crate::evictions::{SERVE, WRITE};

/// All terms. Those that come from the catalog end with the verdict.
pub(super) fn terms(said: &evict::TimeToEvict) -> TimeToEvict {
    TimeToEvict {
        total: ApiDuration::rounded_up(said.total() + SERVE),
        detection: ApiDuration::rounded_up(said.detection),
        confirmation: ApiDuration::rounded_up(said.confirmation),
        lateness: ApiDuration::rounded_up(said.lateness),
        serve: ApiDuration::rounded_up(SERVE),
        write: ApiDuration::rounded_up(WRITE),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_worked_example_of_the_docs_is_what_is_computed() {
        let check = rollcall_health::Check {
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            ..rollcall_health::Check::new("web", rollcall_health::CheckKind::Tcp(rollcall_health::Tcp::default()))
        };
        let total = terms(&rollcall_health::schedule::time_to_evict(&check)).total;
        let page = include_str!("../../../docs/checks.md");
        let example = page.split("For example").nth(1).expect("an example");
        assert!(example.starts_with(" `interval: 1s, timeout: 500ms`"), "{example}");
        assert!(example.contains(&format!("**{total}**")), "{total} is not in: {example}");
    }

    #[test]
    fn the_total_is_what_its_terms_come_to() {
        let said = evict::TimeToEvict {
            detection: Duration::from_secs(2),
            confirmation: Duration::from_millis(500),
            lateness: Duration::from_secs(1),
        };
        let terms = terms(&said);
        assert_eq!(terms.total.to_string(), "3s600ms");
        let sum = [terms.detection, terms.confirmation, terms.lateness, terms.serve].map(ApiDuration::get);
        assert_eq!(terms.total.get(), sum.iter().sum::<Duration>(), "the write comes on top");
    }
}
