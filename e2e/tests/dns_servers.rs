//! Other DNS servers beside ours: a secondary, one in front, and what is asked of one in a cluster.

#[path = "dns_servers/in_front.rs"]
mod in_front;
#[path = "dns_servers/outside.rs"]
mod outside;
#[path = "dns_servers/secondary.rs"]
mod secondary;
#[path = "dns_servers/specification.rs"]
mod specification;
mod support;

use anyhow::Result;
use support::shop::With;
use support::{Shop, step};

#[test]
fn knot_and_coredns_answer_what_we_do() -> Result<()> {
    Shop::run("dns-servers", With::NoEnvoy, |shop| {
        step(
            "what CoreDNS is tested for is answered by Services of this control plane, also when they change",
            || specification::holds(shop),
        )?;
        step("Knot answers from a copy of the zone as we do, and is asked for names of others", || {
            secondary::answers_alike(shop)
        })?;
        step("CoreDNS in front asks us in both ways of the documentation; there are names for clients outside", || {
            in_front::asked_by_coredns(shop)
        })
    })
}
