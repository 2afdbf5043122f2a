//! What every client lives through.

use std::ops::RangeInclusive;
use std::sync::Mutex;

use anyhow::Result;
use rollcall_e2e::clock;
use rollcall_e2e::xds_client::Family;
use serde_json::json;

use super::crowd::{Cell, Expect, Losses, Member, locked};
use super::stage::{At, HERE, Stage, THERE};
use crate::support::BOUND;

/// A column of the table.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// Its heading.
    pub(crate) title: &'static str,
    /// What happens, and what a cell says.
    pub(crate) about: &'static str,
    pub(crate) run: Run,
}

/// Beside which others it runs.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// All of these at once: each has a service of its own.
    Together(fn(&Stage) -> Result<Vec<Cell>>),
    /// After those, one after the other: it is about the server.
    Alone(fn(&mut Stage) -> Result<Vec<Cell>>),
}

pub(crate) const ALL: [Scenario; 13] = [
    Scenario {
        title: "first answers",
        about: "The client starts and calls a service of two endpoints.",
        run: Run::Together(first),
    },
    Scenario {
        title: "endpoints change",
        about: "One of two endpoints goes while another comes; the one that went still listens. No call fails.",
        run: Run::Together(change),
    },
    Scenario {
        title: "to zero and back",
        about: "All endpoints are taken out, then given back. grpc-java 1.85 keeps the last when there are none.",
        run: Run::Together(zero),
    },
    Scenario {
        title: "drained",
        about: "An endpoint is put into maintenance and, once no client calls it any more, ends gracefully. No call fails. Counted \
                are all calls from then until it had ended, those that it answered before the client knew, and those that nobody did.",
        run: Run::Together(drain),
    },
    Scenario {
        title: "shut down",
        about: "The slice of an endpoint says that it terminates, as of a pod that is deleted; once no client calls it any more it ends \
                gracefully, and then its slice goes. No call fails. Counted as before.",
        run: Run::Together(shut_down),
    },
    Scenario {
        title: "weights",
        about: "Two zones, neither of them the client's, of weights 1 and 3: the share of the second. tonic-xds 0.1 does \
                not weigh.",
        run: Run::Together(weights),
    },
    Scenario {
        title: "zone failover",
        about: "The endpoint in the client's zone goes, and another zone answers; it returns, and its zone alone answers again. No call \
                fails. tonic-xds 0.1 calls all zones.",
        run: Run::Together(zones),
    },
    Scenario {
        title: "spill-over",
        about: "One of the two endpoints in the client's zone is killed: calls fail until a check finds it, and none afterwards. What the \
                other could not carry goes to the next zone, whose share that is. tonic-xds 0.1 does not weigh.",
        run: Run::Together(spill_over),
    },
    Scenario {
        title: "Warning",
        about: "Of two endpoints one is in Warning, and a policy gives it a quarter of what the other gets: its share. tonic-xds 0.1 does \
                not weigh.",
        run: Run::Together(warning),
    },
    Scenario {
        title: "deleted, returned",
        about: "The service is deleted, then registered again. grpc-js 1.14 does not notice that it is back until its \
                channel is opened anew.",
        run: Run::Together(deleted),
    },
    Scenario {
        title: "not born yet",
        about: "The service, which the client has asked for from the start, is registered for the first time.",
        run: Run::Together(unborn),
    },
    Scenario {
        title: "server restarts",
        about: "The replica that all clients are connected to is killed and started again under traffic; then an endpoint comes. \
                No call fails.",
        run: Run::Alone(restart),
    },
    Scenario {
        title: "other replica",
        about: "The connection is cut and leads to another replica, and an endpoint goes. No call fails.",
        run: Run::Alone(replicas),
    },
];

fn first(stage: &Stage) -> Result<Vec<Cell>> {
    Ok(stage.crowd.await_each("first", None, &Expect::of("first", &["a", "b"]), Losses::Some))
}

fn change(stage: &Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("change", None, &Expect::of("change", &["a", "b"]), Losses::Some);
    let since = stage.crowd.release("change");
    stage.register("change", &[At::usual("b"), At::usual("c")])?;
    Ok(stage.crowd.await_each("change", Some(since), &Expect::of("change", &["b", "c"]), Losses::None))
}

