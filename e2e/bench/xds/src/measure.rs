//! What is measured of each server, in figures.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rollcall_e2e::clock;
use tokio::sync::watch;

use crate::load::{self, Shared, Stream};
use crate::server::{Kind, Server};
use crate::wire;

/// Services, of which every wildcard stream holds all.
const SERVICES: usize = 10_000;
/// Streams of the fan-out.
const STREAMS: usize = 1_000;
/// Streams of the largest crowd, and services that each of the others names.
const CROWD: usize = 10_000;
const NAMED: usize = 10;
/// Single changes, and how long they may take: a slow server is measured by fewer.
const CHANGES: usize = 100;
const CHANGES_TAKE: Duration = Duration::from_secs(8);
/// For answers to a change to be heard before the next one comes.
const BETWEEN: Duration = Duration::from_millis(40);
/// Streams that reconnect at once, and services that each of them knows.
const RETURNING: usize = 5_000;
const KNOWN: usize = 1_000;
/// Of the churn.
const PER_SECOND: usize = 1_000;
const LASTS_S: usize = 5;
/// How long a step may take, whatever it waits for.
const BOUND: Duration = Duration::from_secs(60);

/// What one step of the measurement finds, by the names of the table. `None` where the server did not come to it in time.
pub(crate) type Figures = Vec<Option<f64>>;

/// A step: each has a fresh server.
pub(crate) struct Step {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it finds, each with what the design asks for.
    pub(crate) figures: &'static [(&'static str, &'static str)],
    tls: bool,
    run: for<'a> fn(&'a mut Server) -> Running<'a>,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Vec<f64>>> + 'a>>;

pub(crate) const STEPS: [Step; 7] = [
    Step {
        name: "fan-out",
        figures: &[
            ("an idle stream that holds 10,000 services, KB", "16"),
            ("a change to all of 1,000 such streams, p50 ms", ""),
            ("p99 ms", "20"),
            ("p99 of the middle one of the changes, ms", "20"),
            ("CPU of the server, ms", "a tenth"),
            ("with one that does not read, p99 ms", ""),
        ],
        tls: false,
        run: |server| Box::pin(fan_out(server)),
    },
    Step {
        name: "churn",
        figures: &[
            ("1,000 changes/s, 1,000 streams of 10 services each, p50 ms", ""),
            ("p99 ms", "200"),
            ("changes made of 5,000", "5,000"),
        ],
        tls: false,
        run: |server| Box::pin(churn(server, NAMED)),
    },
    Step {
        name: "storm",
        figures: &[
            ("1,000 changes/s, 1,000 streams of all 10,000, p50 ms", ""),
            ("p99 ms", "200"),
            ("changes made of 5,000", "5,000"),
        ],
        tls: false,
        run: |server| Box::pin(churn(server, 0)),
    },
    Step {
        name: "crowd",
        figures: &[("10,000 streams of one service open, s", ""), ("each, KB", "16")],
        tls: false,
        run: |server| Box::pin(crowd(server, CROWD)),
    },
    Step {
        name: "tls",
        figures: &[("1,000 streams of one service with TLS open, s", ""), ("each, KB", "40")],
        tls: true,
        run: |server| Box::pin(crowd(server, STREAMS)),
    },
    Step {
        name: "missing-one",
        figures: &[("5,000 return, each misses one of 1,000, s", "2"), ("sent to all of them, KB", "")],
        tls: false,
        run: |server| Box::pin(returning(server, 1)),
    },
    Step {
        name: "returning",
        figures: &[("5,000 return and know all 1,000, s", "2"), ("sent to all of them, KB", "1,000")],
        tls: false,
        run: |server| Box::pin(returning(server, 0)),
    },
];

