//! One link: from its Secret over the stream to the catalog.
//!
//! A change of addresses, profile, Secret or import makes the new stream before it ends the old one: what was taken in stays until all
//! that the other cluster exports has come by the new one, and then only the difference is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use rollcall_catalog::Input;
use rollcall_catalog::clusterset;
use rollcall_catalog::input::{Contribution, Origin, OriginKind, Place, Silence};
use rollcall_catalog::model::{Description, Endpoint, HealthSource, Name, ServiceKey};
use rollcall_catalog::source::{SourceId, SourceKind};
use rollcall_crds::{ClusterLinkSpec, LinkState};
use tokio::sync::{Notify, watch};

use super::hall::Hall;
use super::heard::{Heard, Traffic};
use super::machine::{Machine, Patience, Standing};
use super::mcs::offers::{Offer, Offers};
use super::mcs::said::Said;
use super::mcs::union::Export;
use super::namespaces::{Imported, Namespaces};
use super::profiles::{Followed, Profiles};
use super::report::Reports;
use super::restored::Restored;
use super::survey::Survey;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Message, Snapshots};

mod account;
mod line;
mod rate;
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
    /// What came of it.
    pub snapshots: Snapshots,
    /// What an earlier process imported.
    pub restored: Restored,
    /// Who tells how links are.
    pub reports: Reports,
    /// Who makes services across clusters of what they export.
    pub offers: Offers,
    /// What others are told.
    pub hall: Hall,
    /// The namespaces that there are.
    pub namespaces: Namespaces,
    /// The clusters of an inventory.
    pub profiles: Profiles,
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
    line: Option<line::Line>,
    next: Option<line::Line>,
    /// The namespaces of which something is taken in.
    imported: Imported,
    /// The profile that says where the other cluster is, if the link names one.
    profile: Followed,
    /// What the catalog has been told, as if the cluster were heard.
    told: BTreeMap<ServiceKey, Arc<Told>>,
    /// `spec.import.merge`, as it was last looked at.
    merges: bool,
    standing: Standing,
    heard_ms: Option<i64>,
    state: LinkState,
    since_ms: i64,
    /// Why it cannot be dialled.
    unusable: Option<String>,
    read_ms: Option<u64>,
    /// Not before that all is asked for anew.
    anew_ms: u64,
    /// Why what the last stream brought is of no use, when that was given up, and how often.
    wrong: Option<(String, u64)>,
    turns: usize,
    traffic: Traffic,
    rate: rate::Rate,
    /// What became of its endpoints here, and when that was looked at.
    survey: (Survey, u64),
}

/// What is known of one service.
#[derive(PartialEq)]
struct Told {
    said: Contribution,
    /// How it wants to be called; `None` of what an earlier process left.
    manner: Option<Said>,
}

