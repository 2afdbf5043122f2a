//! Endpoints that are given by a DNS name: resolved here, between the watch and whoever reads registrations.
//!
//! ```text
//!  informer --ServiceRegistration--> Front --> task --the same, with addresses in place of names--> sources::Registrations
//!                                               ^--answers-- ask (the system's name servers)
//!                                               ^--what the replica that asks has found-- the exchange of `replicas`
//! ```
//!
//! One replica asks for a name and tells the others, so that all have the same addresses.
//!
//! Whoever comes after it knows addresses alone: the guard, checks and what is written hold for each of them as for one that
//! stands in the object.
//!
//! - [`expand`]: a registration with its names resolved; [`hosts`]: which names are asked for when, and what is known of them
//! - [`turns`]: which replica asks; [`wire`]: what it tells the others
//! - [`message`]: questions and answers of DNS; [`ask`]: the one part that does I/O

mod ask;
pub mod expand;
pub mod hosts;
mod message;
pub mod turns;
pub mod wire;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use rollcall_catalog::model::Name;
use rollcall_crds::ServiceRegistration;
use rollcall_xds::resource::ResourceType;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info};

use crate::kubernetes::ObjectKey;
use crate::kubernetes::guarded::Bad;
use crate::kubernetes::informer::Handler;
use crate::replicas::{Exchange, Heard, News, Replicas, Roster};
use crate::time::clock::Clock;
use expand::Unresolved;
use hosts::{Answer, Hosts};
use turns::{Course, Turns};

/// Takes registrations from their watch. Clones are the same.
#[derive(Clone, Debug)]
pub struct Front(mpsc::Sender<Event>);

#[derive(Debug)]
enum Event {
    Apply(Box<ServiceRegistration>),
    Delete(ObjectKey),
    Unreadable(Box<Bad>),
    Synced,
}

struct Task<H> {
    inner: H,
    events: mpsc::Receiver<Event>,
    /// Registrations that name hosts, as their watch has them.
    raw: HashMap<ObjectKey, ServiceRegistration>,
    hosts: Hosts,
    asking: JoinSet<(String, Answer)>,
    resolv_conf: PathBuf,
    clock: Clock,
    roster: Roster,
    exchange: Exchange,
    heard: Heard,
    turns: Turns,
    /// Names that others may have been told of.
    told: BTreeSet<String>,
    /// When a name that others should say something of is looked at again.
    look_ms: Option<u64>,
}

/// Events that wait at most.
const QUEUE: usize = 64;
/// Names that are asked for at a time.
const ASKING_MAX: usize = 32;
/// Without a name to ask for, nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// Who is told registrations with addresses.
pub trait Resolved: Send + 'static {
    /// A registration as it is now. `unresolved` has words about endpoints without an address, by name.
    fn take_in(&mut self, registration: ServiceRegistration, unresolved: Unresolved)
    -> impl Future<Output = ()> + Send;
}

/// Puts itself before `inner`; names are asked of the servers in the file `resolv_conf`, each by one of the `replicas`.
pub fn before<H: Handler<ServiceRegistration> + Resolved>(
    inner: H,
    resolv_conf: PathBuf,
    clock: Clock,
    replicas: &Replicas,
) -> Front {
    let (sender, events) = mpsc::channel(QUEUE);
    let (roster, exchange) = (replicas.roster.clone(), replicas.exchange.clone());
    let task = Task {
        inner,
        events,
        raw: HashMap::new(),
        hosts: Hosts::default(),
        asking: JoinSet::new(),
        resolv_conf,
        clock,
        heard: exchange.subscribe(ResourceType::Resolved),
        turns: Turns::new(roster.mine(), roster.standing()),
        roster,
        exchange,
        told: BTreeSet::new(),
        look_ms: None,
    };
    tokio::spawn(task.run());
    Front(sender)
}

// === impl Front ===

impl Handler<ServiceRegistration> for Front {
    async fn apply(&mut self, registration: ServiceRegistration) {
        // Fails during shutdown only.
        let _ = self.0.send(Event::Apply(Box::new(registration))).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        let _ = self.0.send(Event::Delete(gone.clone())).await;
    }

    async fn unreadable(&mut self, bad: Box<Bad>) {
        let _ = self.0.send(Event::Unreadable(bad)).await;
    }

    async fn synced(&mut self) {
        let _ = self.0.send(Event::Synced).await;
    }
}

// === impl Task ===

