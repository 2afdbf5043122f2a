//! Hundreds of checks on three replicas, of which one is killed, and another one comes. In a network of its own, since addresses of
//! loopback are never served; where the kernel refuses one, it says so and is left out.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rollcall_fake_api::FakeApi;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

use super::{Running, api, start};

const REGISTRATIONS: u8 = 20;
const ENDPOINTS: u8 = 40;
const CHECKS: f64 = REGISTRATIONS as f64 * ENDPOINTS as f64;
const DOWN: usize = 10;
/// Of each check.
const INTERVAL: Duration = Duration::from_secs(3);
/// Nobody is without an owner for longer, beside what this machine takes for everything.
const OWNERLESS_MAX: Duration = Duration::from_secs(5);
const SLOW: Duration = Duration::from_secs(20);
/// As long as this machine may take for anything: others run beside.
const BOUND: Duration = Duration::from_secs(180);

/// One server for all endpoints, which are told apart by the address that they are asked at.
#[derive(Clone, Default)]
struct Machines(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    down: HashSet<Ipv4Addr>,
    last: HashMap<Ipv4Addr, Instant>,
    longest_gap: Duration,
}

impl Machines {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no panic")
    }

    /// Its port.
    async fn serve(&self) -> u16 {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let machines = self.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Ok(std::net::IpAddr::V4(at)) = stream.local_addr().map(|address| address.ip()) else { continue };
                let lives = machines.asked(at);
                tokio::spawn(async move {
                    let _ = stream.write_all(if lives { b"well" } else { b"ill" }).await;
                });
            }
        });
        port
    }

    /// Whether it lives.
    fn asked(&self, at: Ipv4Addr) -> bool {
        let (mut seen, now) = (self.seen(), Instant::now());
        let gap = seen.last.insert(at, now).map_or(Duration::ZERO, |last| now - last);
        seen.longest_gap = seen.longest_gap.max(gap);
        !seen.down.contains(&at)
    }
}

fn address(registration: u8, endpoint: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, registration, endpoint)
}

fn registration(number: u8, port: u16) -> Value {
    let endpoint = |endpoint: u8| json!({ "name": format!("vm-{endpoint}"), "addresses": [address(number, endpoint)] });
    let check = json!({
        "name": "lives", "tcp": { "expect": "well" },
        "interval": "3s", "timeout": "4s", "failureThreshold": 3,
    });
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {
            "name": format!("vms-{number}"), "namespace": "shop", "uid": format!("uid-{number}"), "generation": 1,
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": {
            "service": format!("service-{number}"),
            "ports": [{ "name": "main", "port": port }],
            "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
            "checks": [check],
        },
    })
}

/// A replica in a runtime of its own, with which all of it ends at once and without a word.
struct Mortal {
    runtime: Runtime,
    running: Running,
}

