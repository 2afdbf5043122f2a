//! Records and names as they lie in a message (RFC 1035 §4.1): read as far as is needed to step over them. Pure.

/// Bytes of a header (RFC 1035 §4.1.1).
pub const HEADER_BYTES: usize = 12;
/// The third section of records.
pub const ADDITIONAL: usize = 3;

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// TYPE.
    pub rtype: u16,
    /// CLASS.
    pub class: u16,
    /// TTL, as on the wire.
    pub ttl: [u8; 4],
    /// Where its data begin.
    pub data: usize,
    /// Where it ends.
    pub end: usize,
}

/// How many records a section (1 to 3) has, as its header says.
pub fn count(message: &[u8], section: usize) -> Option<u16> {
    let count = message.get(4 + 2 * section..6 + 2 * section)?.first_chunk().copied()?;
    Some(u16::from_be_bytes(count))
}

/// Writes the counts of records into a message's header.
pub fn write_counts(counts: [u16; ADDITIONAL], message: &mut [u8]) {
    for (place, count) in message[6..HEADER_BYTES].chunks_exact_mut(2).zip(counts) {
        place.copy_from_slice(&count.to_be_bytes());
    }
}

/// The record at `at`; `None` when it is not whole.
pub fn span(bytes: &[u8], at: usize) -> Option<Span> {
    let fields = name_end(bytes, at)?;
    let fixed: &[u8; 10] = bytes.get(fields..)?.first_chunk()?;
    let [type_0, type_1, class_0, class_1, ttl_0, ttl_1, ttl_2, ttl_3, len_0, len_1] = *fixed;
    let data = fields + fixed.len();
    let end = data + usize::from(u16::from_be_bytes([len_0, len_1]));
    let (rtype, class) = (u16::from_be_bytes([type_0, type_1]), u16::from_be_bytes([class_0, class_1]));
    (end <= bytes.len()).then_some(Span { rtype, class, ttl: [ttl_0, ttl_1, ttl_2, ttl_3], data, end })
}

/// Where the name at `start` ends: at a root, or at a pointer, which must lead back (RFC 1035 §4.1.4).
pub fn name_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            high @ 0xc0.. => {
                let to = usize::from(u16::from_be_bytes([high & 0x3f, *bytes.get(at + 1)?]));
                return (HEADER_BYTES..start).contains(&to).then_some(at + 2);
            }
            _ => return None,
        }
        if at - start > 254 {
            return None;
        }
    }
}

/// The options in an OPT record's data (RFC 6891 §6.1.2), each with its code and, header and all, its bytes. `None` in
/// place of one that is not whole, which is the last then.
pub fn options(mut data: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let option = (|| {
            let [code_0, code_1, len_0, len_1] = *data.first_chunk()?;
            let len = 4 + usize::from(u16::from_be_bytes([len_0, len_1]));
            Some((u16::from_be_bytes([code_0, code_1]), data.get(..len)?))
        })();
        data = option.map_or(&[][..], |(_, bytes)| &data[bytes.len()..]);
        Some(option)
    })
}
