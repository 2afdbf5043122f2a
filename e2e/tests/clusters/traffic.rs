//! Calls by the clusterset's name while a zone fails, while all servers of a cluster do, while a cluster is drained, and while the
//! other cluster dies with all that is in it: a gRPC client that tries nothing again, and an Envoy that does. Every call is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::envoy::{Envoy, Retries, Route, Variant};
use rollcall_e2e::process::Process;
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::xds_client::{Call, Caller, Family, Seat, Server};
use rollcall_e2e::{clock, net};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::line;
use crate::pair::{NAMESPACE, Pair, import};
use crate::support::BOUND;
use crate::support::shop::outside_address;

const SERVICE: &str = "calls";
const DERIVED: &str = "multicluster.kubernetes.io/derived-service";
const REGION: &str = "here";
const ZONE: &str = "here-a";
/// The servers: cluster, name, zone.
const SERVERS: [(&str, &str, &str); 4] = [
    ("west", "west-near", ZONE),
    ("west", "west-twin", ZONE),
    ("west", "west-far", "here-b"),
    ("east", "east-one", "there-a"),
];
const WEST: [&str; 3] = ["west-near", "west-twin", "west-far"];
/// Those of the callers' zone.
const ZONED: [&str; 2] = ["west-near", "west-twin"];
const EAST: [&str; 1] = ["east-one"];
/// Calls that are looked at once a change is over: so many have to be right, and in three times as many all that is there has
/// been reached.
const SETTLED: usize = 20;
/// Between two calls of a caller: there are two of them.
const PAUSE_MS: u32 = 50;

/// Everything, dropped from the top down.
struct Traffic<'a> {
    envoyed: Caller,
    direct: Caller,
    envoy: Envoy,
    /// What Envoy knows the service by.
    cluster: String,
    _controller: Controller,
    servers: Vec<Server>,
    /// What has been reached of each caller: the direct one first.
    settled: [Vec<Settled>; 2],
    pair: &'a mut Pair,
}

/// From when on a caller was answered by these servers and nobody else, and until when nothing was about to change that.
struct Settled {
    from: u64,
    until: u64,
    by: Vec<&'static str>,
}

/// Whether a caller that tries nothing again may lose calls meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Losses {
    None,
    Some,
}

pub(crate) fn run(pair: &mut Pair) -> Result<()> {
    let mut traffic = Traffic::start(pair)?;
    traffic.come_to(&ZONED, &[], Losses::Some, "at first, its own zone")?;
    traffic.kill(&ZONED)?;
    traffic.come_to(&["west-far"], &ZONED, Losses::Some, "its zone has failed")?;
    traffic.kill(&["west-far"])?;
    traffic.come_to(&EAST, &WEST, Losses::Some, "its cluster's servers have failed")?;
    traffic.revive(&WEST)?;
    traffic.come_to(&ZONED, &[], Losses::None, "they are back")?;
    traffic.register("west", true)?;
    traffic.come_to(&EAST, &WEST, Losses::None, "its cluster is drained")?;
    traffic.register("west", false)?;
    traffic.come_to(&ZONED, &[], Losses::None, "its cluster is taken up again")?;
    traffic.other_cluster_dies()?;
    traffic.judge()
}

