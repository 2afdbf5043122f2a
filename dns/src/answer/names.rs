//! Names in a response, compressed (RFC 1035 §4.1.4): whatever has been written once is pointed to.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use hickory_proto::rr::Name;

/// Where names lie in the message that is being written.
///
/// Spellings that differ in case are different names here: an answer keeps the case of its question (RFC 4343 §4.1).
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By a keyed hash of all labels from one on, up to the root.
    places: HashMap<u64, u16>,
    hasher: RandomState,
}

/// Whether a name may end in a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pointers {
    /// Owners, and data of the types of RFC 1035.
    Allowed,
    /// Data of later types (RFC 3597 §4); SRV's target above all (RFC 2782), which resolvers refuse if it is compressed.
    Forbidden,
}

/// The two high bits of a pointer.
const POINTER: u16 = 0xc000;
/// Behind it no place can be pointed to.
const PLACES_END: usize = 0x4000;

// === impl Names ===

impl Names {
    /// Writes a name at the end of `message`.
    pub(super) fn write(&mut self, name: &Name, pointers: Pointers, message: &mut Vec<u8>) {
        let labels: Vec<&[u8]> = name.iter().collect();
        let hashes = self.suffixes(&labels);
        let known = |at: usize| {
            let place = *self.places.get(&hashes[at])?;
            spells(message, usize::from(place), &labels[at..]).then_some(place)
        };
        let first_known = (0..labels.len()).find_map(|at| Some((at, known(at)?)));
        let new = first_known.map_or(labels.len(), |(at, _)| at);
        let pointer = first_known.filter(|_| pointers == Pointers::Allowed);
        let spelled = if pointer.is_some() { new } else { labels.len() };
        for (at, label) in labels[..spelled].iter().enumerate() {
            if at < new && message.len() < PLACES_END {
                self.places.insert(hashes[at], message.len() as u16);
            }
            message.push(label.len() as u8); // at most 63 (RFC 1035 §2.3.4)
            message.extend_from_slice(label);
        }
        match pointer {
            Some((_, place)) => message.extend((POINTER | place).to_be_bytes()),
            None => message.push(0),
        }
    }

    /// Notes a name that has been written at `place` without pointers.
    pub(super) fn note(&mut self, name: &Name, place: usize) {
        let labels: Vec<&[u8]> = name.iter().collect();
        let mut at = place;
        for (hash, label) in self.suffixes(&labels).into_iter().zip(labels) {
            if at < PLACES_END {
                self.places.entry(hash).or_insert(at as u16);
            }
            at += 1 + label.len();
        }
    }

    /// The hashes of the labels from each one on.
    fn suffixes(&self, labels: &[&[u8]]) -> Vec<u64> {
        let mut hashes = vec![0; labels.len()];
        let mut rest = 0_u64;
        for (hash, label) in hashes.iter_mut().zip(labels).rev() {
            let mut hasher = self.hasher.build_hasher();
            hasher.write_u64(rest);
            hasher.write(label);
            rest = hasher.finish();
            *hash = rest;
        }
        hashes
    }
}

/// Whether the name at `place` of a message consists of these labels. Pointers are our own: they lead back.
fn spells(message: &[u8], place: usize, labels: &[&[u8]]) -> bool {
    let (mut at, mut labels) = (place, labels.iter());
    loop {
        match message.get(at) {
            Some(0) => return labels.next().is_none(),
            Some(len @ 1..=63) => {
                let end = at + 1 + usize::from(*len);
                match (message.get(at + 1..end), labels.next()) {
                    (Some(own), Some(label)) if own == *label => at = end,
                    _ => return false,
                }
            }
            Some(high) => match message.get(at + 1) {
                Some(low) => at = usize::from(u16::from_be_bytes([*high, *low]) & !POINTER),
                None => return false,
            },
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    /// What is written in this order, behind `before` bytes.
    fn written(before: usize, names: &[(&str, Pointers)]) -> Vec<u8> {
        let (mut table, mut message) = (Names::default(), vec![0; before]);
        names.iter().for_each(|(text, pointers)| table.write(&name(text), *pointers, &mut message));
        message.split_off(before)
    }

    #[test]
    fn the_longest_ending_that_was_written_is_pointed_to() {
        use Pointers::{Allowed, Forbidden};
        let bytes = written(12, &[("b.c.", Allowed), ("a.b.c.", Allowed), ("x.A.b.c.", Allowed), ("a.b.c.", Allowed)]);
        assert_eq!(bytes, b"\x01b\x01c\0\x01a\xc0\x0c\x01x\x01A\xc0\x0c\xc0\x11");
        let bytes = written(12, &[("b.c.", Allowed), ("a.b.c.", Forbidden), ("a.b.c.", Allowed), (".", Allowed)]);
        assert_eq!(bytes, b"\x01b\x01c\0\x01a\x01b\x01c\0\xc0\x11\0");
    }

    #[test]
    fn no_place_beyond_the_reach_of_pointers_is_pointed_to() {
        let bytes = written(
            PLACES_END - 2,
            &[("a.b.", Pointers::Allowed), ("a.b.", Pointers::Allowed), ("b.", Pointers::Allowed)],
        );
        assert_eq!(bytes, b"\x01a\x01b\0\xff\xfe\x01b\0");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(texts in prop::collection::vec(("([abA]\\.){0,5}", any::<bool>()), 1..30)) {
            let texts: Vec<_> = texts.into_iter().map(|(text, fixed)| (if text.is_empty() { ".".to_owned() } else { text }, fixed)).collect();
            let (mut table, mut message) = (Names::default(), vec![0; 12]);
            let mut places = Vec::new();
            for (text, fixed) in &texts {
                places.push(message.len());
                table.write(&name(text), if *fixed { Pointers::Forbidden } else { Pointers::Allowed }, &mut message);
            }
            for (place, (text, _)) in places.into_iter().zip(&texts) {
                let mut decoder = BinDecoder::new(&message);
                decoder.read_slice(place).unwrap();
                prop_assert!(Name::read(&mut decoder).unwrap().eq_case(&name(text)), "{text} in {message:02x?}");
            }
        }
    }
}