impl Mortal {
    fn start(api: &FakeApi, identity: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let running = runtime.block_on(start(api, identity, &[]));
        Self { runtime, running }
    }

    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

/// The sum of a metric over these replicas; one that nobody has counted is 0.
async fn sum(replicas: &[&Mortal], metric: &str) -> f64 {
    let mut sum = 0.0;
    for replica in replicas {
        sum += replica.running.metric(metric).await.unwrap_or_default();
    }
    sum
}

/// Waits until all checks are shared between them, each with one owner.
async fn shared(replicas: &[&Mortal]) {
    for replica in replicas {
        replica.running.await_replicas(replicas.len() as f64).await;
    }
    let all = async {
        while sum(replicas, "rollcall_checks_scheduled").await != CHECKS
            || sum(replicas, "rollcall_checks_known").await != CHECKS * replicas.len() as f64
        {
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(BOUND, all).await.is_err() {
        panic!("{} checks are scheduled, not {CHECKS}", sum(replicas, "rollcall_checks_scheduled").await);
    }
}

/// Waits until each of these replicas has so many endpoints in that health in its catalog.
async fn each_has(replicas: &[&Mortal], health: &str, count: f64) {
    let metric = format!("rollcall_catalog_endpoints_by_health{{health=\"{health}\"}}");
    for replica in replicas {
        let so = async {
            while sum(&[replica], &metric).await != count {
                sleep(Duration::from_millis(100)).await;
            }
        };
        assert!(timeout(BOUND, so).await.is_ok(), "{} endpoints are {health}", sum(&[replica], &metric).await);
    }
}

const CRITICAL: &str = "rollcall_checks_transitions_total{to=\"critical\"}";

/// Set in the network that [`in_own_network`] makes.
const INSIDE: &str = "ROLLCALL_TEST_OWN_NETWORK";

/// Whether this process is in a network whose every address below 10.77 is its own. Else the test is run again in one.
fn in_own_network(test: &str) -> bool {
    const SCRIPT: &str = "ip link set lo up && ip route add local 10.77.0.0/16 dev lo && exec \"$@\"";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let unshare = |program: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", SCRIPT, "sh"]).args(program).env(INSIDE, "1");
        command.status().is_ok_and(|status| status.success())
    };
    if !unshare(&["true"]) {
        println!("left out: no network of its own may be made here");
        return false;
    }
    let program = std::env::current_exe().expect("it runs");
    let program = program.to_str().expect("a path of text");
    assert!(unshare(&[program, "--exact", test, "--nocapture"]), "it failed in its own network");
    false
}

/// The evictions that these replicas have decided.
async fn evictions(replicas: &[&Mortal]) -> f64 {
    sum(replicas, CRITICAL).await
}

/// Waits until each endpoint has been probed since; nobody may have waited for too long meanwhile.
async fn probed_since(machines: &Machines, since: Instant) {
    let all = async {
        while machines.seen().last.values().any(|last| *last < since) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(timeout(BOUND, all).await.is_ok(), "some are not probed any more");
    let gap = machines.seen().longest_gap;
    println!("the longest time without a probe: {:.1} s, of an interval of {INTERVAL:?}", gap.as_secs_f32());
    assert!(gap < INTERVAL + OWNERLESS_MAX + SLOW, "one was not probed for {gap:?}");
}

/// One of three ends at once, and machines die at that moment.
async fn killed(a: &Mortal, b: &Mortal, machines: &Machines, since: Instant) {
    shared(&[a, b]).await;
    println!("taken over after {:.1} s", since.elapsed().as_secs_f32());
    each_has(&[a, b], "critical", DOWN as f64).await;
    each_has(&[a, b], "passing", CHECKS - DOWN as f64).await;
    probed_since(machines, since).await;
    // While an endpoint changes hands both may find it dead, each by itself; callers see it once.
    let decided = evictions(&[a, b]).await;
    assert!((DOWN as f64..=2.0 * DOWN as f64).contains(&decided), "{decided} evictions for {DOWN} that died");
}

/// Another one comes: it takes its share and nothing else moves.
async fn added(a: &Mortal, b: &Mortal, d: &Mortal, machines: &Machines) {
    let before = (evictions(&[a, b]).await, [own(a).await, own(b).await]);
    let since = Instant::now();
    machines.seen().longest_gap = Duration::ZERO;
    shared(&[a, b, d]).await;
    let [of_a, of_b, share] = [own(a).await, own(b).await, own(d).await];
    println!("{share} of {CHECKS} checks have moved after {:.1} s", since.elapsed().as_secs_f32());
    assert!(of_a <= before.1[0] && of_b <= before.1[1], "what moves, moves to the new one");
    assert!((0.22..0.45).contains(&(share / CHECKS)), "{share} of {CHECKS} have moved, of three equal shares");
    each_has(&[a, b, d], "critical", DOWN as f64).await;
    each_has(&[a, b, d], "passing", CHECKS - DOWN as f64).await;
    probed_since(machines, since).await;
    assert_eq!(evictions(&[a, b]).await, before.0, "nobody died meanwhile");
    assert!(evictions(&[d]).await <= DOWN as f64, "it evicts none that lives");
}

/// The checks that it runs.
async fn own(replica: &Mortal) -> f64 {
    sum(&[replica], "rollcall_checks_scheduled").await
}

#[test]
fn replicas_that_are_killed_and_added_under_many_checks_cost_none_of_them_an_owner_or_a_verdict() {
    const NAME: &str =
        "many::replicas_that_are_killed_and_added_under_many_checks_cost_none_of_them_an_owner_or_a_verdict";
    if !in_own_network(NAME) {
        return;
    }
    let (outside, machines, api) = (Runtime::new().expect("a runtime"), Machines::default(), api());
    let port = outside.block_on(machines.serve());
    (0..REGISTRATIONS).for_each(|number| _ = api.put(registration(number, port)));
    let [a, b, c] = ["a", "b", "c"].map(|identity| Mortal::start(&api, identity));
    outside.block_on(async {
        shared(&[&a, &b, &c]).await;
        each_has(&[&a, &b, &c], "passing", CHECKS).await;
        assert_eq!(evictions(&[&a, &b, &c]).await, 0.0, "evicted although all of them live");
    });
    c.kill();
    // Of every owner, that of the dead as well.
    let down: HashSet<_> = (0..DOWN as u8).map(|number| address(number * 2, number * 4)).collect();
    {
        let mut seen = machines.seen();
        (seen.down, seen.longest_gap) = (down, Duration::ZERO);
    }
    outside.block_on(killed(&a, &b, &machines, Instant::now()));
    let d = Mortal::start(&api, "d");
    outside.block_on(added(&a, &b, &d, &machines));
    [a, b, d].into_iter().for_each(Mortal::kill);
}
