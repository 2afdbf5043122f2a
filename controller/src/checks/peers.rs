//! What checks tell peers, and hear from them: the exchange on one side, [`rollcall_health::Checks`] on the other.

use std::sync::Arc;

use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;
use rollcall_health::Checks;
use rollcall_health::checks::Telling;
use rollcall_xds::resource::ResourceType;

use super::wire;
use crate::replicas::{Exchange, Heard, News, Replicas, Roster};

/// The other replicas, as checks see them.
#[derive(Debug)]
pub struct Peers {
    roster: Roster,
    exchange: Exchange,
    verdicts: Heard,
    doubts: Heard,
    testimonies: Heard,
}

/// What came from them.
#[derive(Debug)]
pub enum Arrival {
    /// They stand otherwise.
    Standing,
    /// They say this, with resources of that type.
    Said(ResourceType, Vec<(Name, News)>),
}

/// Tellings taken together at most: peers see all or none of them.
const BATCH: usize = 1024;

// === impl Peers ===

impl Peers {
    /// Those of `replicas`.
    pub fn new(replicas: &Replicas) -> Self {
        let exchange = replicas.exchange.clone();
        Self {
            roster: replicas.roster.clone(),
            verdicts: exchange.subscribe(ResourceType::Verdicts),
            doubts: exchange.subscribe(ResourceType::Doubt),
            testimonies: exchange.subscribe(ResourceType::Testimony),
            exchange,
        }
    }

    /// The identity of this replica.
    pub fn mine(&self) -> Name {
        self.roster.mine()
    }

    /// Waits until something comes from them. Nothing is lost when it is given up.
    pub async fn next(&mut self) -> Arrival {
        tokio::select! {
            () = self.roster.changed() => Arrival::Standing,
            news = self.verdicts.next() => Arrival::Said(ResourceType::Verdicts, news),
            news = self.doubts.next() => Arrival::Said(ResourceType::Doubt, news),
            news = self.testimonies.next() => Arrival::Said(ResourceType::Testimony, news),
        }
    }

    /// Takes in what came.
    pub fn take_in(&self, arrival: Arrival, checks: &mut Checks, now: Now) {
        match arrival {
            Arrival::Standing => checks.stand(self.roster.standing(), now),
            Arrival::Said(ty, all) => {
                for (from, news) in all {
                    self.said(ty, &from, news, checks, now);
                }
            }
        }
    }

    fn said(&self, ty: ResourceType, from: &Name, news: News, checks: &mut Checks, now: Now) {
        let (name, body) = match news {
            News::Gone if ty == ResourceType::Verdicts => return checks.gone(from, now),
            News::Gone => return,
            News::Said(name, body) => (name, Some(body)),
            News::Unsaid(name) => (name, None),
        };
        match ty {
            ResourceType::Verdicts => {
                if let Some(origin) = wire::origin(&name) {
                    checks.heard(from, &origin, body.map(wire::read_verdicts).unwrap_or_default(), now);
                }
            }
            ResourceType::Doubt => {
                if let Ok(number) = name.parse() {
                    checks.asked(from, number, body.and_then(wire::read_doubt));
                }
            }
            _ => {
                let mine = name.strip_prefix(&*self.mine()).and_then(|rest| rest.strip_prefix('/')?.parse().ok());
                if let Some((number, said)) = mine.zip(body.and_then(wire::read_testimony)) {
                    checks.testified(from, number, &said, now);
                }
            }
        }
    }

    /// Tells them what there is to tell.
    pub fn tell(&self, checks: &mut Checks) {
        loop {
            let tellings: Vec<_> = std::iter::from_fn(|| checks.take_telling()).take(BATCH).collect();
            if tellings.is_empty() {
                return;
            }
            for ty in [ResourceType::Verdicts, ResourceType::Doubt, ResourceType::Testimony] {
                let named = tellings.iter().filter_map(|telling| named(ty, telling, checks)).collect::<Vec<_>>();
                if !named.is_empty() {
                    self.exchange.publish_all(ty, named.iter().map(|(name, body)| (name.as_str(), body.clone())));
                }
            }
        }
    }
}

/// The resource of that type that a telling is.
fn named(ty: ResourceType, telling: &Telling, checks: &Checks) -> Option<(String, Option<bytes::Bytes>)> {
    match (ty, telling) {
        (ResourceType::Verdicts, Telling::Verdicts(origin)) => {
            Some((wire::verdicts_name(origin), wire::verdicts(&checks.said(&Arc::clone(origin)))))
        }
        (ResourceType::Doubt, Telling::Doubt(number, ask)) => Some((number.to_string(), ask.as_ref().map(wire::doubt))),
        (ResourceType::Testimony, Telling::Testimony(asker, number, said)) => {
            Some((format!("{asker}/{number}"), said.as_ref().map(wire::testimony)))
        }
        _ => None,
    }
}
