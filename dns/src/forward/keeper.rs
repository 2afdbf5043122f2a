//! Keeps the servers up to date: files read again, looks at servers that failed, loops found.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use rollcall_admin::Gate;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::TRY_TIMEOUT;
use super::exchange::{self, Failure};
use super::message::{Asked, Flags};
use super::proof::Proof;
use super::resolv_conf::ResolvConf;
use super::target::{Server, Target, is_own};
use super::upstreams::{Look, Seen, Standing, UPSTREAMS_MAX, Upstream, Upstreams};
use crate::metrics::Metrics;

/// Between two looks at files and servers.
const TICK: Duration = Duration::from_millis(500);
/// Files are read at each of these ticks.
const TICKS_PER_READ: u32 = 10;

/// The configuration, and what was made of it.
#[derive(Debug)]
pub struct Keeper {
    targets: Vec<Target>,
    listen: Vec<SocketAddr>,
    upstreams: Arc<Upstreams>,
    metrics: Arc<Metrics>,
    /// Opens with the first server that can be asked and stays open; names of the cluster are answered in any case.
    gate: Option<Gate>,
    opened: bool,
    /// What was last said about the files, so that it is said once.
    said: Vec<String>,
}

/// What the targets come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Resolved {
    servers: Vec<Server>,
    /// What is wrong with the rest, and what to do.
    faults: Vec<String>,
}

// === impl Keeper ===

impl Keeper {
    /// A keeper of `upstreams`; without a gate, of those of a stub domain, which nobody waits for. `listen` are the addresses that must not be among them.
    pub fn new(
        targets: Vec<Target>,
        listen: Vec<SocketAddr>,
        upstreams: Arc<Upstreams>,
        metrics: Arc<Metrics>,
        gate: Option<Gate>,
    ) -> Self {
        let gate =
            gate.inspect(|gate| gate.close("asking the servers that questions are forwarded to for the first time"));
        Self { targets, listen, upstreams, metrics, gate, opened: false, said: Vec::new() }
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = 0_u32;
        loop {
            if ticks.is_multiple_of(TICKS_PER_READ) {
                self.read();
            }
            ticks = ticks.wrapping_add(1);
            self.check();
            self.report();
            if stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_none() {
                return;
            }
        }
    }

    /// Takes over what the files say now. One that cannot be read, or names no server, changes nothing.
    fn read(&mut self) {
        let resolved = resolve(&self.targets, &self.listen);
        let held: Vec<_> = self.upstreams.all().iter().map(|upstream| upstream.server().clone()).collect();
        if !resolved.servers.is_empty() && resolved.servers != held {
            let names: Vec<_> = resolved.servers.iter().map(Server::to_string).collect();
            tracing::info!(upstreams = ?names, "forwarding names outside of the cluster");
            self.upstreams.set(&resolved.servers);
        }
        if resolved.faults != self.said {
            resolved.faults.iter().for_each(|fault| tracing::warn!("{fault}"));
            self.said = resolved.faults;
        }
    }

    /// Begins the looks that are due. Each is one question that only we ask: the answer shows that the server is there,
    /// the question's return that it leads back.
    fn check(&self) {
        let now = Instant::now();
        for upstream in self.upstreams.all().iter() {
            let Some(look) = upstream.begin_check(now) else { continue };
            let (upstreams, upstream) = (Arc::clone(&self.upstreams), Arc::clone(upstream));
            tokio::spawn(async move {
                let seen = take(look, &upstreams, &upstream).await;
                let (before, after) = upstream.end_check(look, seen);
                if before != after && after == Standing::Usable {
                    upstreams.came_back();
                }
                log(upstream.addr, (before, after));
            });
        }
    }

    fn report(&mut self) {
        let Some(gate) = &self.gate else { return };
        let count = self.upstreams.count();
        self.metrics.forward.upstreams(&count);
        if self.opened {
            return;
        }
        let of = |standing| count.get(&standing).copied().unwrap_or(0);
        if of(Standing::Usable) + of(Standing::HeldDown) > 0 {
            self.opened = true;
            gate.open();
        } else if of(Standing::Looping) > 0 && of(Standing::Unchecked) == 0 {
            gate.close_for("ForwardingLoop", loop_text(&self.upstreams));
        } else if !self.said.is_empty() {
            gate.close_for("NothingToForwardTo", self.said.join("; "));
        }
    }
}

/// The addresses that targets stand for, in their order, each once.
fn resolve(targets: &[Target], listen: &[SocketAddr]) -> Resolved {
    let mut resolved = Resolved::default();
    for target in targets {
        match target {
            Target::Server(server) => resolved.add(server.clone(), listen, "--forward"),
            Target::ResolvConf(path) => match std::fs::read_to_string(path) {
                Ok(text) => resolved.add_file(&ResolvConf::parse(&text), listen, &path.display().to_string()),
                Err(error) => resolved.faults.push(format!(
                    "cannot read {}: {error}; mount a resolv.conf there or give --forward an address",
                    path.display()
                )),
            },
        }
    }
    resolved
}

