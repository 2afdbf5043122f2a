//! What checks cost: probes a second of CPU time, memory of each, and the busiest second after a restart.
//!
//! `cargo bench --workspace --bench checks` prints a table and writes `target/bench/checks.json`. Probes go to a server on loopback, which
//! is a process of its own, so that its CPU time is not counted.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures real time and may stop on any fault"
)]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::{CheckVerdict, Origin, OriginKind, Verdict};
use rollcall_catalog::model::{Addresses, Health};
use rollcall_catalog::time::Now;
use rollcall_health::checks::{Admission, Step};
use rollcall_health::plan::{Plan, Planned, Restored};
use rollcall_health::probe::{Network, Prober, Probes};
use rollcall_health::{Check, CheckKind, Checks, Http, Outcome, Target, Tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Of the schedule: as many as the aim speaks of.
const TARGETS: usize = 50_000;
/// Endpoints of one registration at most.
const EACH: usize = 100;
const PROBES: usize = 20_000;
/// As many as a controller has under way at a time.
const AT_A_TIME: usize = 256;
const INTERVAL: Duration = Duration::from_secs(10);

fn main() {
    if env::args().any(|word| word == "--serve") {
        return serve();
    }
    let (bytes, busiest, step) = schedule();
    let mut server = Command::new(env::current_exe().unwrap()).arg("--serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let target: SocketAddr = line.trim().parse().unwrap();
    let http = probes(CheckKind::Http(Http::get("/healthz")), target);
    let tcp = probes(CheckKind::Tcp(Tcp::default()), target);
    server.kill().unwrap();
    server.wait().unwrap();

    let rows = [
        ("HTTP checks a second of CPU", http.0, "5000 or more: 10,000/s on 2 cores"),
        ("TCP checks a second of CPU", tcp.0, "10000 or more: 20,000/s on 2 cores"),
        ("HTTP checks a second, as measured", http.1, ""),
        ("TCP checks a second, as measured", tcp.1, ""),
        ("memory of a check, bytes", bytes, "1536 or less"),
        ("busiest second after a restart / mean", busiest, "1.2 or less"),
        ("deciding, ns a probe", step, ""),
    ];
    for (name, value, aim) in &rows {
        println!("{name:<40} {value:>12.2}   {aim}");
    }
    let figures: serde_json::Map<_, _> =
        rows.iter().map(|(name, value, _)| ((*name).into(), (*value).into())).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("checks.json"), format!("{:#}\n", serde_json::Value::Object(figures))).unwrap();
}

/// Bytes of a check, the busiest second after a restart beside the mean, and nanoseconds that a probe costs beside its I/O.
fn schedule() -> (f64, f64, f64) {
    let before = resident_bytes();
    let mut checks = Checks::new(AT_A_TIME);
    let began = Now { mono_ms: 0, wall_ms: 1_764_000_123_456 };
    for first in (0..TARGETS).step_by(EACH) {
        checks.plan(plan(first), began);
    }
    let bytes = (resident_bytes() - before) / TARGETS as f64;
    let mut seconds = [0_u32; 10];
    let (start, mut probes) = (Instant::now(), 0);
    let end_ms = u64::try_from(INTERVAL.as_millis()).unwrap();
    while let Some(due_ms) = checks.next_ms().filter(|due_ms| *due_ms <= end_ms) {
        let now = Now { mono_ms: due_ms, wall_ms: began.wall_ms + i64::try_from(due_ms).unwrap() };
        while let Some(step) = checks.next(now, &mut |_| Admission::Admitted) {
            let Step::Start(start) = step else { continue };
            seconds[usize::try_from(due_ms.saturating_sub(1) / 1000).unwrap()] += 1;
            probes += 1;
            checks.finished(start.id, &Outcome::Success("answered 200".into()), now);
        }
    }
    let mean = f64::from(seconds.iter().sum::<u32>()) / seconds.len() as f64;
    let busiest = f64::from(*seconds.iter().max().unwrap()) / mean;
    (bytes, busiest, start.elapsed().as_nanos() as f64 / f64::from(probes))
}

/// A registration as an earlier process left it.
fn plan(first: usize) -> Plan {
    let check = Arc::new(Check { interval: INTERVAL, ..Check::new("healthz", CheckKind::Http(Http::get("/healthz"))) });
    let name = |n: usize| format!("vm-{n}").into();
    let ip = |n: usize| Ipv4Addr::from(0xc612_0000 + u32::try_from(n).unwrap());
    let verdict = |n: usize| Verdict {
        health: Health::Passing,
        since_ms: 1,
        reason: "answered 200".into(),
        addresses: Addresses::V4(ip(n)),
        checks: Arc::new([CheckVerdict {
            name: "healthz".into(),
            health: Health::Passing,
            since_ms: 1,
            reason: "answered 200".into(),
            on_machine: false,
        }]),
    };
    let all = first..first + EACH;
    Plan {
        origin: Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", format!("vms-{first}"))),
        service: ServiceKey::new("shop", "payments"),
        generation: Some(1),
        endpoints: all
            .clone()
            .map(|n| Planned { name: name(n), addresses: Addresses::V4(ip(n)), unchecked: false })
            .collect(),
        targets: all
            .clone()
            .map(|n| Target { endpoint: name(n), check: Arc::clone(&check), address: (ip(n), 8080).into() })
            .collect(),
        restored: all.map(|n| (name(n), Restored { verdict: verdict(n), current: true })).collect(),
        heartbeat: false,
        stuck: Vec::new(),
    }
}

/// Probes for each second of this process's CPU time, and for each second.
fn probes(kind: CheckKind, target: SocketAddr) -> (f64, f64) {
    let check = Arc::new(Check { timeout: Duration::from_secs(60), ..Check::new("healthz", kind) });
    let probes = Arc::new(Probes::new(Network));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (cpu, start) = (cpu_seconds(), Instant::now());
    runtime.block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for n in 0..PROBES + AT_A_TIME {
            if n >= AT_A_TIME {
                let outcome = running.join_next().await.unwrap().unwrap();
                assert!(matches!(outcome, Outcome::Success(_)), "{outcome:?}");
            }
            if n < PROBES {
                let (probes, check) = (Arc::clone(&probes), Arc::clone(&check));
                running.spawn(async move { probes.probe(&check, target).await });
            }
        }
    });
    (PROBES as f64 / (cpu_seconds() - cpu), PROBES as f64 / start.elapsed().as_secs_f64())
}

/// Answers 200 to each connection, until it is killed.
fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            tokio::spawn(async move {
                if stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
            });
        }
    });
}

fn resident_bytes() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

/// User and system time of this process (proc_pid_stat(5): fields 14 and 15, in hundredths of a second).
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = text.rsplit_once(')').unwrap().1;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
