//! One link: from its Secret over the stream to the catalog.
//!
//! A change of addresses, Secret or import makes the new stream before it ends the old one: what was taken in stays until all
//! that the other cluster exports has come by the new one, and then only the difference is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use rollcall_catalog::Input;
use rollcall_catalog::input::{Contribution, Origin, OriginKind, Place};
use rollcall_catalog::model::{Endpoint, HealthSource, Name, ServiceKey};
use rollcall_catalog::source::{SourceId, SourceKind};
use rollcall_crds::{ClusterLinkSpec, LinkCounts, LinkState};
use tokio::sync::{Notify, watch};

use super::dial::{Dial, Way};
use super::heard::{Heard, Wanted};
use super::machine::{Machine, Patience, Standing};
use super::report::Reports;
use super::restored::Restored;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Message};

mod secret;

/// What every link needs.
#[derive(Clone)]
pub struct Surroundings {
    /// This cluster's id.
    pub me: Name,
    /// Where Secrets are.
    pub namespace: String,
    /// Reads them.
    pub client: Client,
    /// The catalog's writer.
    pub inbox: Inbox,
    /// Time.
    pub clock: Clock,
    /// What an earlier process imported.
    pub restored: Restored,
    /// Who tells how links are.
    pub reports: Reports,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("me", &self.me).finish_non_exhaustive()
    }
}

/// A link as it runs.
pub struct Link {
    name: Name,
    spec: watch::Receiver<Arc<ClusterLinkSpec>>,
    surroundings: Surroundings,
    news: Arc<Notify>,
    machine: Machine,
    /// The stream that the catalog is told of, and the one that will take its place.
    line: Option<Line>,
    next: Option<Line>,
    /// What the catalog has been told, as if the cluster were heard.
    told: BTreeMap<ServiceKey, Contribution>,
    standing: Standing,
    heard_ms: Option<i64>,
    state: LinkState,
    since_ms: i64,
    /// Why it cannot be dialled.
    unusable: Option<String>,
    read_ms: Option<u64>,
}

struct Line {
    way: Way,
    dial: Dial,
}

/// How often a link looks at its time by itself.
const TICK: Duration = Duration::from_secs(1);
/// How often its Secret is read again: while it is good, and while it is not.
const SECRET_MS: u64 = 30_000;
const SECRET_RETRY_MS: u64 = 5_000;
/// What a link takes in at most where it does not say.
const SERVICES_MAX: u32 = 10_000;
const ENDPOINTS_MAX: u32 = 100_000;

/// By what the catalog knows a service of another cluster.
pub fn origin(cluster: &Name, service: &ServiceKey) -> Arc<Origin> {
    Arc::new(Origin {
        kind: OriginKind::Import,
        place: Place::Cluster(Name::clone(cluster)),
        namespace: Name::clone(&service.namespace),
        name: Name::clone(&service.name),
    })
}

// === impl Link ===

impl Link {
    /// A link that follows `spec` until its sender is dropped.
    pub fn new(name: Name, spec: watch::Receiver<Arc<ClusterLinkSpec>>, surroundings: Surroundings) -> Self {
        let told = surroundings.restored.take(&name);
        let patience = Patience::of(spec.borrow().when_silent.as_ref());
        let now = surroundings.clock.now();
        Self {
            machine: Machine::new(patience, !told.is_empty(), now.mono_ms),
            name,
            spec,
            surroundings,
            news: Arc::default(),
            line: None,
            next: None,
            told,
            standing: Standing::Fresh,
            heard_ms: None,
            state: LinkState::Connecting,
            since_ms: now.wall_ms,
            unusable: None,
            read_ms: None,
        }
    }