impl<'a> Traffic<'a> {
    fn start(pair: &'a mut Pair) -> Result<Self> {
        let folder = pair.folder();
        let ip = outside_address(0, IpAddr::is_ipv4)?;
        let server =
            |(_, name, _): &(&str, &str, &str)| Server::start(name, SocketAddr::new(ip, net::free_port()?), folder);
        let servers = SERVERS.iter().map(server).collect::<Result<Vec<_>>>()?;
        // A replica whose stream is for everybody: what the callers are about is calls.
        let flags = ["--cluster-id", "west", "--readers", "anyone"];
        let mut controller =
            Controller::start(&pair.binaries, &pair.west.installation, "controller-open", folder, &flags)?;
        controller.wait_ready()?;
        for cluster in pair.both() {
            let object = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": SERVICE, "namespace": NAMESPACE },
                "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] },
            });
            cluster.kubectl.apply(&object.to_string())?;
            register(cluster, &servers, false)?;
            cluster.export(NAMESPACE, SERVICE)?;
        }
        for cluster in pair.both() {
            import(cluster, SERVICE, |import| {
                import["status"]["clusters"].as_array().is_some_and(|all| all.len() == 2)
            })?;
        }
        let name = format!("{SERVICE}.{NAMESPACE}.clusterset:http");
        let seat = Seat { region: REGION, zone: ZONE };
        let targets = [(SERVICE.to_owned(), format!("xds:///{name}"))];
        let direct =
            Caller::start(Family::Grpcio, "clusterset-grpcio", (controller.grpc, seat), PAUSE_MS, &targets, folder)?;
        let node = json!({ "id": "clusterset-envoy", "locality": { "region": REGION, "zone": ZONE } });
        // By the wildcard Envoy is given the derived Service alone.
        let import = import(&pair.west, SERVICE, |import| !import["metadata"]["annotations"][DERIVED].is_null())?;
        let derived = import["metadata"]["annotations"][DERIVED].as_str().context("a name")?;
        let cluster = format!("{derived}.{NAMESPACE}:http");
        let routes = [Route { prefix: "/calls".into(), cluster: cluster.clone() }];
        let variant = Variant { retries: Retries::Many, ..Variant::default() };
        let envoy = Envoy::start_as(variant, &node, &[controller.grpc], &routes, folder)?;
        let targets = [(SERVICE.to_owned(), format!("http://{}/calls", envoy.listener))];
        let envoyed = Caller::start_http("clusterset-envoyed", PAUSE_MS, &targets, folder)?;
        let settled = [Vec::new(), Vec::new()];
        Ok(Self { envoyed, direct, envoy, cluster, _controller: controller, servers, settled, pair })
    }

    /// What is about to change need not hold any more.
    fn release(&mut self) {
        let now = clock::unix_ms();
        let standing = self.settled.iter_mut().flatten().filter(|settled| settled.until == u64::MAX);
        standing.for_each(|settled| settled.until = now);
    }

    fn kill(&mut self, names: &[&str]) -> Result<()> {
        self.release();
        self.of(names).try_for_each(Process::kill)
    }

    fn revive(&mut self, names: &[&str]) -> Result<()> {
        self.release();
        self.of(names).try_for_each(Process::start)
    }

    fn of(&mut self, names: &[&str]) -> impl Iterator<Item = &mut Process> {
        let named = self.servers.iter_mut().zip(&SERVERS).filter(move |(_, (_, name, _))| names.contains(name));
        named.map(|(server, _)| &mut server.process)
    }

    /// All of east at once, while it carries what one server of two cannot: its server, its Rollcall, its control plane. The west
    /// hears of it by its silence alone.
    fn other_cluster_dies(&mut self) -> Result<()> {
        // Suspect before it is expired, and not for long.
        self.pair.expire_after("11s")?;
        let kept = line::kept(self.pair)?;
        self.kill(&["west-twin", "west-far"])?;
        let both = ["west-near", "east-one"];
        self.come_to(&both, &["west-twin", "west-far"], Losses::Some, "the other cluster carries a part")?;
        self.kill(&EAST)?;
        self.pair.east.kill()?;
        self.come_to(&["west-near"], &[], Losses::Some, "the other cluster is dead")?;
        line::expires(self.pair, &kept)?;
        self.come_to(&["west-near"], &EAST, Losses::None, "and has been for so long that it is taken out")?;
        self.revive(&EAST)?;
        self.pair.east.start_again()?;
        self.come_to(&both, &[], Losses::None, "it is back")?;
        self.revive(&["west-twin", "west-far"])?;
        self.come_to(&ZONED, &[], Losses::None, "all are there")?;
        line::comes_back(self.pair, &kept)?;
        self.pair.east.await_link("west", "Connected")?;
        self.pair.expire_after("15m")
    }

    fn register(&mut self, cluster: &str, out: bool) -> Result<()> {
        self.release();
        let cluster = self.pair.both().into_iter().find(|its| its.id == cluster).context("there is such a cluster")?;
        register(cluster, &self.servers, out)
    }

    /// Waits until the last calls of each caller were all answered by these servers; of what they lost on the way there.
    fn come_to(&mut self, expected: &[&'static str], out: &[&str], losses: Losses, when: &str) -> Result<()> {
        let begun = clock::unix_ms();
        let callers = [("grpcio", &mut self.direct), ("through Envoy", &mut self.envoyed)];
        for ((who, caller), settled) in callers.into_iter().zip(&mut self.settled) {
            let seen = clock::wait_until(&format!("{when}: {who} to be answered by {expected:?}"), BOUND, || {
                let calls = caller.calls()?;
                let since = calls.iter().filter(|call| call.at >= begun).count();
                let last = &calls[calls.len().saturating_sub(SETTLED)..];
                let right = |call: &Call| call.backend.as_deref().is_some_and(|by| expected.contains(&by));
                ensure!(since >= SETTLED && last.iter().all(right), "{:?}", calls.last());
                let of_late = &calls[calls.len().saturating_sub(since.min(3 * SETTLED))..];
                let reached = |name: &&&str| of_late.iter().any(|call| call.backend.as_deref() == Some(**name));
                let missing: Vec<_> = expected.iter().filter(|name| !reached(name)).collect();
                ensure!(missing.is_empty(), "no call reaches {missing:?}");
                Ok(Some(calls.iter().filter(|call| call.at >= begun).cloned().collect::<Vec<_>>()))
            })?;
            let lost = seen.iter().filter(|call| call.error.is_some()).count();
            println!("    {when}: {who}: {} calls, {lost} lost", seen.len());
            settled.push(Settled { from: clock::unix_ms(), until: u64::MAX, by: expected.to_vec() });
            if losses == Losses::None && lost > 0 {
                bail!("{when}: {who} lost {lost} calls: {:?}", seen.iter().find(|call| call.error.is_some()));
            }
        }
        // Whoever is dead or out is none of its hosts, by now at the latest.
        let hosts = self.envoy.healthy(&self.cluster)?;
        let all = self.servers.iter().zip(&SERVERS).map(|(server, (_, name, _))| (server.address.to_string(), *name));
        let all: BTreeMap<_, _> = all.collect();
        let named: BTreeSet<_> = hosts.iter().filter_map(|host| all.get(host).copied()).collect();
        ensure!(
            out.iter().all(|name| !named.contains(name)),
            "{when}: Envoy still has {named:?}, though {out:?} are out"
        );
        Ok(())
    }

    /// Once a change had come through no call went elsewhere and none was lost; whoever tries again has lost nothing at all.
    fn judge(mut self) -> Result<()> {
        self.release();
        for ((who, caller), settled) in
            [("grpcio", &mut self.direct), ("through Envoy", &mut self.envoyed)].into_iter().zip(&self.settled)
        {
            let strays = strays(caller.calls()?, settled);
            ensure!(
                strays.is_empty(),
                "{who} called others than it had to, or lost calls, once it had settled: {strays:?}"
            );
        }
        let calls = self.envoyed.calls()?;
        let lost: Vec<_> = calls.iter().filter(|call| call.error.is_some()).collect();
        println!("    through Envoy, which tries again: {} calls, {} lost", calls.len(), lost.len());
        // Before it had its first cluster there was nothing to try.
        let first = calls.iter().position(|call| call.backend.is_some()).unwrap_or(calls.len());
        let late: Vec<_> = calls[first..].iter().filter(|call| call.error.is_some()).collect();
        ensure!(late.is_empty(), "lost by who tries again: {late:?}");
        for cluster in self.pair.both() {
            for kind in ["serviceexport", "serviceregistration", "service"] {
                cluster.kubectl.run(&["delete", kind, SERVICE, "--namespace", NAMESPACE])?;
            }
        }
        Ok(())
    }
}

