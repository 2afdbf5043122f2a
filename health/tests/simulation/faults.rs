//! What goes wrong in the world, and how it ends.

use rollcall_catalog::model::Name;

use crate::script::Fault;
use crate::world::World;

impl World {
    /// A fault begins or ends.
    pub(crate) fn fault(&mut self, fault: Fault, begins: bool) {
        self.tell(|| format!("--- {fault:?} {}", if begins { "begins" } else { "ends" }));
        let now_ms = self.now_ms;
        let troubled = |world: &mut Self, number: usize| world.replicas[number].troubled_ms = now_ms;
        match fault {
            Fault::Kill { replica, .. } if begins => self.replicas[replica].alive = false,
            Fault::Kill { replica, renamed } => self.restart(replica, renamed),
            Fault::Blind(replica) => self.replicas[replica].blind = begins,
            Fault::WithoutLease(replica) => self.replicas[replica].without_leases = begins,
            Fault::BlindWithoutLease(replica) => {
                (self.replicas[replica].blind, self.replicas[replica].without_leases) = (begins, begins);
            }
            Fault::ApiServer => self.api_away = begins,
            Fault::Link(from, to) => self.cut(from, to, begins),
            Fault::Apart(replica) => self.apart(replica, begins),
            Fault::Outcast(replica) => {
                self.replicas[replica].blind = begins;
                self.replicas[replica].outcast_ms = if begins { u64::MAX } else { now_ms };
                self.apart(replica, begins);
            }
            Fault::Vantage(vantage, ailment) => self.ails(vantage, begins.then_some(ailment)),
            Fault::Target(target) => self.turn(target, begins),
            Fault::Most => (0..self.dead_ms.len() * 3 / 4).for_each(|target| self.turn(target, begins)),
        }
        match fault {
            Fault::Kill { replica, .. }
            | Fault::Blind(replica)
            | Fault::WithoutLease(replica)
            | Fault::BlindWithoutLease(replica)
            | Fault::Outcast(replica)
            | Fault::Apart(replica) => troubled(self, replica),
            Fault::Link(from, to) => {
                troubled(self, from);
                troubled(self, to);
            }
            Fault::ApiServer | Fault::Target(_) | Fault::Most | Fault::Vantage(..) => {}
        }
        self.watch.fault(fault, begins, now_ms);
    }

    fn apart(&mut self, replica: usize, apart: bool) {
        for other in (0..self.replicas.len()).filter(|other| *other != replica) {
            self.cut(replica, other, apart);
            self.cut(other, replica, apart);
        }
    }

    fn cut(&mut self, from: usize, to: usize, cut: bool) {
        if let Some(stream) = self.replicas[to].streams.get_mut(&from) {
            (stream.cut, stream.whole) = (cut, false);
        }
    }

    fn turn(&mut self, target: usize, dead: bool) {
        if self.dead_ms[target].is_some() != dead {
            self.dead_ms[target] = dead.then_some(self.now_ms);
            self.turned_ms[target] = self.now_ms;
            self.watch.turned(target);
        }
    }

    fn restart(&mut self, number: usize, renamed: bool) {
        let incarnation = self.replicas[number].incarnation + 1;
        let name =
            if renamed { format!("r{number}-{incarnation}").into() } else { Name::clone(&self.replicas[number].name) };
        self.replicas[number] = self.born(number, name, incarnation);
        self.start(number);
    }
}