fn zero(stage: &Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("zero", None, &Expect::of("zero", &["a", "b"]), Losses::Some);
    let since = stage.crowd.release("zero");
    stage.register("zero", &[At::usual("a").out(), At::usual("b").out()])?;
    let gone = stage.crowd.await_each("zero", Some(since), &Expect::Fails, Losses::Some);
    let since = stage.crowd.release("zero");
    stage.register("zero", &[At::usual("a"), At::usual("b")])?;
    let back = stage.crowd.await_each("zero", Some(since), &Expect::of("zero", &["a", "b"]), Losses::Some);
    Ok(both(gone, back))
}

fn drain(stage: &Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("drain", None, &Expect::of("drain", &["a", "b"]), Losses::Some);
    let since = stage.crowd.release("drain");
    stage.register("drain", &[At::usual("a").out(), At::usual("b")])?;
    let alone = Expect::of("drain", &["b"]);
    let drained = stage.crowd.await_each("drain", Some(since), &alone, Losses::None);
    let after = end(stage, "drain", &alone)?;
    // The first says how long it took; the second may only object.
    let said = drained.into_iter().zip(after).map(|(said, after)| said.unless(after)).collect();
    Ok(both(said, stage.crowd.tally("drain", since, "drain-a")))
}

fn shut_down(stage: &Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("ending", None, &Expect::of("ending", &["a", "b"]), Losses::Some);
    let since = stage.crowd.release("ending");
    stage.say("ending", "a", &json!({"ready": false, "serving": true, "terminating": true}))?;
    let alone = Expect::of("ending", &["b"]);
    let drained = stage.crowd.await_each("ending", Some(since), &alone, Losses::None);
    let after = end(stage, "ending", &alone)?;
    stage.unsay("ending", "a")?;
    let gone = stage.crowd.await_each("ending", Some(clock::unix_ms()), &alone, Losses::None);
    let objects = after.into_iter().zip(gone).map(|(after, gone)| after.unless(gone));
    let said = drained.into_iter().zip(objects).map(|(said, object)| said.unless(object)).collect();
    Ok(both(said, stage.crowd.tally("ending", since, "ending-a")))
}

/// Has the first server of a service end gracefully; what each client sees from then on.
fn end(stage: &Stage, service: &'static str, left: &Expect) -> Result<Vec<Cell>> {
    let name = format!("{service}-a");
    stage.server(&name, |server| {
        server.process.terminate();
        Ok(())
    })?;
    let after = stage.crowd.await_each(service, Some(clock::unix_ms()), left, Losses::None);
    let ended = stage.server(&name, |server| server.process.join(BOUND))?;
    anyhow::ensure!(ended, "the server {name} did not end");
    Ok(after)
}

fn weights(stage: &Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("weights", None, &Expect::of("weights", &["a", "b"]), Losses::Some);
    // Three quarters; by chance no more than these bounds away.
    shares(stage, "weights", 0, ("weights-b", 55..=92))
}

fn spill_over(stage: &Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("spills", None, &Expect::of("spills", &["near", "lost"]), Losses::Some);
    let killed = stage.crowd.release("spills");
    stage.server("spills-lost", |server| server.process.kill())?;
    let found = stage.crowd.await_each("spills", Some(killed), &Expect::of("spills", &["near", "far"]), Losses::Some);
    // The half that is left carries seven tenths (Envoy's overprovisioning), and the next zone three.
    let shares = shares(stage, "spills", killed, ("spills-far", 12..=50))?;
    Ok(both(found, shares))
}

fn warning(stage: &Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("warned", None, &Expect::of("warned", &["a", "b"]), Losses::Some);
    // A fifth.
    shares(stage, "warned", 0, ("warned-b", 5..=38))
}

/// The share of one server of what is answered from its first answer since then on.
fn shares(
    stage: &Stage,
    target: &str,
    since: u64,
    (server, bounds): (&str, RangeInclusive<usize>),
) -> Result<Vec<Cell>> {
    /// Calls until a share can be told.
    const ENOUGH: usize = 80;
    let counted = |answers: &[String]| answers.iter().skip_while(|answer| *answer != server).count();
    let has_enough = |answers: &[Option<Vec<String>>]| answers.iter().flatten().all(|calls| counted(calls) >= ENOUGH);
    let answers = clock::wait_until("calls enough to tell a share", BOUND, || {
        let answers = stage.crowd.answers(target, since);
        Ok(has_enough(&answers).then_some(answers))
    })?;
    let share = |(calls, member): (Option<Vec<String>>, &Mutex<Member>)| {
        let Some(calls) = calls else { return Cell::Absent };
        let of_it = calls.iter().filter(|backend| *backend == server).count();
        let percent = 100 * of_it / counted(&calls).max(1);
        let said = format!("{percent} %");
        if locked(member).family == Some(Family::TonicXds) || bounds.contains(&percent) {
            return Cell::Fine(said);
        }
        Cell::Wrong(said)
    };
    Ok(answers.into_iter().zip(stage.crowd.members()).map(share).collect())
}

