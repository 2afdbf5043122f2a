//! SRV records of endpoints: of services without a virtual address.

use std::sync::Arc;

use super::asked::Asked;
use super::{Answering, PLACES};
use crate::zone::model::{Endpoint, Protocol};
use crate::zone::record::Record;

/// A port of an endpoint.
#[derive(Clone, Copy, Default)]
struct Target<'a> {
    endpoint: Option<&'a Arc<Endpoint>>,
    number: u16,
    /// Where the endpoint's name was written.
    place: u16,
}

// === impl Target ===

impl<'a> Target<'a> {
    fn label(&self) -> &'a str {
        self.endpoint.map_or("", |endpoint| &endpoint.label)
    }
}

// === impl Answering ===

impl Answering<'_> {
    /// The ports of a service's endpoints, at the name that begins at the label `own` of the question's. `None` for the other way:
    /// where endpoints share a name, and where there are so many that a choice of them takes room.
    pub(super) fn targets(
        &mut self,
        asked: &Asked<'_>,
        record: &Record,
        own: usize,
        port: Option<(usize, Protocol, &str)>,
    ) -> Option<bool> {
        let count = port.map_or_else(|| record.len(), |(place, ..)| record.count_with(place));
        let looks = self.most.saturating_mul(4);
        if count > looks || !record.has_distinct_labels() {
            return None;
        }
        let mut places = [0; PLACES];
        let count = self.rng.fill(&mut places, count, looks)?;
        let (mut targets, mut len) = ([Target::default(); PLACES], 0);
        for place in places[..count].iter().map(|place| usize::from(*place)) {
            if len >= self.most {
                break;
            }
            let endpoint = match port {
                Some((port, ..)) => record.with(port, place)?,
                None => record.instance(place)?,
            };
            let begin = len;
            for own in endpoint.ports.iter() {
                let wanted = port.is_none_or(|(_, protocol, name)| own.protocol == protocol && *own.name == *name);
                // Two ports of one number are one record (RFC 2181 §5).
                if wanted && !targets[begin..len].iter().any(|known| known.number == own.number) {
                    *targets.get_mut(len)? = Target { endpoint: Some(endpoint), number: own.number, place: 0 };
                    len += 1;
                }
            }
        }
        let targets = &mut targets[..len];
        targets.sort_unstable_by(|a, b| (a.label(), a.number).cmp(&(b.label(), b.number)));
        let chosen = self.rng.shuffle(targets, self.most);
        self.write_targets(asked, own, &mut targets[..chosen])?;
        Some(chosen > 0)
    }

    /// `None` when names lie too far behind for pointers.
    fn write_targets(&mut self, asked: &Asked<'_>, own: usize, targets: &mut [Target<'_>]) -> Option<()> {
        let ttl = self.zone.ttl();
        for target in &mut *targets {
            let weight = target.endpoint.map_or(1, |endpoint| endpoint.weight);
            let last = target.endpoint.is_some_and(|endpoint| endpoint.suspect);
            let numbers = [u16::from(last), weight, target.number];
            let place = self.writer.target(asked, target.label(), own, numbers, ttl);
            target.place = u16::try_from(place).ok().filter(|place| *place < 0x4000)?;
        }
        // Of one name the first that was written is pointed to.
        targets.sort_unstable_by(|a, b| (a.label(), a.place).cmp(&(b.label(), b.place)));
        let mut made = 0;
        for named in targets.chunk_by(|a, b| a.label() == b.label()) {
            if made >= self.most {
                break;
            }
            let Some(Target { endpoint: Some(endpoint), place, .. }) = named.first() else { continue };
            // As the other way chooses one of one.
            self.rng.fill(&mut [0], 1, self.most)?;
            for address in endpoint.addresses.iter() {
                self.writer.beside(*place, address, ttl);
                made += 1;
            }
        }
        Some(())
    }
}