// === impl Resolved ===

impl Resolved {
    fn add_file(&mut self, file: &ResolvConf, listen: &[SocketAddr], path: &str) {
        self.faults.extend(file.unread.iter().map(|line| {
            format!("{path}: {line:?} names no address that can be used; give an IP address, with its interface if it is link-local")
        }));
        if file.servers.is_empty() {
            self.faults.push(format!("{path} names no server; add a line like \"nameserver 192.0.2.53\""));
        }
        file.servers.iter().for_each(|address| self.add((*address).into(), listen, path));
    }

    fn add(&mut self, server: Server, listen: &[SocketAddr], place: &str) {
        let address = server.addr;
        if is_own(address, listen) {
            self.faults.push(format!(
                "{place} names {address}, which is this server itself; give --forward a resolver outside of the cluster"
            ));
        } else if self.servers.len() == UPSTREAMS_MAX {
            self.faults.push(format!("{place}: {address} is left out: {UPSTREAMS_MAX} servers are the most"));
        } else if !self.servers.contains(&server) {
            self.servers.push(server);
        }
    }
}

/// Without RD a resolver answers at once with what it has and asks nobody, while a forwarder like this one passes it on.
/// With RD resolvers pass it on as well; one that cannot reach the root's servers is silent then, and is there all the
/// same: a thorough look asks both ways.
async fn take(look: Look, upstreams: &Upstreams, upstream: &Upstream) -> Seen {
    match look {
        Look::Routine => ask(upstreams, upstream, false).await,
        Look::Thorough => match tokio::join!(ask(upstreams, upstream, true), ask(upstreams, upstream, false)) {
            (Seen::Silent, Seen::Silent) => Seen::Silent,
            (Seen::Answered, _) | (_, Seen::Answered) => Seen::Answered,
        },
    }
}

async fn ask(upstreams: &Upstreams, upstream: &Upstream, recursion_desired: bool) -> Seen {
    let flags = Flags { recursion_desired, ..Flags::default() };
    let asked = Asked::plain(&upstreams.ids, &upstream.own_question, RecordType::A, flags);
    let deadline = Instant::now() + TRY_TIMEOUT;
    let answer = match &upstream.channel {
        Some(channel) => channel.ask(&asked, deadline).await,
        // Whether it keeps the case of letters is seen before it is asked for anybody.
        None => {
            let asked = asked.proven_by(Proof { mixed_case: true, cookie: None }, &upstreams.ids);
            match exchange::udp(upstream.addr, &asked, deadline, || {}).await {
                Err(Failure::Doubtful) => {
                    upstream.bears.changes_case();
                    return Seen::Answered;
                }
                answer => answer,
            }
        }
    };
    match answer {
        Ok(_) => Seen::Answered,
        Err(
            Failure::Silent
            | Failure::Unreachable
            | Failure::Malformed
            | Failure::NoEdns
            | Failure::NoSocket
            | Failure::Doubtful,
        ) => Seen::Silent,
    }
}

fn log(upstream: SocketAddr, (before, after): (Standing, Standing)) {
    match after {
        _ if before == after => {}
        Standing::Usable => tracing::info!(%upstream, "answers"),
        Standing::HeldDown => tracing::warn!(%upstream, "does not answer; held down until it does"),
        Standing::Looping => tracing::warn!(
            %upstream,
            "leads back to this server and is not asked; give --forward a resolver outside of the cluster"
        ),
        Standing::Unchecked => {}
    }
}

fn loop_text(upstreams: &Upstreams) -> String {
    let all: Vec<_> = upstreams.all().iter().map(|upstream| upstream.addr.to_string()).collect();
    format!(
        "questions forwarded to {} come back to this server; give --forward a resolver outside of the cluster, not the \
         address of the cluster's DNS Service",
        all.join(", ")
    )
}

/// Refuses addresses of this server's own that were given one by one: no change elsewhere could mend that.
pub fn refuse_own(targets: &[Target], listen: &[SocketAddr]) -> Result<(), OwnAddress> {
    let own = targets.iter().find_map(|target| match target {
        Target::Server(server) => is_own(server.addr, listen).then_some(server.addr),
        Target::ResolvConf(_) => None,
    });
    own.map_or(Ok(()), |address| Err(OwnAddress(address)))
}

/// A server that was told to ask itself.
#[derive(Debug, thiserror::Error)]
#[error("--forward {0} is an address of this server; give the address of a resolver outside of the cluster")]
pub struct OwnAddress(SocketAddr);

#[cfg(test)]
mod tests;
