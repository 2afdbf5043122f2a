//! Endpoints that are given by a DNS name: resolved here, between the watch and whoever reads registrations.
//!
//! ```text
//!  informer --ServiceRegistration--> Front --> task --the same, with addresses in place of names--> sources::Registrations
//!                                               ^--answers-- ask (the system's name servers)
//! ```
//!
//! Whoever comes after it knows addresses alone: the guard, checks and what is written hold for each of them as for one that
//! stands in the object.
//!
//! - [`expand`]: a registration with its names resolved; [`hosts`]: which names are asked for when, and what is known of them
//! - [`message`]: questions and answers of DNS; [`ask`]: the one part that does I/O

mod ask;
pub mod expand;
pub mod hosts;
mod message;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use rollcall_crds::ServiceRegistration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info};

use crate::kubernetes::ObjectKey;
use crate::kubernetes::guarded::Bad;
use crate::kubernetes::informer::Handler;
use crate::time::clock::Clock;
use expand::Unresolved;
use hosts::{Answer, Hosts};

/// Who is told registrations with addresses.
pub trait Resolved: Send + 'static {
    /// A registration as it is now. `unresolved` has words about endpoints without an address, by name.
    fn take_in(&mut self, registration: ServiceRegistration, unresolved: Unresolved)
    -> impl Future<Output = ()> + Send;
}

/// Takes registrations from their watch.
#[derive(Debug)]
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
}

/// Events that wait at most.
const QUEUE: usize = 64;
/// Names that are asked for at a time.
const ASKING_MAX: usize = 32;
/// Without a name to ask for, nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// Puts itself before `inner`; names are asked of the servers in the file `resolv_conf`.
pub fn before<H: Handler<ServiceRegistration> + Resolved>(inner: H, resolv_conf: PathBuf, clock: Clock) -> Front {
    let (sender, events) = mpsc::channel(QUEUE);
    let (raw, hosts, asking) = (HashMap::new(), Hosts::default(), JoinSet::new());
    tokio::spawn(Task { inner, events, raw, hosts, asking, resolv_conf, clock }.run());
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
                () = tokio::time::sleep(pause) => {}
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
        }
        self.raw.insert(key.clone(), registration);
        self.keep_wanted();
        self.tell(&key).await;
    }

    fn forget(&mut self, key: &ObjectKey) {
        if self.raw.remove(key).is_some() {
            self.keep_wanted();
        }
    }

    fn keep_wanted(&mut self) {
        let wanted = self.raw.values().flat_map(expand::hosts).collect();
        self.hosts.keep(&wanted);
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
        if !self.hosts.answered(host, answer, self.clock.monotonic_ms()) {
            return;
        }
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