/// How often a link looks at its time by itself.
const TICK: Duration = Duration::from_secs(1);

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
        let (mut told, mut derived) = (BTreeMap::new(), BTreeMap::new());
        for (key, said) in surroundings.restored.take(&name) {
            match clusterset::may_be_derived(&key.name) {
                true => _ = derived.insert(key, said),
                false => _ = told.insert(key, Arc::new(Told { said, manner: None })),
            }
        }
        let kept = !told.is_empty() || !derived.is_empty();
        surroundings.offers.begin(&name, derived);
        let merges = spec.borrow().import.merge.unwrap_or(true);
        let patience = Patience::of(spec.borrow().when_silent.as_ref());
        let now = surroundings.clock.now();
        Self {
            machine: Machine::new(patience, kept, now.mono_ms),
            imported: Imported::new(surroundings.namespaces.clone()),
            profile: Followed::new(surroundings.profiles.clone()),
            merges,
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
            anew_ms: 0,
            wrong: None,
            turns: 0,
            traffic: Traffic::default(),
            rate: rate::Rate::default(),
            survey: (Survey::default(), 0),
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
                () = self.imported.changed() => {}
                () = self.profile.changed() => {}
                _ = ticks.tick() => {}
            }
            self.machine.allow(Patience::of(self.spec.borrow_and_update().when_silent.as_ref()));
            self.look_at_namespaces().await;
            self.look_at_profile();
            self.find_way().await;
            self.turn_away();
            self.fill_up();
            self.turn_over().await;
            self.take_in().await;
            self.look_at_time().await;
            self.report();
        }
        self.surroundings.offers.end(&self.name);
        // Whoever removed it wants all of it gone, whether or not the other cluster can say so.
        self.tell_silence(Silence::Not).await;
        let all: Vec<_> = self.told.keys().cloned().collect();
        for key in all {
            self.say(&key, None).await;
        }
        self.surroundings.reports.put(&self.name, None);
    }

    /// The new stream takes the place of the old one once all has come by it.
    async fn turn_over(&mut self) {
        if !self.next.as_ref().is_some_and(|next| next.dial.heard().complete) {
            return;
        }
        if let Some(before) = self.line.take() {
            self.count(&before);
        }
        (self.line, self.wrong) = (self.next.take(), None);
        let Some(line) = &self.line else { return };
        let mut keys = {
            let mut heard = line.dial.heard();
            heard.take_changed();
            heard.keys()
        };
        keys.extend(self.told.keys().cloned());
        for key in keys {
            self.take_in_one(&key).await;
        }
        self.surroundings.offers.complete(&self.name);
        self.widen();
    }

    /// Hands on what changed.
    async fn take_in(&mut self) {
        let Some(line) = &self.line else { return };
        let (changed, beats) = {
            let mut heard = line.dial.heard();
            (heard.take_changed(), std::mem::take(&mut heard.beats))
        };
        if !changed.is_empty() {
            self.machine.sign(self.surroundings.clock.monotonic_ms());
        }
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
        if now.as_ref() != self.told.get(key).map(|told| &**told) {
            self.say(key, now.map(Arc::new)).await;
        }
    }

    fn contribution(&self, key: &ServiceKey, heard: &Heard) -> Option<Told> {
        let (said, endpoints) = heard.service(key)?;
        let manner = Some(said.manner.clone());
        let said = Contribution {
            created: said.created,
            ports: Arc::clone(&said.ports),
            endpoints,
            ..Contribution::new(origin(&self.name, key), key.clone())
        };
        Some(Told { said, manner })
    }

    /// Tells the catalog what is said of a service, as the link stands.
    async fn say(&mut self, key: &ServiceKey, now: Option<Arc<Told>>) {
        let input = match (&now, self.standing) {
            (None, _) | (Some(_), Standing::Gone) => Input::Gone(origin(&self.name, key)),
            (Some(now), Standing::Fresh) => Input::Contribution(now.said.clone()),
            (Some(now), Standing::Suspect) => Input::Contribution(suspect(&now.said, self.since_ms)),
        };
        self.surroundings.offers.put(&self.name, key, now.as_ref().and_then(|now| self.offer(now, &input)));
        match now {
            Some(now) => _ = self.told.insert(key.clone(), now),
            None => _ = self.told.remove(key),
        }
        let input = if self.merges { input } else { Input::Gone(origin(&self.name, key)) };
        self.surroundings.inbox.send(Message::Say(input)).await;
    }

    /// What services across clusters are told of it: one whose cluster is gone keeps its place and has no endpoints.
    fn offer(&self, now: &Told, said: &Input) -> Option<Offer> {
        let endpoints = match said {
            Input::Contribution(said) => said.endpoints.clone(),
            _ => Arc::default(),
        };
        let export = Export {
            cluster: Name::clone(&self.name),
            created: now.said.created,
            ports: Arc::clone(&now.said.ports),
            said: now.manner.clone()?,
        };
        Some(Offer { export, endpoints })
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
        let merges = self.spec.borrow().import.merge.unwrap_or(true);
        if (standing, merges) == (self.standing, self.merges) {
            return;
        }
        let before = std::mem::replace(&mut self.standing, standing);
        self.merges = merges;
        if standing == Standing::Gone {
            self.surroundings.offers.expire(&self.name);
            self.tell_silence(self.silence()).await;
        }
        let all: Vec<_> = self.told.iter().map(|(key, told)| (key.clone(), Arc::clone(told))).collect();
        for (key, told) in all {
            self.say(&key, Some(told)).await;
        }
        if before == Standing::Gone {
            self.tell_silence(Silence::Not).await;
        }
    }

    /// How silent it is, once its endpoints are taken out for that.
    fn silence(&self) -> Silence {
        Silence::TooLong(self.imported.now().unwrap_or_default())
    }

    /// Tells the catalog whether endpoints go because nothing is heard, which a policy may guard against, or because it is said.
    async fn tell_silence(&self, silence: Silence) {
        self.surroundings.inbox.send(Message::Say(Input::Silent(Name::clone(&self.name), silence))).await;
    }
}

/// The same, to be called last.
fn suspect(said: &Contribution, since_ms: i64) -> Contribution {
    // What many have alike they have alike afterwards.
    let mut known: HashMap<*const Description, Arc<Description>> = HashMap::new();
    let last = |endpoint: &Arc<Endpoint>| match &endpoint.health_source {
        HealthSource::Imported { health, own, .. } => {
            let described = known.entry(Arc::as_ptr(&endpoint.described)).or_insert_with(|| {
                let source = HealthSource::Imported { health: *health, suspect_since_ms: Some(since_ms), own: *own };
                endpoint.with(|described| described.health_source = source).described
            });
            Arc::new(Endpoint { described: Arc::clone(described), addresses: endpoint.addresses })
        }
        _ => Arc::clone(endpoint),
    };
    Contribution { endpoints: said.endpoints.iter().map(last).collect(), ..said.clone() }
}
