//! What a client says that it holds when it comes back: `initial_resource_versions`, names with their versions.
//!
//! It is a map of texts on the wire, and bytes here: thousands of clients come back at once, each with thousands of names, and
//! a table made of each of them would be most of the work. Entries are read where they lie.

use bytes::Bytes;
use prost::encoding::{
    WireType, check_wire_type, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len,
};

/// Fields of an entry of a map (Protocol Buffers, "Maps").
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// One entry, for a client to say.
pub fn entry(name: &str, version: &str) -> Bytes {
    let fields = [(KEY, name), (VALUE, version)];
    let len = |(field, text): (u32, &str)| key_len(field) + encoded_len_varint(text.len() as u64) + text.len();
    let mut bytes = Vec::with_capacity(fields.into_iter().map(len).sum());
    for (field, text) in fields {
        encode_key(field, WireType::LengthDelimited, &mut bytes);
        encode_varint(text.len() as u64, &mut bytes);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.into()
}

/// Name and version of an entry; `None` if it is not one. What is missing is empty, what is twice counts the last time, and
/// what is unknown is skipped if it is text.
pub(crate) fn read(entry: &[u8]) -> Option<(&str, &str)> {
    let (name, version) = read_bytes(entry)?;
    Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(version).ok()?))
}

/// The same, whether they are text or not.
pub(crate) fn read_bytes(mut entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut name, mut version): (&[u8], &[u8]) = (b"", b"");
    while !entry.is_empty() {
        let (field, wire_type) = decode_key(&mut entry).ok()?;
        check_wire_type(WireType::LengthDelimited, wire_type).ok()?;
        let len = usize::try_from(decode_varint(&mut entry).ok()?).ok()?;
        let (text, rest) = entry.split_at_checked(len)?;
        entry = rest;
        match field {
            KEY => name = text,
            VALUE => version = text,
            _ => {}
        }
    }
    Some((name, version))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// As the protocol has it.
    #[derive(Message)]
    struct AsMap {
        #[prost(map = "string, string", tag = "5")]
        versions: HashMap<String, String>,
    }

    /// As it is read here.
    #[derive(Message)]
    struct AsBytes {
        #[prost(bytes = "bytes", repeated, tag = "5")]
        versions: Vec<Bytes>,
    }

    proptest! {
        #[test]
        fn entries_are_those_of_a_map(versions in prop::collection::hash_map(".{0,9}", ".{0,200}", 0..9)) {
            let wire = AsMap { versions: versions.clone() }.encode_to_vec();
            let read_back = AsBytes::decode(&*wire).expect("the same on the wire").versions;
            let read_back: HashMap<_, _> = read_back.iter().map(|it| read(it).expect("an entry")).collect();
            prop_assert_eq!(read_back.len(), versions.len());
            prop_assert!(versions.iter().all(|(name, version)| read_back.get(&**name) == Some(&&**version)));
            let said = AsBytes { versions: versions.iter().map(|(name, version)| entry(name, version)).collect() };
            prop_assert_eq!(AsMap::decode(&*said.encode_to_vec()).expect("the same on the wire").versions, versions);
        }

        #[test]
        fn bytes_that_are_no_entry_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            _ = read(&bytes);
        }
    }

    #[test]
    fn what_is_cut_or_no_text_is_no_entry() {
        let whole = entry("service", "17");
        assert!((0..whole.len()).filter(|end| read(&whole[..*end]).is_some()).eq([0, 9]), "nothing, or the name alone");
        assert_eq!(read(b"\x0a\x01\xff"), None);
        assert_eq!(read(b"\x08\x01"), None);
    }
}
