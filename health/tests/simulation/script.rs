//! What goes wrong, and when: one fault after the other, of every kind, with quiet between.

use crate::chance::Chance;
use crate::vantage::Ailment;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A replica is killed, and comes back: as itself, or as another.
    Kill { replica: usize, renamed: bool },
    /// A replica reaches no target.
    Blind(usize),
    /// A replica reaches the others no more, nor they it.
    Apart(usize),
    /// One link between two is cut, in one direction.
    Link(usize, usize),
    /// A replica cannot renew its Lease, nor read those of others.
    WithoutLease(usize),
    /// Nobody can: the API server is away.
    ApiServer,
    /// A target dies.
    Target(usize),
    /// Most targets die.
    Most,
    /// A replica is blind and without a Lease.
    BlindWithoutLease(usize),
    /// A replica reaches neither targets nor other replicas: whoever is connected to it is all that it has.
    Outcast(usize),
    /// Something ails a vantage point.
    Vantage(usize, Ailment),
}

/// When it begins and ends, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) begins_ms: u64,
    pub(crate) ends_ms: u64,
    pub(crate) fault: Fault,
}

/// Until all is settled at the start.
const CALM_MS: u64 = 8_000;

/// While the replicas find each other: one that starts late, a Lease that cannot be kept yet, a target that dies right after its first
/// beats.
fn early(chance: &mut Chance, replicas: usize, targets: usize) -> Vec<Event> {
    let mut events = Vec::new();
    let late = chance.index(replicas);
    let fault = match chance.index(4) {
        0 => Some(Fault::Kill { replica: late, renamed: false }),
        1 => Some(Fault::WithoutLease(late)),
        2 => Some(Fault::Apart(late)),
        _ => None,
    };
    events.extend(fault.map(|fault| Event { begins_ms: 0, ends_ms: chance.within(500, 7_000), fault }));
    if chance.percent(50) {
        let (target, begins_ms) = (chance.index(targets), chance.within(1_000, 8_000));
        events.push(Event { begins_ms, ends_ms: begins_ms + 25_000, fault: Fault::Target(target) });
    }
    events
}

/// Faults of replicas never overlap, so that there is always a majority that is well; those of targets come at any time.
pub(crate) fn write(
    chance: &mut Chance,
    (replicas, vantages): (usize, usize),
    targets: usize,
    until_ms: u64,
) -> Vec<Event> {
    let mut events = early(chance, replicas, targets);
    let mut at_ms = CALM_MS;
    while at_ms + 30_000 < until_ms {
        let (begins_ms, lasts_ms) = (at_ms + chance.within(0, 3_000), chance.within(500, 12_000));
        let replica = chance.index(replicas);
        let other = (replica + 1 + chance.index(replicas - 1)) % replicas;
        let fault = match chance.index(if vantages > 0 { 10 } else { 9 }) {
            0 => Fault::Kill { replica, renamed: false },
            1 => Fault::Kill { replica, renamed: true },
            2 => Fault::Blind(replica),
            3 => Fault::Apart(replica),
            4 => Fault::Link(replica, other),
            5 => Fault::WithoutLease(replica),
            6 => Fault::BlindWithoutLease(replica),
            9 => Fault::Outcast(replica),
            _ => Fault::ApiServer,
        };
        events.push(Event { begins_ms, ends_ms: begins_ms + lasts_ms, fault });
        at_ms = begins_ms + lasts_ms + chance.within(500, 15_000);
    }
    let mut at_ms = CALM_MS;
    while at_ms + 35_000 < until_ms {
        let (begins_ms, lasts_ms) = (at_ms + chance.within(0, 8_000), chance.within(15_000, 25_000));
        let fault = if chance.percent(10) { Fault::Most } else { Fault::Target(chance.index(targets)) };
        events.push(Event { begins_ms, ends_ms: begins_ms + lasts_ms, fault });
        at_ms = begins_ms + if chance.percent(50) { 2_000 } else { lasts_ms + 16_000 };
    }
    events.extend(ailments(chance, vantages, until_ms));
    events
}

/// What ails vantage points: one at a time, whatever happens beside it.
fn ailments(chance: &mut Chance, vantages: usize, until_ms: u64) -> Vec<Event> {
    let (mut events, mut at_ms) = (Vec::new(), CALM_MS);
    while vantages > 0 && at_ms + 30_000 < until_ms {
        let (begins_ms, lasts_ms) = (at_ms + chance.within(0, 6_000), chance.within(500, 15_000));
        let ailment = [Ailment::Blind, Ailment::Mute, Ailment::Away][chance.index(3)];
        let fault = Fault::Vantage(chance.index(vantages), ailment);
        events.push(Event { begins_ms, ends_ms: begins_ms + lasts_ms, fault });
        at_ms = begins_ms + lasts_ms + chance.within(500, 8_000);
    }
    events
}
