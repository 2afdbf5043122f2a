//! What the end-to-end tests share.
//!
//! ```text
//! shop     a control plane with Rollcall on it, the example shop, its machines, and callers
//! api      the Kubernetes API, read quickly and often
//! views    the four stations at which a caller may ask: slices, DNS, Envoy, CatalogEntry
//! vigil    a thread that asks all the time, while something is stopped
//! commands the commands of a page of the documentation
//! page     metrics and readiness of a program
//! policies a policy whose status is waited for
//! roles    the rules that the controller runs with, right by right
//! ```

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

pub(crate) mod api;
pub(crate) mod commands;
pub(crate) mod page;
pub(crate) mod policies;
pub(crate) mod roles;
pub(crate) mod shop;
pub(crate) mod views;
pub(crate) mod vigil;

use std::time::Duration;

use anyhow::Result;
use rollcall_e2e::clock;

pub(crate) use api::Api;
pub(crate) use shop::Shop;
pub(crate) use views::Stations;
pub(crate) use vigil::Vigil;

/// How long a condition may take to come true. Generous: what is slower is broken, not loaded.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// Does one step of a test, and prints what it was and how long it took.
pub(crate) fn step<T>(what: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = clock::now();
    let outcome = body();
    let mark = if outcome.is_ok() { '✔' } else { '✘' };
    println!("  {mark} {what}, {:.1} s", start.elapsed().as_secs_f32());
    outcome.map_err(|error| error.context(what.to_owned()))
}