    /// Runs until the link is removed; then all that it brought goes at once.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        let news = Arc::clone(&self.news);
        loop {
            tokio::select! {
                changed = self.spec.changed() => match changed {
                    Ok(()) => self.read_ms = None,
                    Err(_) => break,
                },
                () = news.notified() => {}
                _ = ticks.tick() => {}
            }
            self.machine.allow(Patience::of(self.spec.borrow_and_update().when_silent.as_ref()));
            self.find_way().await;
            self.turn_over().await;
            self.take_in().await;
            self.look_at_time().await;
            self.report();
        }
        let all: Vec<_> = self.told.keys().cloned().collect();
        for key in all {
            self.say(&key, None).await;
        }
        self.surroundings.reports.forget(&self.name);
    }

    /// Reads the Secret when it is time, and dials where what it says or the link says is new.
    async fn find_way(&mut self) {
        let now_ms = self.surroundings.clock.monotonic_ms();
        let pause_ms = if self.unusable.is_some() { SECRET_RETRY_MS } else { SECRET_MS };
        if self.read_ms.is_some_and(|read_ms| now_ms < read_ms.saturating_add(pause_ms)) {
            return;
        }
        self.read_ms = Some(now_ms);
        let spec = Arc::clone(&self.spec.borrow());
        let Surroundings { client, namespace, .. } = &self.surroundings;
        match secret::read(client, namespace, &spec.secret_name).await {
            Ok((token, ca)) => {
                let way = Way {
                    addresses: spec.addresses.clone(),
                    server_name: spec.server_name.clone(),
                    ca,
                    token,
                    wanted: self.wanted(&spec),
                };
                self.unusable = None;
                self.go(way);
            }
            // What was good goes on: a Secret that cannot be read takes nothing away.
            Err(words) => self.unusable = Some(words),
        }
    }

    fn wanted(&self, spec: &ClusterLinkSpec) -> Wanted {
        let namespaces = &spec.import.namespaces;
        let all = namespaces.iter().any(|namespace| namespace == "*");
        let limit = |limit: Option<u32>, default: u32| limit.unwrap_or(default) as usize;
        let limits = spec.limits.clone().unwrap_or_default();
        Wanted {
            cluster: Name::clone(&self.name),
            me: Name::clone(&self.surroundings.me),
            namespaces: (!all).then(|| namespaces.iter().map(|namespace| Name::from(&**namespace)).collect()),
            services_max: limit(limits.services, SERVICES_MAX),
            endpoints_max: limit(limits.endpoints, ENDPOINTS_MAX),
        }
    }

    fn go(&mut self, way: Way) {
        let goes = [&self.next, &self.line].into_iter().flatten().next().is_some_and(|line| line.way == way);
        if goes {
            return;
        }
        if self.line.as_ref().is_some_and(|line| line.way == way) {
            self.next = None; // back to what it was
            return;
        }
        let dial = Dial::new(&way, &self.surroundings.me, Arc::clone(&self.news));
        self.next = Some(Line { way, dial });
    }

    /// The new stream takes the place of the old one once all has come by it.
    async fn turn_over(&mut self) {
        if !self.next.as_ref().is_some_and(|next| next.dial.heard().complete) {
            return;
        }
        self.line = self.next.take();
        let Some(line) = &self.line else { return };
        let mut keys = {
            let mut heard = line.dial.heard();
            heard.changed.clear();
            heard.keys()
        };
        keys.extend(self.told.keys().cloned());
        for key in keys {
            self.take_in_one(&key).await;
        }
    }

    /// Hands on what changed.
    async fn take_in(&mut self) {
        let Some(line) = &self.line else { return };
        let (changed, beats) = {
            let mut heard = line.dial.heard();
            (std::mem::take(&mut heard.changed), std::mem::take(&mut heard.beats))
        };
        if beats > 0 {
            let now = self.surroundings.clock.now();
            self.machine.heard(now.mono_ms);
            self.heard_ms = Some(now.wall_ms);
            let source = SourceId::of(SourceKind::Clusters, Name::clone(&self.name));
            self.surroundings.inbox.send(Message::Say(Input::Contact(source, now.mono_ms))).await;
        }
        for key in changed {
            self.take_in_one(&key).await;
        }
    }

    async fn take_in_one(&mut self, key: &ServiceKey) {
        let now = self.line.as_ref().and_then(|line| self.contribution(key, &line.dial.heard()));
        if now.as_ref() != self.told.get(key) {
            self.say(key, now).await;
        }
    }

    fn contribution(&self, key: &ServiceKey, heard: &Heard) -> Option<Contribution> {
        let (said, endpoints) = heard.service(key)?;
        Some(Contribution {
            created: said.created,
            ports: Arc::clone(&said.ports),
            endpoints,
            ..Contribution::new(origin(&self.name, key), key.clone())
        })
    }

    /// Tells the catalog what is said of a service, as the link stands.
    async fn say(&mut self, key: &ServiceKey, now: Option<Contribution>) {
        let input = match (&now, self.standing) {
            (None, _) | (Some(_), Standing::Gone) => Input::Gone(origin(&self.name, key)),
            (Some(now), Standing::Fresh) => Input::Contribution(now.clone()),
            (Some(now), Standing::Suspect) => Input::Contribution(suspect(now, self.since_ms)),
        };
        match now {
            Some(now) => _ = self.told.insert(key.clone(), now),
            None => _ = self.told.remove(key),
        }
        self.surroundings.inbox.send(Message::Say(input)).await;
    }

    /// What the time makes of it; where it stands otherwise, all is told anew.
    async fn look_at_time(&mut self) {
        let now = self.surroundings.clock.now();
        self.machine.advance(now.mono_ms);
        let (state, standing) = (self.machine.state(), self.machine.standing());
        if state != self.state {
            tracing::info!(link = %self.name, from = %self.state, to = %state, "a link is in another state");
            (self.state, self.since_ms) = (state, now.wall_ms);
        }
        if standing == self.standing {
            return;
        }
        self.standing = standing;
        let all: Vec<_> = self.told.iter().map(|(key, said)| (key.clone(), said.clone())).collect();
        for (key, said) in all {
            self.say(&key, Some(said)).await;
        }
    }

    fn report(&self) {
        let total = LinkCounts {
            services: number(self.told.len()),
            endpoints: number(self.told.values().map(|said| said.endpoints.len()).sum()),
        };
        let (imported, expired) = match self.standing {
            Standing::Fresh | Standing::Suspect => (total, LinkCounts::default()),
            Standing::Gone => (LinkCounts::default(), total),
        };
        let mut problems: Vec<String> = self.unusable.iter().cloned().collect();
        let (mut held_back, mut address) = (LinkCounts::default(), String::new());
        for line in [&self.next, &self.line].into_iter().flatten() {
            let heard = line.dial.heard();
            problems.extend(heard.trouble.iter().chain(&heard.refused).map(|words| cut(words)));
            if heard.is_full() {
                problems.push(format!(
                    "it exports more than this link takes in ({} services, {} endpoints); raise spec.limits, or import fewer namespaces",
                    line.way.wanted.services_max, line.way.wanted.endpoints_max
                ));
            }
            (held_back, address) = (heard.held_back(), heard.address.trim_start_matches("https://").to_owned());
        }
        if self.machine.state() == LinkState::Connecting && problems.is_empty() {
            problems.push("not heard yet".to_owned());
        }
        self.surroundings.reports.change(&self.name, |report| {
            (report.state, report.since_ms, report.heard_ms) = (self.machine.state(), self.since_ms, self.heard_ms);
            (report.imported, report.held_back, report.expired) = (imported, held_back, expired);
            (report.address, report.problems) = (address, problems);
        });
    }
}

/// The same, to be called last.
fn suspect(said: &Contribution, since_ms: i64) -> Contribution {
    let last = |endpoint: &Arc<Endpoint>| match &endpoint.health_source {
        HealthSource::Imported { health, .. } => Arc::new(Endpoint {
            health_source: HealthSource::Imported { health: *health, suspect_since_ms: Some(since_ms) },
            ..Endpoint::clone(endpoint)
        }),
        _ => Arc::clone(endpoint),
    };
    Contribution { endpoints: said.endpoints.iter().map(last).collect(), ..said.clone() }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Foreign words, as long as a status has room for.
fn cut(words: &str) -> String {
    words.chars().filter(|char| !char.is_control()).take(512).collect()
}
