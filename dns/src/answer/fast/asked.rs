//! A query of the common kind, read in place.

use crate::answer::edns::{Edns, OPT_TYPE};
use crate::answer::wire::{HEADER_BYTES, span};
use crate::answer::{Asker, Manner};

/// More labels take the other way: an address of IPv6 has 34.
const LABELS_MAX: usize = 36;
/// Longest name, without the root (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 254;
const CLASS_IN: [u8; 2] = [0, 1];
/// Name, type and flags.
pub(super) const KEY_BYTES_MAX: usize = NAME_BYTES_MAX + 3;
const FLAG_RD: u8 = 0x01;
const FLAG_AD: u8 = 0x20;
const FLAG_CD: u8 = 0x10;

/// One question of class IN, and at most an OPT record of the one version that there is.
pub(super) struct Asked<'q> {
    /// Header and question.
    pub(super) bytes: &'q [u8],
    /// QTYPE.
    pub(super) rtype: u16,
    /// OPT.
    pub(super) edns: Option<Edns>,
    /// The name in lower case, without the root, as far as `name_bytes`.
    lower: [u8; NAME_BYTES_MAX],
    name_bytes: usize,
    /// Where in it each label begins, as far as `labels`.
    starts: [u8; LABELS_MAX],
    labels: usize,
}

/// Labels of a name; unused ones are empty.
pub(super) type Labels<'a> = [&'a [u8]; LABELS_MAX];

/// None.
pub(super) const NO_LABELS: Labels<'static> = [&[]; LABELS_MAX];

// === impl Asked ===

impl<'q> Asked<'q> {
    /// Reads a query; `None` when it is not of the common kind, whatever else it is.
    pub(super) fn read(query: &'q [u8], asker: &Asker, manner: &Manner) -> Option<Self> {
        let [_, _, flags, _, questions @ .., additional] = *query.first_chunk::<HEADER_BYTES>()?;
        // A query of opcode QUERY, with one question, no records, and at most one additional one.
        if flags & 0xf8 != 0 || questions != [0, 1, 0, 0, 0, 0, 0] || additional > 1 {
            return None;
        }
        let mut asked = Self {
            bytes: query,
            rtype: 0,
            edns: None,
            lower: [0; NAME_BYTES_MAX],
            name_bytes: 0,
            starts: [0; LABELS_MAX],
            labels: 0,
        };
        asked.read_name(query)?;
        let end = HEADER_BYTES + asked.name_bytes + 1 + 4;
        let (question, rest) = query.split_at_checked(end)?;
        let [.., type_0, type_1, class_0, class_1] = *question else { return None };
        asked.bytes = question;
        asked.rtype = u16::from_be_bytes([type_0, type_1]);
        match (additional, rest) {
            (0, []) => {}
            (1, _) => asked.edns = Some(opt(query, end, asker, manner)?),
            _ => return None,
        }
        ([class_0, class_1] == CLASS_IN && asked.labels > 0).then_some(asked)
    }

    fn read_name(&mut self, query: &[u8]) -> Option<()> {
        let name = query.get(HEADER_BYTES..)?;
        let mut at = 0;
        loop {
            let len = *name.get(at)?;
            if len == 0 {
                break;
            }
            let end = at + 1 + usize::from(len);
            // No pointers, nor anything else that is no length.
            if len > 63 || end > NAME_BYTES_MAX {
                return None;
            }
            *self.starts.get_mut(self.labels)? = at as u8;
            self.labels += 1;
            at = end;
        }
        self.name_bytes = at;
        self.lower[..at].copy_from_slice(&name[..at]);
        // At once: lengths, which are less than letters, stay.
        self.lower[..at].make_ascii_lowercase();
        Some(())
    }

    /// Id and flags.
    pub(super) fn begin(&self) -> [u8; 4] {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Under what another server's answer is kept, as [`Gives`](crate::answer::kept::Gives) has it; `None` for a question whose answer is not.
    pub(super) fn key<'a>(&self, room: &'a mut [u8; KEY_BYTES_MAX]) -> Option<&'a [u8]> {
        let [_, _, rd, flags] = self.begin();
        if rd & FLAG_RD == 0 || flags & FLAG_CD != 0 {
            return None;
        }
        let [type_0, type_1] = self.rtype.to_be_bytes();
        let dnssec_ok = self.edns.as_ref().is_some_and(|edns| edns.dnssec_ok);
        let (name, rest) = room.split_at_mut(self.name_bytes);
        name.copy_from_slice(self.name());
        rest[..3].copy_from_slice(&[type_0, type_1, u8::from(dnssec_ok) | u8::from(flags & FLAG_AD != 0) << 1]);
        Some(&room[..self.name_bytes + 3])
    }

    /// The name in lower case, without the root.
    pub(super) fn name(&self) -> &[u8] {
        &self.lower[..self.name_bytes]
    }

    /// Where each label of it begins.
    pub(super) fn starts(&self) -> &[u8] {
        &self.starts[..self.labels]
    }

    /// The name from a label on, as it was sent.
    pub(super) fn spelled(&self, label: usize) -> &[u8] {
        let begin = self.starts().get(label).map_or(self.name_bytes, |start| usize::from(*start));
        &self.bytes[HEADER_BYTES + begin..HEADER_BYTES + self.name_bytes]
    }

    /// The same in lower case.
    pub(super) fn lower(&self, label: usize) -> &[u8] {
        let begin = self.starts().get(label).map_or(self.name_bytes, |start| usize::from(*start));
        &self.lower[begin..self.name_bytes]
    }

    /// A pointer to a label of the name in the message.
    pub(super) fn pointer(&self, label: usize) -> [u8; 2] {
        // 12 and at most 254: within the reach of pointers.
        (0xc000 + HEADER_BYTES as u16 + u16::from(self.starts[label])).to_be_bytes()
    }

    /// The first `count` labels, in lower case.
    pub(super) fn labels<'a>(&'a self, count: usize, room: &'a mut Labels<'a>) -> &'a [&'a [u8]] {
        for (place, start) in room.iter_mut().zip(&self.starts[..count]) {
            let start = usize::from(*start);
            *place = &self.lower[start + 1..start + 1 + usize::from(self.lower[start])];
        }
        &room[..count]
    }
}

/// What the OPT record at the end of a query says, of version 0.
fn opt(query: &[u8], at: usize, asker: &Asker, manner: &Manner) -> Option<Edns> {
    let record = span(query, at).filter(|record| record.rtype == OPT_TYPE && record.end == query.len())?;
    let edns = Edns::read(&record, query.get(record.data..record.end)?, asker, manner)?;
    (query.get(at) == Some(&0) && edns.version == 0).then_some(edns)
}