fn zones(stage: &Stage) -> Result<Vec<Cell>> {
    let near = At { zone: Some(HERE), ..At::usual("near") };
    let far = At { zone: Some(THERE), ..At::usual("far") };
    let begun = stage.crowd.await_each("zones", None, &Expect::of("zones", &["near"]), Losses::Some);
    let since = stage.crowd.release("zones");
    stage.register("zones", &[near.out(), far])?;
    let away = stage.crowd.await_each("zones", Some(since), &Expect::of("zones", &["far"]), Losses::None);
    let since = stage.crowd.release("zones");
    stage.register("zones", &[near, far])?;
    let back = stage.crowd.await_each("zones", Some(since), &Expect::of("zones", &["near"]), Losses::None);
    let both = both(away, back);
    Ok(both.into_iter().zip(begun).map(|(said, begun)| said.unless(begun)).collect())
}

fn deleted(stage: &Stage) -> Result<Vec<Cell>> {
    let there = Expect::of("deleted", &["a"]);
    stage.crowd.await_each("deleted", None, &there, Losses::Some);
    let since = stage.crowd.release("deleted");
    stage.deregister("deleted")?;
    let gone = stage.crowd.await_each("deleted", Some(since), &Expect::Fails, Losses::Some);
    let since = stage.crowd.release("deleted");
    stage.register("deleted", &[At::usual("a")])?;
    Ok(both(gone, stage.crowd.await_each("deleted", Some(since), &there.back(), Losses::Some)))
}

fn unborn(stage: &Stage) -> Result<Vec<Cell>> {
    let nothing = stage.crowd.await_each("unborn", None, &Expect::Fails, Losses::Some);
    let since = stage.crowd.release("unborn");
    stage.register("unborn", &[At::usual("a")])?;
    let born = stage.crowd.await_each("unborn", Some(since), &Expect::of("unborn", &["a"]), Losses::Some);
    Ok(born.into_iter().zip(nothing).map(|(said, nothing)| said.unless(nothing)).collect())
}

fn restart(stage: &mut Stage) -> Result<Vec<Cell>> {
    stage.crowd.await_each("steady", None, &Expect::of("steady", &["a", "b"]), Losses::Some);
    let since = stage.crowd.release("steady");
    let controller = &mut stage.rollcall.controllers[0];
    controller.process.kill()?;
    controller.start_again()?;
    controller.wait_ready()?;
    stage.register("steady", &[At::usual("a"), At::usual("b"), At::usual("c")])?;
    Ok(stage.crowd.await_each("steady", Some(since), &Expect::of("steady", &["a", "b", "c"]), Losses::None))
}

fn replicas(stage: &mut Stage) -> Result<Vec<Cell>> {
    let since = stage.crowd.release("steady");
    stage.relay.move_to(stage.rollcall.controllers[1].grpc);
    stage.register("steady", &[At::usual("b"), At::usual("c")])?;
    Ok(stage.crowd.await_each("steady", Some(since), &Expect::of("steady", &["b", "c"]), Losses::None))
}

fn both(first: Vec<Cell>, second: Vec<Cell>) -> Vec<Cell> {
    first.into_iter().zip(second).map(|(first, second)| first.and(second)).collect()
}

// === impl Cell ===

impl Cell {
    /// Both, unless one of them is wrong.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fine(one), Self::Fine(other)) => Self::Fine(format!("{one}; {other}")),
            (one @ (Self::Wrong(_) | Self::Absent), _) => one,
            (Self::Fine(_), other @ (Self::Wrong(_) | Self::Absent)) => other,
        }
    }

    /// This, unless the other is wrong.
    fn unless(self, other: Self) -> Self {
        match (self, other) {
            (one @ Self::Fine(_), Self::Fine(_)) => one,
            (one @ (Self::Wrong(_) | Self::Absent), _) => one,
            (Self::Fine(_), other @ (Self::Wrong(_) | Self::Absent)) => other,
        }
    }
}