/// Measures one step of one server.
pub(crate) fn measure(step: &Step, kind: &Kind) -> Figures {
    match alone(step, kind) {
        Ok(measured) => {
            // Told at once: the whole takes minutes.
            let told = step.figures.iter().zip(&measured);
            told.for_each(|((name, _), figure)| eprintln!("  {}, {name}: {figure:.2}", kind.name));
            measured.into_iter().map(Some).collect()
        }
        Err(error) => {
            eprintln!("  {}, {}: {error:#}", kind.name, step.figures[0].0);
            vec![None; step.figures.len()]
        }
    }
}

/// On a runtime of its own, so that streams end with it.
fn alone(step: &Step, kind: &Kind) -> Result<Vec<f64>> {
    if step.tls && !kind.has_tls {
        anyhow::bail!("it is measured without TLS alone");
    }
    let mut server = Server::start(kind, step.tls)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = async { tokio::time::timeout(BOUND, (step.run)(&mut server)).await };
    let measured = tokio::task::LocalSet::new().block_on(&runtime, measured);
    measured.with_context(|| format!("it did not come to its end within {BOUND:?}"))?
}

async fn fan_out(server: &mut Server) -> Result<Vec<f64>> {
    server.order(&format!("fill {SERVICES}")).await?;
    let before = server.memory()?;
    let (told, answers) = watch::channel(());
    let seen = load::open(&server.way, STREAMS, |_| Stream { answers: Some(answers.clone()), ..Stream::default() });
    load::until("all to be answered", &seen, |seen| seen.answered == STREAMS).await?;
    load::pause(Duration::from_secs(2)).await;
    let idle = (server.memory()? - before) / STREAMS as f64 / 1e3;
    let cpu = server.cpu_s()?;
    let made = changes(server, &seen, &told).await?;
    let cpu = (server.cpu_s()? - cpu) * 1e3 / made as f64;
    let (p50, p99) = percentiles(&seen);
    let middle = middle_p99(&seen);
    let stalled = Stream { stalls: true, ..Stream::default() };
    let slow = load::open(&server.way, 1, |_| stalled.clone());
    load::until("the slow one to be answered", &slow, |seen| seen.answered == 1).await?;
    changes(server, &seen, &told).await?;
    let (_, beside) = percentiles(&seen);
    Ok(vec![idle, p50, p99, middle, cpu, beside])
}

/// Changes one service after the other, each once all have been told of the last, and have answered. Says how many there were, with
/// the first one, which warms up.
async fn changes(server: &mut Server, seen: &Shared, told: &watch::Sender<()>) -> Result<usize> {
    warm_up(server, seen, told).await?;
    let begun = clock::now();
    let mut made = 0;
    while made < CHANGES && (made == 0 || begun.elapsed() < CHANGES_TAKE) {
        change(server, seen, told, made).await?;
        made += 1;
    }
    Ok(made + 1)
}

/// One change, which all are told, and answer.
async fn change(server: &mut Server, seen: &Shared, told: &watch::Sender<()>, index: usize) -> Result<()> {
    let all = seen.borrow().latencies.len() + STREAMS;
    server.order(&format!("change {index}")).await?;
    load::until("all to be told", seen, |seen| seen.latencies.len() >= all).await?;
    told.send_replace(());
    load::pause(BETWEEN).await;
    Ok(())
}

/// A change that is not counted. Memory that nobody had touched for two seconds took 10 µs a page where it was measured, whatever the
/// program: a multiple of what the change itself takes.
async fn warm_up(server: &mut Server, seen: &Shared, told: &watch::Sender<()>) -> Result<()> {
    change(server, seen, told, CHANGES).await?;
    seen.borrow_mut().latencies = Vec::with_capacity(STREAMS * CHANGES);
    Ok(())
}

