//! Load reports (LRS): gRPC clients and Envoys say what they have called, and Rollcall counts it by service and zone.

use anyhow::{Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::rollcall::Controller;

use super::stage::{HERE, NAMESPACE, Stage};
use crate::support::{BOUND, page};

/// Its endpoints are there to the end, and are called by everybody.
const SERVICE: &str = "steady";
/// One with endpoints in zones.
const ZONED: &str = "zones";

/// What was counted when this began.
pub(crate) struct Reports {
    since: u64,
    counted: f64,
}

pub(crate) fn begin(stage: &Stage) -> Reports {
    Reports { since: clock::unix_ms(), counted: counted(stage, SERVICE, "") }
}

// === impl Reports ===

impl Reports {
    /// Every client that can has streams of reports open, and their calls since the beginning until now are counted soon, with
    /// the zones of who answered.
    pub(crate) fn run(self, stage: &Stage) -> Result<()> {
        let (clients, calls) = stage.crowd.reported(SERVICE, self.since);
        ensure!(clients > 0 && calls > 0, "{clients} clients made {calls} calls");
        clock::wait_until("reports of all calls to be counted", BOUND, || {
            let streams = sum(stage, "rollcall_load_streams", "");
            // gRPC in C++ has one for each target.
            ensure!(streams as usize >= clients, "{streams} streams of reports of {clients} clients");
            let counted = counted(stage, SERVICE, "") - self.counted;
            ensure!(counted >= calls as f64, "{counted} of {calls} calls of {SERVICE} are counted");
            ensure!(self::counted(stage, ZONED, HERE) > 0.0, "no call of {ZONED} in {HERE} is counted");
            Ok(Some(()))
        })
    }
}

/// Calls that were answered, on all replicas.
fn counted(stage: &Stage, service: &str, zone: &str) -> f64 {
    let labels = format!("namespace=\"{NAMESPACE}\",service=\"{service}\",zone=\"{zone}\",outcome=\"answered\"");
    sum(stage, "rollcall_load_requests_total", &labels)
}

/// Of all replicas. A series that nothing was counted in yet is not there.
fn sum(stage: &Stage, name: &str, labels: &str) -> f64 {
    let of = |controller: &Controller| page::metric(controller.http, name, labels).unwrap_or(0.0);
    stage.rollcall.controllers.iter().map(of).sum()
}
