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

use anyhow::{Result, ensure};

use stage::Stage;
use support::step;

#[test]
fn every_client_lives_through_every_scenario() -> Result<()> {
    let mut stage = step("control plane, two replicas, servers and clients", Stage::open)?;
    let mut table = table::Table::new(&stage.crowd);
    for scenario in scenarios::ALL {
        let cells = step(scenario.title, || (scenario.run)(&mut stage))?;
        table.add(scenario, cells);
    }
    let strays = step("no call went to an endpoint after it was out", || stage.crowd.strays())?;
    step("CSDS tells what each client has taken", || status::run(&stage))?;
    step("clients that say who they are are let in, and others are not", || secured::run(&mut stage))?;
    let page = table.page();
    println!("\n{}", table.rows());
    let logs = stage.close()?;
    ensure!(strays.is_empty(), "calls that should not have been:\n{}\n{logs}", strays.join("\n"));
    ensure!(table.failures().is_empty(), "{}\n{logs}", table.failures().join("\n"));
    table::compare(&page, &table.absent())
}