/// With streams that name so many services each, or all if that is none.
async fn churn(server: &mut Server, named: usize) -> Result<Vec<f64>> {
    server.order(&format!("fill {SERVICES}")).await?;
    let seen = load::open(&server.way, STREAMS, |index| {
        let names = (0..named).map(|nth| name((index * named + nth) % SERVICES));
        Stream { names: names.collect(), ..Stream::default() }
    });
    load::until("all to be answered", &seen, |seen| seen.answered == STREAMS).await?;
    let done = server.order(&format!("churn {PER_SECOND} {LASTS_S}")).await?;
    if named == 0 {
        // One more: whoever was told that was told all before it.
        let last = load::clock_ns();
        server.order("change 0").await?;
        load::until("all to be told the last change", &seen, |seen| seen.newest.iter().all(|made| *made >= last))
            .await?;
        let (p50, p99) = percentiles(&seen);
        return Ok(vec![p50, p99, done as f64]);
    }
    loop {
        let told = seen.borrow().latencies.len();
        load::pause(Duration::from_secs(1)).await;
        if seen.borrow().latencies.len() == told {
            break;
        }
    }
    let (p50, p99) = percentiles(&seen);
    Ok(vec![p50, p99, done as f64])
}

async fn crowd(server: &mut Server, count: usize) -> Result<Vec<f64>> {
    server.order(&format!("fill {SERVICES}")).await?;
    let before = server.memory()?;
    let begun = clock::now();
    let of = |index: usize| Stream { names: vec![name(index % SERVICES)], ..Stream::default() };
    let seen = load::open(&server.way, count, of);
    load::until("all to be answered", &seen, |seen| seen.answered == count).await?;
    let took = load::since(begun);
    load::pause(Duration::from_secs(2)).await;
    Ok(vec![took, (server.memory()? - before) / count as f64 / 1e3])
}

/// Streams that know all services but so many. Where they know all, the server says nothing, and one more change, to all of
/// them, says that it has looked at each; that change is not counted.
async fn returning(server: &mut Server, missing: usize) -> Result<Vec<f64>> {
    server.order(&format!("fill {KNOWN}")).await?;
    let first = load::open(&server.way, 1, |_| Stream { notes: true, ..Stream::default() });
    load::until("one to be told all", &first, |seen| seen.versions.len() >= KNOWN).await?;
    let known = Rc::new(wire::known(first.borrow().versions.iter().filter(|(its, _)| missing == 0 || *its != name(0))));
    let stream = Stream { known, ..Stream::default() };
    let begun = clock::now();
    let seen = load::open(&server.way, RETURNING, |_| stream.clone());
    if missing > 0 {
        load::until("all to be answered", &seen, |seen| seen.answered == RETURNING).await?;
        return Ok(vec![load::since(begun), seen.borrow().bytes as f64 / 1e3]);
    }
    load::until("all to be accepted", &seen, |seen| seen.accepted == RETURNING).await?;
    load::pause(Duration::from_millis(1)).await;
    let sent = seen.borrow().bytes as f64 / 1e3;
    server.order("change 0").await?;
    load::until("all to be told of a change", &seen, |seen| seen.latencies.len() >= RETURNING).await?;
    Ok(vec![load::since(begun), sent])
}

fn name(index: usize) -> String {
    format!("service-{index}.bench:http")
}

/// The p99 of each change, and of those the middle one, in milliseconds: what is left when the machine stood still in a few of them.
fn middle_p99(seen: &Rc<RefCell<load::Seen>>) -> f64 {
    let p99 = |change: &[u64]| {
        let mut latencies = change.to_vec();
        latencies.sort_unstable();
        latencies[latencies.len() * 99 / 100]
    };
    let mut each: Vec<u64> = seen.borrow().latencies.chunks(STREAMS).map(p99).collect();
    each.sort_unstable();
    each.get(each.len() / 2).map_or(f64::NAN, |us| *us as f64 / 1e3)
}

/// In milliseconds.
fn percentiles(seen: &Rc<RefCell<load::Seen>>) -> (f64, f64) {
    let mut latencies = seen.borrow().latencies.clone();
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 100).map_or(f64::NAN, |us| *us as f64 / 1e3);
    (at(50), at(99))
}
