//! What machines are asked for: their addresses, and what is known of them.

use hickory_proto::rr::rdata::{A, AAAA, TXT};
use hickory_proto::rr::{Name, RData, RecordType};

use super::Asking;
use crate::zone::machines::Machine;

// === impl Asking ===

impl Asking<'_> {
    pub(super) fn machine(&mut self, owner: &Name, machine: &Machine) {
        match self.rtype {
            RecordType::A => {
                let some = self.rng.choose_from(&machine.v4, self.max);
                some.into_iter().for_each(|address| self.push(owner, RData::A(A(address))));
            }
            RecordType::AAAA => {
                let some = self.rng.choose_from(&machine.v6, self.max);
                some.into_iter().for_each(|address| self.push(owner, RData::AAAA(AAAA(address))));
            }
            RecordType::TXT if !machine.texts.is_empty() => {
                let texts = machine.texts.iter().map(ToString::to_string).collect();
                self.push(owner, RData::TXT(TXT::new(texts)));
            }
            _ => {}
        }
    }
}
