//! What the API server takes, what it refuses, and that one refusal keeps nothing else from being written.
//!
//! ```text
//! cost       what the rules of the definitions cost the API server
//! table      each bound of the write-back's table, held against the API server
//! oversized  inputs beyond the bounds: what is written of them is accepted
//! refused    an admission policy, a quota, a namespace in deletion
//! ```

mod cost;
mod oversized;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod table;

use anyhow::Result;
use support::shop::With;
use support::{Shop, step};

#[test]
fn what_one_object_cannot_hold_stops_no_other() -> Result<()> {
    Shop::run("limits", With::NoEnvoy, |shop| {
        step("each bound is taken to the full, and one more is refused", || table::bounds(shop))?;
        step("the forms of names are as the table has them", || table::names(shop))?;
        step("a registration may be as large as the table says, and its status fits beside it", || table::whole(shop))?;
        step("the rules cost a small part of the API server's budgets, whatever they are shown", || cost::all(shop))?;
        step("what is written of oversized objects is accepted", || oversized::all(shop))?;
        step("an admission policy against one address keeps that one out", || refused::one_address(shop))?;
        step("a quota is told, and made up for when it is gone", || refused::quota(shop))?;
        step("nothing is made in a namespace in deletion, said once", || refused::ending(shop))
    })
}
