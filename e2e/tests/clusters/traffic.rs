//! Calls by the clusterset's name while a zone and a cluster fail, and while a cluster is drained: a gRPC client that tries nothing
//! again, and an Envoy that does. Every call is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::envoy::{Envoy, Retries, Route, Variant};
use rollcall_e2e::linked::Cluster;
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::xds_client::{Call, Caller, Family, Seat, Server};
use rollcall_e2e::{clock, net};
use serde_json::{Value, json};

use crate::pair::{NAMESPACE, Pair, import};
use crate::support::BOUND;
use crate::support::shop::outside_address;

const SERVICE: &str = "calls";
const DERIVED: &str = "multicluster.kubernetes.io/derived-service";
const REGION: &str = "here";
const ZONE: &str = "here-a";
/// The servers: cluster, name, zone.
const SERVERS: [(&str, &str, &str); 3] =
    [("west", "west-near", ZONE), ("west", "west-far", "here-b"), ("east", "east-one", "there-a")];
/// Calls that are looked at once a change is over.
const SETTLED: usize = 20;

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
    pair: &'a Pair,
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
    traffic.come_to(&["west-near"], &[], Losses::Some, "at first, its own zone")?;
    traffic.kill(0)?;
    traffic.come_to(&["west-far"], &["west-near"], Losses::Some, "its zone has failed")?;
    traffic.kill(1)?;
    traffic.come_to(&["east-one"], &["west-near", "west-far"], Losses::Some, "its cluster has failed")?;
    traffic.release();
    traffic.servers[0].process.start()?;
    traffic.servers[1].process.start()?;
    traffic.come_to(&["west-near"], &[], Losses::None, "its cluster is back")?;
    traffic.register("west", true)?;
    traffic.come_to(&["east-one"], &["west-near", "west-far"], Losses::None, "its cluster is drained")?;
    traffic.register("west", false)?;
    traffic.come_to(&["west-near"], &[], Losses::None, "its cluster is taken up again")?;
    traffic.judge()
}

impl<'a> Traffic<'a> {
    fn start(pair: &'a Pair) -> Result<Self> {
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
        let direct = Caller::start(Family::Grpcio, "clusterset-grpcio", controller.grpc, seat, &targets, folder)?;
        let node = json!({ "id": "clusterset-envoy", "locality": { "region": REGION, "zone": ZONE } });
        // By the wildcard Envoy is given the derived Service alone.
        let import = import(&pair.west, SERVICE, |import| !import["metadata"]["annotations"][DERIVED].is_null())?;
        let derived = import["metadata"]["annotations"][DERIVED].as_str().context("a name")?;
        let cluster = format!("{derived}.{NAMESPACE}:http");
        let routes = [Route { prefix: "/calls".into(), cluster: cluster.clone() }];
        let variant = Variant { retries: Retries::Many, ..Variant::default() };
        let envoy = Envoy::start_as(variant, &node, &[controller.grpc], &routes, folder)?;
        let targets = [(SERVICE.to_owned(), format!("http://{}/calls", envoy.listener))];
        let envoyed = Caller::start_http("clusterset-envoyed", &targets, folder)?;
        let settled = [Vec::new(), Vec::new()];
        Ok(Self { envoyed, direct, envoy, cluster, _controller: controller, servers, settled, pair })
    }

    /// What is about to change need not hold any more.
    fn release(&mut self) {
        let now = clock::unix_ms();
        self.settled.iter_mut().filter_map(|all| all.last_mut()).for_each(|last| last.until = now);
    }

    fn kill(&mut self, server: usize) -> Result<()> {
        self.release();
        self.servers[server].process.kill()
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
