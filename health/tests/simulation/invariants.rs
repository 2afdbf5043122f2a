//! What must hold, whatever happens.
//!
//! 1. No endpoint turns Critical that was alive, as long as those who reach it are not outvoted: other replicas, or vantage points
//!    that are connected to whoever decides.
//! 2. No dead one is kept past its bound, and no living one is out past its own, by any replica that is well.
//! 3. No check is without somebody who is at it for more than 5 s.
//! 4. Of one death every replica tells once, and of one return.
//! 5. As long as the replicas can talk, only one of them decides about a death, whoever of them dies or comes meanwhile.

use rollcall_catalog::input::Verdict;
use rollcall_catalog::model::Health;
use rollcall_health::checks::Change;
use rollcall_health::confirmation;

use crate::script::Fault;
use crate::target::{TIMEOUT_MS, beats, interval_ms, origin_of};
use crate::world::{TRAVEL_MAX_MS, World};

/// What is remembered to judge it.
pub(crate) struct Watch {
    replicas: usize,
    /// The verdicts as each replica's readers have them, and how often each turned since the target did.
    seen: Vec<Vec<Seen>>,
    /// Since when nobody is at a target.
    alone_ms: Vec<Option<u64>>,
    /// When the last fault of a replica began or ended, and how many last.
    faulty_ms: u64,
    faults: u32,
    /// How many have decided themselves that a target is dead, since it turned.
    decided: Vec<u32>,
    /// When the first of them did, and who.
    decided_ms: Vec<u64>,
    decided_by: Vec<usize>,
    /// When replicas last did not hear each other, or did not see what the others see.
    apart_ms: u64,
    /// The replica that a fault is at.
    troubled: Vec<u32>,
}

#[derive(Clone, Default)]
struct Seen {
    verdict: Option<Verdict>,
    critical: u32,
    callable: u32,
}

/// From a beat to the verdict that it is silent, and a bit.
const SILENCE_MS: u64 = 3_000 + 400 + 600;
/// Who came back beats within this.
const BEATS_PATIENCE_MS: u64 = 2_000;
/// Somebody takes over within this.
const OWNERLESS_MAX_MS: u64 = 5_000;
/// Until everybody sees alike after a fault: streams and Leases tell, whoever suspects itself is done with it, who took over hands back.
const SETTLED_MS: u64 = 13_000;

impl Watch {
    pub(crate) fn new(replicas: usize, targets: usize) -> Self {
        Self {
            replicas,
            seen: vec![vec![Seen::default(); targets]; replicas],
            alone_ms: vec![None; targets],
            faulty_ms: 0,
            faults: 0,
            decided: vec![0; targets],
            decided_ms: vec![0; targets],
            decided_by: vec![0; targets],
            apart_ms: 0,
            troubled: vec![0; replicas],
        }
    }

    pub(crate) fn replicas(&self) -> usize {
        self.replicas
    }

    pub(crate) fn verdict(&self, replica: usize, target: usize) -> Option<&Verdict> {
        self.seen[replica][target].verdict.as_ref()
    }

    pub(crate) fn begins(&mut self, replica: usize, target: usize, verdict: Option<&Verdict>) {
        self.seen[replica][target] = Seen { verdict: verdict.cloned(), ..Seen::default() };
    }

    pub(crate) fn turned(&mut self, target: usize) {
        self.decided[target] = 0;
        for seen in &mut self.seen {
            (seen[target].critical, seen[target].callable) = (0, 0);
        }
    }

    pub(crate) fn fault(&mut self, fault: Fault, begins: bool, now_ms: u64) {
        let at = match fault {
            Fault::Kill { replica, .. }
            | Fault::Blind(replica)
            | Fault::WithoutLease(replica)
            | Fault::BlindWithoutLease(replica)
            | Fault::Outcast(replica)
            | Fault::Apart(replica) => vec![replica],
            Fault::Link(from, to) => vec![from, to],
            Fault::ApiServer => Vec::new(),
            Fault::Target(_) | Fault::Most | Fault::Vantage(..) => return,
        };
        self.faulty_ms = now_ms;
        if let (Fault::Kill { replica, .. }, true) = (fault, begins) {
            // Whoever dies before his word has arrived everywhere has decided for those alone who had it.
            for target in 0..self.decided.len() {
                let on_its_way = now_ms <= self.decided_ms[target] + TRAVEL_MAX_MS;
                if self.decided_by[target] == replica && on_its_way {
                    self.decided[target] = 0;
                }
            }
        }
        if !matches!(fault, Fault::Kill { .. } | Fault::ApiServer) {
            self.apart_ms = if begins { u64::MAX / 2 } else { now_ms };
        }
        let more = |count: u32| if begins { count + 1 } else { count.saturating_sub(1) };
        self.faults = more(self.faults);
        at.into_iter().for_each(|replica| self.troubled[replica] = more(self.troubled[replica]));
    }