impl<H: Handler<ServiceRegistration> + Resolved> Task<H> {
    async fn run(mut self) {
        loop {
            self.ask();
            let now_ms = self.clock.monotonic_ms();
            let due = self.hosts.next_ms().filter(|_| self.asking.len() < ASKING_MAX);
            let due = due.into_iter().chain(self.look_ms).min();
            let pause = due.map_or(IDLE, |due_ms| Duration::from_millis(due_ms.saturating_sub(now_ms)));
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.obey(event).await,
                    None => return,
                },
                Some(asked) = self.asking.join_next() => {
                    if let Ok((host, answer)) = asked {
                        self.answered(&host, answer).await;
                    }
                }
                () = self.roster.changed() => {
                    self.turns.stand(self.roster.standing());
                    self.look_at_all().await;
                }
                news = self.heard.next() => self.take_in(news).await,
                () = tokio::time::sleep(pause) => {
                    if self.look_ms.is_some_and(|look_ms| look_ms <= self.clock.monotonic_ms()) {
                        self.look_at_all().await;
                    }
                }
            }
        }
    }

    async fn obey(&mut self, event: Event) {
        match event {
            Event::Apply(registration) => self.apply(*registration).await,
            Event::Delete(gone) => {
                self.forget(&gone);
                self.inner.delete(&gone).await;
            }
            Event::Unreadable(bad) => self.inner.unreadable(bad).await,
            Event::Synced => self.inner.synced().await,
        }
    }

    async fn apply(&mut self, registration: ServiceRegistration) {
        let key = ObjectKey::of(&registration.metadata);
        if expand::hosts(&registration).next().is_none() {
            self.forget(&key);
            return self.inner.take_in(registration, Unresolved::default()).await;
        }
        let now_ms = self.clock.monotonic_ms();
        for host in expand::hosts(&registration) {
            // Of a process before this one: callers keep what they have until there is an answer.
            self.hosts.want(host, || expand::known(&registration, host), now_ms);
            // Nobody has been told of this registration yet: no news for others.
            self.look_at(host);
        }
        self.raw.insert(key.clone(), registration);
        self.keep_wanted();
        self.tell(&key).await;
    }

    /// Does what is this replica's turn to do about a name. Whether other addresses are known of it by that.
    fn look_at(&mut self, host: &str) -> bool {
        let now_ms = self.clock.monotonic_ms();
        match self.turns.course(host, now_ms) {
            Course::Ask => {
                self.hosts.ask(host, now_ms);
                false
            }
            Course::Follow(says) => {
                self.unsay(host);
                self.hosts.follow(host, says)
            }
            // What it has said stands until somebody before it says something.
            Course::Wait(until_ms) => {
                self.hosts.rest(host);
                self.look_ms = Some(self.look_ms.map_or(until_ms, |look_ms| look_ms.min(until_ms)));
                false
            }
        }
    }

    async fn look_at_all(&mut self) {
        self.look_ms = None;
        let all: Vec<_> = self.hosts.names().map(str::to_owned).collect();
        for host in all {
            if self.look_at(&host) {
                self.tell_of(&host).await;
            }
        }
    }

    async fn take_in(&mut self, all: Vec<(Name, News)>) {
        for (from, news) in all {
            let hosts = match news {
                News::Said(host, body) => {
                    self.turns.heard(&from, &host, wire::read(body));
                    vec![host]
                }
                News::Unsaid(host) => {
                    self.turns.heard(&from, &host, None);
                    vec![host]
                }
                News::Gone => self.turns.gone(&from),
            };
            for host in hosts {
                if self.hosts.is_wanted(&host) && self.look_at(&host) {
                    self.tell_of(&host).await;
                }
            }
        }
    }

    /// Tells the other replicas what was found, if it is this one's turn.
    fn say(&mut self, host: &str) {
        match self.hosts.says(host) {
            Some(says) => {
                self.told.insert(host.to_owned());
                self.exchange.publish(ResourceType::Resolved, host, Some(wire::body(&says)));
            }
            None => self.unsay(host),
        }
    }

    fn unsay(&mut self, host: &str) {
        if self.told.remove(host) {
            self.exchange.publish(ResourceType::Resolved, host, None);
        }
    }

    fn forget(&mut self, key: &ObjectKey) {
        if self.raw.remove(key).is_some() {
            self.keep_wanted();
        }
    }

    fn keep_wanted(&mut self) {
        let wanted: BTreeSet<_> = self.raw.values().flat_map(expand::hosts).collect();
        let left: Vec<_> = self.hosts.names().filter(|host| !wanted.contains(host)).map(str::to_owned).collect();
        self.hosts.keep(&wanted);
        for host in left {
            self.turns.forget(&host);
            self.unsay(&host);
        }
    }

    async fn tell(&mut self, key: &ObjectKey) {
        let Some(raw) = self.raw.get(key) else { return };
        let (registration, unresolved) = expand::expand(raw, &self.hosts);
        self.inner.take_in(registration, unresolved).await;
    }

    /// Asks for what is due.
    fn ask(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        while self.asking.len() < ASKING_MAX {
            let Some(host) = self.hosts.due(now_ms) else { return };
            let resolv_conf = self.resolv_conf.clone();
            self.asking.spawn(async move {
                let answer = ask::addresses(&host, &resolv_conf).await;
                (host, answer)
            });
        }
    }

    async fn answered(&mut self, host: &str, answer: Answer) {
        debug!(host, ?answer, "asked for a host");
        let has_news = self.hosts.answered(host, answer, self.clock.monotonic_ms());
        // Also when it is no news here: others may not have been told yet.
        self.say(host);
        if has_news {
            self.tell_of(host).await;
        }
    }

    /// Tells every registration that names a host.
    async fn tell_of(&mut self, host: &str) {
        info!(host, now = %self.hosts.words(host), "a host of registered endpoints has other addresses");
        let concerned = |registration: &ServiceRegistration| expand::hosts(registration).any(|own| own == host);
        let keys: Vec<_> = self.raw.iter().filter(|(_, raw)| concerned(raw)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.tell(&key).await;
        }
    }
}

#[cfg(test)]
mod tests;
