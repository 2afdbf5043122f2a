//! Rollcall's server of the stream as a process of its own, steered on standard input as `../go-control-plane` is.
//!
//! `fill N`, `change INDEX`, `churn PER-SECOND SECONDS`: each is answered by `ok` and a number when it is done.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use prost::Message;
use rollcall_admin::ports::{Setting, listen_tcp};
use rollcall_e2e::clock;
use rollcall_xds::cache::Cache;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use rollcall_xds::tls::{self, Bounds, Incoming};
use tokio::sync::watch;

use crate::{certificate, load};

/// As much of Envoy's Cluster as the other server fills in.
#[derive(Message)]
struct Cluster {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(message, tag = "4")]
    connect_timeout: Option<Seconds>,
    #[prost(string, tag = "28")]
    alt_stat_name: String,
}

#[derive(Message)]
struct Seconds {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// Serves until standard input ends.
pub(crate) async fn run(tls: bool) -> Result<()> {
    let (publish, published) = watch::channel(None);
    let limits = Limits { streams_max: 20_000, ..Limits::default() };
    let setting = Setting { flag: "none", value: "none" };
    let listener = listen_tcp(([127, 0, 0, 1], 0).into(), setting)?; // as the controller does
    println!("{}", listener.local_addr()?);
    let bounds = Bounds::for_streams(limits.streams_max);
    let incoming = if tls {
        let (acceptor, line) = certificate::issue()?;
        println!("{line}");
        Incoming::tls(listener, acceptor)
    } else {
        Incoming::plain(listener)
    };
    let incoming = incoming.bounded(bounds, Arc::<tls::Metrics>::default());
    let server = Server::new(published, limits, Arc::default());
    tokio::spawn(server.into_router().serve_with_incoming(incoming.into_stream()));
    let steering = tokio::task::spawn_blocking(move || steer(&publish));
    steering.await.context("steering")?
}

type Publish = watch::Sender<Option<Arc<rollcall_xds::cache::Snapshot>>>;

fn steer(publish: &Publish) -> Result<()> {
    let mut cache = Cache::new();
    let mut count = 0;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let order = words.next().unwrap_or_default();
        let numbers = words.map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let mut done = 0;
        match (order, numbers.as_slice()) {
            ("fill", [services]) => {
                count = *services;
                for index in 0..count {
                    cache.upsert(ResourceType::Cluster, cluster(index, String::new()));
                }
                publish.send_replace(Some(cache.publish()));
            }
            ("change", [index]) => change(&mut cache, *index, publish),
            ("churn", [rate, seconds]) => {
                done = churn(&mut cache, count, *rate, Duration::from_secs(*seconds as u64), publish)?;
            }
            _ => bail!("no order {line:?}"),
        }
        println!("ok {done}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn change(cache: &mut Cache, index: usize, publish: &Publish) {
    cache.upsert(ResourceType::Cluster, cluster(index, format!("at={}", load::clock_ns())));
    publish.send_replace(Some(cache.publish()));
}

fn churn(cache: &mut Cache, count: usize, rate: usize, lasts: Duration, publish: &Publish) -> Result<usize> {
    let begun: Instant = clock::now();
    let mut done = 0;
    while begun.elapsed() < lasts {
        let due = Duration::from_secs(1) * u32::try_from(done)? / u32::try_from(rate)?;
        clock::pause(due.saturating_sub(begun.elapsed()));
        change(cache, done % count, publish);
        done += 1;
    }
    Ok(done)
}

fn cluster(index: usize, mark: String) -> Resource {
    const EDS: i32 = 3;
    let name = format!("service-{index}.bench:http");
    let connect_timeout = Some(Seconds { seconds: 2 });
    let message = Cluster { name: name.clone(), kind: EDS, connect_timeout, alt_stat_name: mark };
    Resource::new(ResourceType::Cluster, name, &message)
}
