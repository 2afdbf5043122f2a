//! Services whose policies say how old an answer may be: one is served on, one is refused.

use std::time::Duration;

use anyhow::{Result, anyhow};
use rollcall_e2e::clock;
use serde_json::json;

use super::support::shop::{name, unchecked};
use super::support::{BOUND, Shop};

/// What DNS says of them: response code, extended errors, and how many addresses.
pub(crate) type Answers = [(&'static str, &'static [u16], usize); 2];
/// While their source answers.
pub(crate) const FRESH: Answers = [("NOERROR", &[], 1), ("NOERROR", &[], 1)];
/// Stale Answer, and No Reachable Authority (RFC 8914).
pub(crate) const STALE: Answers = [("NOERROR", &[3], 1), ("SERVFAIL", &[22], 0)];

const SERVICES: [(&str, &str, &str); 2] =
    [("aged-serve", "Serve", "203.0.113.20"), ("aged-refuse", "Refuse", "203.0.113.21")];

/// Longer than the bound below.
const QUIET: Duration = Duration::from_secs(20);

/// Registers both, with a bound that is much shorter than an outage, and than the time between two bookmarks of a watch.
pub(crate) fn register(shop: &Shop) -> Result<()> {
    for (service, then, address) in SERVICES {
        let policy = json!({
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "DiscoveryPolicy",
            "metadata": {"name": service, "namespace": "shop"},
            "spec": {"target": {"service": service}, "staleness": {"after": "15s", "then": then}},
        });
        shop.kubectl.apply(&policy.to_string())?;
        let endpoints = json!([{"name": "vm", "addresses": [address]}]);
        shop.kubectl.apply(&unchecked(service, service, &endpoints).to_string())?;
    }
    Ok(())
}

/// Waits until DNS says so of each.
pub(crate) fn are(shop: &Shop, expected: Answers) -> Result<()> {
    clock::wait_until(&format!("the answers {expected:?}"), BOUND, || {
        differs(shop, expected)?.map_or(Ok(Some(())), Err)
    })
}

/// Sees that a watch on which nothing happens is not taken for a silent one.
pub(crate) fn stay_fresh(shop: &Shop) -> Result<()> {
    are(shop, FRESH)?;
    let since = clock::now();
    while since.elapsed() < QUIET {
        differs(shop, FRESH)?.map_or(Ok(()), Err)?;
    }
    Ok(())
}

fn differs(shop: &Shop, expected: Answers) -> Result<Option<anyhow::Error>> {
    for ((service, ..), (rcode, errors, addresses)) in SERVICES.into_iter().zip(expected) {
        let said = shop.callers.kdig.ask_with(&name(service), "A", &["+edns"])?;
        if said.rcode != rcode || said.extended_errors != errors || said.data("A").len() != addresses {
            return Ok(Some(anyhow!("{service}: {said:?}")));
        }
    }
    Ok(None)
}
