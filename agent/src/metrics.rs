//! What is measured about the agent.

use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page};
use rollcall_admin::{Telemetry, build_info, process};
use rollcall_xds::proto::rollcall::v1::answer::State;

use crate::board::{Said, Shared};

/// Everything that the agent's page has.
pub fn registry(board: &Shared, telemetry: &Telemetry) -> Registry {
    let mut registry = Registry::default();
    process::register(&mut registry);
    build_info::register(&mut registry, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    telemetry.register(&mut registry);
    let board = Arc::clone(board);
    page::register(&mut registry, move |page| write(page, &board));
    registry
}

fn write(page: &mut Page<'_>, board: &Shared) -> fmt::Result {
    let board = board.borrow();
    let connected = f64::from(u8::from(board.link.server.is_some()));
    page.gauge("rollcall_agent_connected", "1 while a controller hears this agent.", connected)?;
    page.counters("rollcall_agent_beats", "Beats sent, each for all instances.", [([], board.link.beats)])?;
    let states = [
        ("registered", Some(State::Registered)),
        ("waiting", Some(State::Waiting)),
        ("refused", Some(State::Refused)),
        ("left", Some(State::Left)),
        ("unanswered", None),
    ];
    let count = |state: Option<State>| {
        let is = board.services.values().filter(|held| held.answer.as_ref().map(|(said, _)| *said) == state);
        is.count() as f64
    };
    page.gauges(
        "rollcall_agent_instances",
        "Instances on this machine, by what the controller answered. All are registered normally.",
        states.map(|(word, state)| ([("state", word)], count(state))),
    )?;
    let says = [
        ("passing", Said::Passing),
        ("warning", Said::Warning),
        ("critical", Said::Critical),
        ("unknown", Said::Unknown),
    ];
    let count = |health: Said| {
        let all = board.services.values().flat_map(|held| held.results.values());
        all.filter(|told| told.health == health).count() as f64
    };
    page.gauges(
        "rollcall_agent_checks",
        "Checks on this machine, by what they say.",
        says.map(|(word, health)| ([("health", word)], count(health))),
    )
}
