//! What is measured of each server, in figures.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rollcall_e2e::clock;

use crate::load::{self, Shared, Stream};
use crate::server::{Kind, Server};

/// Services, of which every wildcard stream holds all.
const SERVICES: usize = 10_000;
/// Streams of the fan-out.
const STREAMS: usize = 1_000;
/// Streams of the largest crowd, and services that each of them names.
const CROWD: usize = 10_000;
const NAMED: usize = 10;
/// Single changes.
const CHANGES: usize = 30;
/// Streams that reconnect at once, and services that each of them knows.
const RETURNING: usize = 5_000;
const KNOWN: usize = 1_000;
/// Of the churn.
const PER_SECOND: usize = 1_000;
const LASTS_S: usize = 5;

/// Figures by name, in the order of the table. `None` where the server did not come to it in time.
pub(crate) type Figures = Vec<(&'static str, Option<f64>)>;

/// Measures one server, step by step, each on a fresh process.
pub(crate) fn all(kind: &Kind) -> Result<Figures> {
    let mut figures = Figures::new();
    for (names, step) in STEPS {
        match alone(step, kind) {
            Ok(measured) => {
                // Told at once: the whole takes minutes.
                names
                    .iter()
                    .zip(&measured)
                    .for_each(|(name, figure)| eprintln!("  {}, {name}: {figure:.2}", kind.name));
                figures.extend(names.iter().copied().zip(measured.into_iter().map(Some)));
            }
            Err(error) => {
                eprintln!("  {}, {}: {error:#}", kind.name, names[0]);
                figures.extend(names.iter().map(|name| (*name, None)));
            }
        }
    }
    Ok(figures)
}

type Step = for<'a> fn(&'a mut Server) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<f64>>> + 'a>>;

const STEPS: [(&[&str], Step); 4] = [
    (
        &[
            "idle wildcard stream, KB",
            "a change to all of 1,000 streams, p50 ms",
            "a change to all of 1,000 streams, p99 ms",
            "CPU of a change to 1,000 streams, ms",
            "the same with one that does not read, p99 ms",
        ],
        |server| Box::pin(fan_out(server)),
    ),
    (
        &["1,000 changes/s, 1,000 streams of 10 services, p50 ms", "the same, p99 ms", "changes made of 5,000"],
        |server| Box::pin(churn(server)),
    ),
    (&["10,000 streams of one service open, s", "each, KB"], |server| Box::pin(crowd(server))),
    (&["5,000 return knowing all but one of 1,000, s", "sent to all of them, KB"], |server| {
        Box::pin(returning(server))
    }),
];

/// On a runtime of its own, so that streams end with it.
fn alone(step: Step, kind: &Kind) -> Result<Vec<f64>> {
    let mut server = Server::start(kind)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, step(&mut server))
}

async fn fan_out(server: &mut Server) -> Result<Vec<f64>> {
    server.order(&format!("fill {SERVICES}"))?;
    let before = server.memory()?;
    let seen = load::open(server.address, STREAMS, |_| Stream::default());
    load::until("all to be answered", &seen, |seen| seen.answered == STREAMS).await?;
    load::pause(Duration::from_secs(2)).await;
    let idle = (server.memory()? - before) / STREAMS as f64 / 1e3;
    let cpu = server.cpu_s()?;
    changes(server, &seen, CHANGES).await?;
    let cpu = (server.cpu_s()? - cpu) * 1e3 / CHANGES as f64;
    let (p50, p99) = percentiles(&seen);
    let stalled = Stream { stalls: true, ..Stream::default() };
    let slow = load::open(server.address, 1, |_| stalled.clone());
    load::until("the slow one to be answered", &slow, |seen| seen.answered == 1).await?;
    changes(server, &seen, CHANGES).await?;
    let (_, beside) = percentiles(&seen);
    Ok(vec![idle, p50, p99, cpu, beside])
}

/// Changes one service after the other, each once all have been told of the last.
async fn changes(server: &mut Server, seen: &Shared, count: usize) -> Result<()> {
    seen.borrow_mut().latencies.clear();
    for index in 0..count {
        server.order(&format!("change {index}"))?;
        load::until("all to be told", seen, |seen| seen.latencies.len() >= STREAMS * (index + 1)).await?;
        ensure!(seen.borrow().ended.is_empty(), "streams ended: {:?}", seen.borrow().ended.first());
        load::pause(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn churn(server: &mut Server) -> Result<Vec<f64>> {
    server.order(&format!("fill {SERVICES}"))?;
    let seen = load::open(server.address, STREAMS, |index| {
        let names = (0..NAMED).map(|nth| name((index * NAMED + nth) % SERVICES));
        Stream { names: names.collect(), ..Stream::default() }
    });
    load::until("all to be answered", &seen, |seen| seen.answered == STREAMS).await?;
    server.begin(&format!("churn {PER_SECOND} {LASTS_S}"))?;
    // The streams run on this thread, and the answer comes from another process.
    load::pause(Duration::from_secs(LASTS_S as u64)).await;
    loop {
        let told = seen.borrow().latencies.len();
        load::pause(Duration::from_millis(500)).await;
        if seen.borrow().latencies.len() == told {
            break;
        }
    }
    let done = server.ended()?;
    let (p50, p99) = percentiles(&seen);
    Ok(vec![p50, p99, done as f64])
}

async fn crowd(server: &mut Server) -> Result<Vec<f64>> {
    server.order(&format!("fill {SERVICES}"))?;
    let before = server.memory()?;
    let begun = clock::now();
    let seen = load::open(server.address, CROWD, |index| Stream { names: vec![name(index)], ..Stream::default() });
    load::until("all to be answered", &seen, |seen| seen.answered == CROWD).await?;
    let took = load::since(begun);
    load::pause(Duration::from_secs(2)).await;
    Ok(vec![took, (server.memory()? - before) / CROWD as f64 / 1e3])
}

async fn returning(server: &mut Server) -> Result<Vec<f64>> {
    server.order(&format!("fill {KNOWN}"))?;
    let first = load::open(server.address, 1, |_| Stream { notes: true, ..Stream::default() });
    load::until("one to be told all", &first, |seen| seen.versions.len() >= KNOWN).await?;
    // One is not known: its coming says that the server has looked.
    let known: Vec<_> = first.borrow().versions.iter().filter(|(its, _)| *its != name(0)).cloned().collect();
    let known = Rc::new(known);
    let begun = clock::now();
    let stream = Stream { known, ..Stream::default() };
    let seen = load::open(server.address, RETURNING, |_| stream.clone());
    load::until("all to be answered", &seen, |seen| seen.answered == RETURNING).await?;
    Ok(vec![load::since(begun), seen.borrow().bytes as f64 / 1e3])
}

fn name(index: usize) -> String {
    format!("service-{index}.bench:http")
}

/// In milliseconds.
fn percentiles(seen: &Rc<RefCell<load::Seen>>) -> (f64, f64) {
    let mut latencies = seen.borrow().latencies.clone();
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 100).map_or(f64::NAN, |us| *us as f64 / 1e3);
    (at(50), at(99))
}
