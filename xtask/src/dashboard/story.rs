//! What happens while Prometheus looks on.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use rollcall_e2e::backend::Mode;
use rollcall_e2e::clock;

use super::record::{Mark, Times};
use super::stage::Stage;
use crate::terminal;

/// Something that is done, and when.
struct Act {
    /// Seconds from the beginning.
    at_s: u64,
    text: &'static str,
    act: fn(&mut Stage) -> Result<()>,
}

const ACTS: [Act; 8] = [
    Act { at_s: 20, text: "56 pods more", act: |stage| stage.scale("web", 96) },
    Act { at_s: 45, text: "24 machines register", act: |stage| stage.add_machines("search", 24) },
    Act { at_s: 75, text: "10 machines fail", act: |stage| stage.set_machines(10, Mode::Fail) },
    Act { at_s: 105, text: "the leader is killed", act: |stage| stage.leader()?.process.kill() },
    Act { at_s: 125, text: "it starts again", act: start_again },
    Act { at_s: 150, text: "the 10 are well again", act: |stage| stage.set_machines(10, Mode::Answer) },
    Act { at_s: 175, text: "maintenance of 24", act: |stage| stage.maintain("search") },
    Act { at_s: 200, text: "60 pods fewer", act: |stage| stage.scale("web", 36) },
];
const END_S: u64 = 225;
const BETWEEN_CHANGES: Duration = Duration::from_secs(3);
/// Before the picture begins: rates need a past.
const LEAD: Duration = Duration::from_secs(15);

/// Lets it happen. Returns when it was, and what.
pub(super) fn play(stage: &mut Stage) -> Result<(Times, Vec<Mark>)> {
    let step = terminal::begin(&format!("letting things happen for {END_S} s"));
    step.outcome(try_play(stage))
}

fn try_play(stage: &mut Stage) -> Result<(Times, Vec<Mark>)> {
    wait(stage, clock::now(), LEAD)?;
    let (start, start_s) = (clock::now(), unix_s());
    let mut marks = Vec::new();
    for act in &ACTS {
        wait(stage, start, Duration::from_secs(act.at_s))?;
        marks.push(Mark { at_s: unix_s(), text: act.text.to_owned() });
        (act.act)(stage).with_context(|| format!("{:?} did not work", act.text))?;
    }
    wait(stage, start, Duration::from_secs(END_S))?;
    Ok((Times { start_s, end_s: unix_s() }, marks))
}

fn start_again(stage: &mut Stage) -> Result<()> {
    let controllers = stage.rollcall.controllers.iter_mut();
    controllers.filter_map(|its| (!its.process.is_running()).then_some(its)).try_for_each(|its| its.start_again())
}

/// Waits, and lets small changes happen, which go on in any cluster.
fn wait(stage: &Stage, start: std::time::Instant, until: Duration) -> Result<()> {
    let mut touched = clock::now();
    while start.elapsed() < until {
        clock::check_interrupt()?;
        clock::pause(Duration::from_millis(20));
        if touched.elapsed() > BETWEEN_CHANGES {
            touched = clock::now();
            // Any weight that differs from the last.
            stage.touch(1 + start.elapsed().as_secs() as usize % 50)?;
        }
    }
    Ok(())
}

fn unix_s() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}