/// Calls that began and ended while nothing changed, and were not answered by those who had to.
fn strays<'a>(calls: &'a [Call], settled: &[Settled]) -> Vec<&'a Call> {
    let wrong = |call: &&Call, settled: &Settled| {
        let within = call.at >= settled.from && call.at + call.took < settled.until;
        within && !call.backend.as_deref().is_some_and(|by| settled.by.contains(&by))
    };
    calls.iter().filter(|call| settled.iter().any(|settled| wrong(call, settled))).collect()
}

/// The servers of a cluster as machines outside of it, that are probed; taken out, if they are to be drained.
fn register(cluster: &Cluster, servers: &[Server], out: bool) -> Result<()> {
    let its = SERVERS.iter().zip(servers).filter(|((of, ..), _)| *of == cluster.id);
    let endpoints: Vec<Value> = its
        .map(|((_, name, zone), server)| {
            let mut endpoint = json!({
                "name": name, "addresses": [server.address.ip()], "zone": zone,
                "ports": [{ "name": "http", "port": server.address.port() }],
            });
            if out {
                endpoint["maintenance"] = json!({ "reason": "drained" });
            }
            endpoint
        })
        .collect();
    let object = json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
        "metadata": { "name": SERVICE, "namespace": NAMESPACE },
        "spec": {
            "service": SERVICE, "ports": [{ "name": "http", "port": 8080 }], "endpoints": endpoints,
            "checks": [{ "name": "open", "tcp": {}, "interval": "1s", "timeout": "1s" }],
        },
    });
    cluster.kubectl.apply(&object.to_string()).map(drop)
}
