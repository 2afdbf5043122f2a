//! A policy that decides next to nothing, to see that its status is written.

use anyhow::Result;
use rollcall_e2e::clock;

use super::{BOUND, Shop};

/// For all services of the namespace, and as nothing is stale for a day.
const POLICY: &str = r#"{
    "apiVersion": "rollcall.dev/v1alpha1", "kind": "DiscoveryPolicy",
    "metadata": { "name": "rules", "namespace": "shop" }, "spec": { "staleness": { "after": "24h" } }
}"#;

/// Applies it.
pub(crate) fn apply(shop: &Shop) -> Result<()> {
    shop.kubectl.apply(POLICY).map(drop)
}

/// Waits until its status says what it is for.
pub(crate) fn await_status(shop: &Shop) -> Result<()> {
    let get = ["get", "discoverypolicy", "rules", "-n", "shop", "-o", "jsonpath={.status.target}"];
    clock::wait_until("the status of the policy", BOUND, || Ok((shop.kubectl.run(&get)?.trim() == "*").then_some(())))
}

/// Applies it, waits for its status, and takes it away.
pub(crate) fn come_and_go(shop: &Shop) -> Result<()> {
    apply(shop)?;
    await_status(shop)?;
    shop.kubectl.delete(&["discoverypolicy", "rules", "-n", "shop"])
}