    pub(crate) fn changed(world: &mut World, replica: usize, target: usize, change: &Change) {
        let now = change.verdict.as_ref().map_or(Health::Unknown, |verdict| verdict.health);
        let seed = world.seed;
        let name = world.replicas[replica].name.clone();
        let seen = &mut world.watch.seen[replica][target];
        let before = seen.verdict.as_ref().map_or(Health::Unknown, |verdict| verdict.health);
        seen.verdict.clone_from(&change.verdict);
        assert_eq!(before, change.before, "seed {seed}: {name} tells of t{target} another story than before");
        if before == now {
            return;
        }
        seen.critical += u32::from(now == Health::Critical);
        seen.callable += u32::from(now.is_callable() && before == Health::Critical);
        let twice = seen.critical > 1 || seen.callable > 1;
        let calm = world.watch.troubled[replica] == 0 && world.now_ms > world.watch.faulty_ms + SETTLED_MS;
        assert!(!twice || !calm, "seed {seed} at {}: {name} tells of one turn of t{target} twice", world.now_ms);
        if now == Health::Critical && change.own {
            let watch = &mut world.watch;
            // What one has decided another knows when its word has arrived.
            if watch.decided[target] == 0 || world.now_ms > watch.decided_ms[target] + TRAVEL_MAX_MS {
                watch.decided[target] += 1;
                watch.decided_ms[target] = world.now_ms;
                watch.decided_by[target] = replica;
            }
            let (decided, talk) = (watch.decided[target], world.now_ms > watch.apart_ms + SETTLED_MS);
            assert!(
                decided == 1 || !talk,
                "seed {seed} at {}: {name} is number {decided} to decide that t{target} is dead",
                world.now_ms
            );
            Self::evidence(world, replica, target);
        }
    }

    /// A replica has decided that a target is Critical.
    fn evidence(world: &World, replica: usize, target: usize) {
        let patience_ms = if beats(target) {
            BEATS_PATIENCE_MS
        } else {
            interval_ms(target) + 3 * TIMEOUT_MS + confirmation::MARGIN_MS
        };
        let was_dead = world.dead_ms[target].is_some() || world.now_ms < world.turned_ms[target] + patience_ms;
        let who = &world.replicas[replica];
        // Whom it is connected to it can ask, whoever of the others it hears.
        let advised = world.is_advised(replica);
        let heard = who.standing.heard.len();
        // Or what it asked while it was an outcast it decides before the answers to it have come.
        let asked_ms = TIMEOUT_MS + confirmation::MARGIN_MS;
        let alone = heard == 0 || world.now_ms <= who.outcast_ms.saturating_add(asked_ms);
        assert!(
            was_dead || (alone && !advised),
            "seed {} at {}: {} evicts t{target}, which lives; it hears {heard} others, and is advised: {advised}",
            world.seed,
            world.now_ms,
            who.name,
        );
    }

    /// What must hold at any time.
    pub(crate) fn check(world: &mut World) {
        for target in 0..world.dead_ms.len() {
            Self::owned(world, target);
            for replica in 0..world.replicas.len() {
                Self::true_in_time(world, replica, target);
            }
        }
    }

    fn owned(world: &mut World, target: usize) {
        let (origin, vm) = (origin_of(target), "vm".into());
        let at_it = world.replicas.iter().filter(|replica| replica.alive && replica.checks.is_at(&origin, &vm)).count();
        let since_ms = &mut world.watch.alone_ms[target];
        if at_it > 0 {
            *since_ms = None;
            return;
        }
        let since_ms = *since_ms.get_or_insert(world.now_ms);
        assert!(
            world.now_ms - since_ms <= OWNERLESS_MAX_MS,
            "seed {} at {}: nobody has been at t{target} since {since_ms}",
            world.seed,
            world.now_ms
        );
    }

    /// A replica that is well has it right, by the bound.
    fn true_in_time(world: &World, replica: usize, target: usize) {
        let who = &world.replicas[replica];
        let watch = &world.watch;
        if !who.alive || watch.troubled[replica] > 0 || world.now_ms < who.troubled_ms + SETTLED_MS {
            return;
        }
        let failures_ms = if beats(target) { SILENCE_MS } else { interval_ms(target) + 2 * TIMEOUT_MS + 1_000 };
        let confirmed_ms = TIMEOUT_MS + confirmation::MARGIN_MS;
        let handed_over_ms =
            if watch.faults > 0 || world.now_ms < watch.faulty_ms + SETTLED_MS { SETTLED_MS } else { 0 };
        // Who fears for itself, as all do when most targets die, waits for twice as many failures.
        let suspected_ms = 4_000;
        let bound_ms = failures_ms + confirmed_ms + handed_over_ms + suspected_ms + 2 * TRAVEL_MAX_MS;
        if world.now_ms < world.turned_ms[target] + bound_ms {
            return;
        }
        let health = watch.verdict(replica, target).map_or(Health::Unknown, |verdict| verdict.health);
        let right = if world.dead_ms[target].is_some() { Health::Critical } else { Health::Passing };
        // Who died before the first beat was never known.
        let unheard = beats(target) && health == Health::Unknown && right == Health::Critical;
        assert!(
            health == right || unheard,
            "seed {} at {}: to {} t{target} is {health} still, {bound_ms} ms after it turned {right}",
            world.seed,
            world.now_ms,
            who.name
        );
    }
}
