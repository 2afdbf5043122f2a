//! gRPC clients in five languages and Envoys in four ways, all that nobody here wrote, against one Rollcall of two replicas:
//! every client lives through every scenario, and each of its calls is judged. Prints the table that
//! `docs/xds-clients.md` keeps.

mod support;

#[path = "xds_clients/certificates.rs"]
mod certificates;
#[path = "xds_clients/crowd.rs"]
mod crowd;
#[path = "xds_clients/handed.rs"]
mod handed;
#[path = "xds_clients/loads.rs"]
mod loads;
#[path = "xds_clients/scenarios.rs"]
mod scenarios;
#[path = "xds_clients/secured.rs"]
mod secured;
#[path = "xds_clients/stage.rs"]
mod stage;
#[path = "xds_clients/status.rs"]
mod status;
#[path = "xds_clients/table.rs"]
mod table;

use std::thread::ScopedJoinHandle;

use anyhow::{Context as _, Result, ensure};

use crowd::Cell;
use scenarios::{Run, Scenario};
use stage::Stage;
use support::step;

/// What each of the scenarios came to that run beside each other; nothing of the others.
fn together(stage: &Stage) -> Result<Vec<Vec<Cell>>> {
    std::thread::scope(|scope| {
        let begin = |scenario: Scenario| match scenario.run {
            Run::Together(run) => Some(scope.spawn(move || run(stage).with_context(|| scenario.title))),
            Run::Alone(_) => None,
        };
        let running: Vec<_> = scenarios::ALL.into_iter().map(begin).collect();
        let ended = |running: Option<ScopedJoinHandle<'_, Result<Vec<Cell>>>>| match running {
            Some(running) => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => Ok(Vec::new()),
        };
        running.into_iter().map(ended).collect()
    })
}

#[test]
fn every_client_lives_through_every_scenario() -> Result<()> {
    let mut stage = step("control plane, two replicas, servers and clients", Stage::open)?;
    let mut table = table::Table::new(&stage.crowd);
    let together = step("scenarios of one service each, all at once", || together(&stage))?;
    for (scenario, cells) in scenarios::ALL.into_iter().zip(together) {
        let cells = match (scenario.run, cells) {
            (Run::Alone(run), _) => step(scenario.title, || run(&mut stage))?,
            (Run::Together(_), cells) => cells,
        };
        table.add(scenario, cells);
    }
    let strays = stage.crowd.strays();
    let reports = loads::begin(&stage);
    step("CSDS tells what each client has taken", || status::run(&stage))?;
    step("who asks for what is not there is told why", || status::of_nothing(&stage))?;
    let secured = step("clients that say who they are are let in, and others are not", || secured::run(&mut stage))?;
    step("clients report what they have called (LRS)", || reports.run(&stage))?;
    let run = || handed::run(&mut stage, &secured.controller, (&secured.mount, &secured.token)).map(drop);
    step("a client starts from what is mounted, and the leader keeps it", run)?;
    drop(secured);
    let page = table.page();
    println!("\n{}", table.rows());
    let logs = stage.close()?;
    ensure!(strays.is_empty(), "calls that should not have been:\n{}\n{logs}", strays.join("\n"));
    ensure!(table.failures().is_empty(), "{}\n{logs}", table.failures().join("\n"));
    table::compare(&page, &table.absent())
}
