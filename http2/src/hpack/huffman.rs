//! Strings of which frequent octets take fewer bits (RFC 7541 §5.2).
//!
//! The code is canonical: codes of the same length follow each other in the order of their octets, and those of the next length
//! follow them. The lengths are thus all there is to know, and a code is found by its place in the order.

use super::Broken;

/// The length of the code of each octet in bits, and at last that of the end, which no string contains (RFC 7541 Appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The shortest and the longest code.
const BITS_MIN: usize = 5;
const BITS_MAX: usize = 30;
/// The place of the end: the last one.
const END: usize = 256;
/// Codes of up to so many bits are found at once. They are those of nearly all that is said in headers.
const SHORT_BITS: usize = 8;

/// Octets by their place in the order of codes.
static ORDER: [u8; END] = order();
/// The codes of each length.
static LEVELS: [Level; BITS_MAX + 1] = levels();
/// What bits begin with, by the first eight of them.
static SHORT: [Short; 1 << SHORT_BITS] = short();

/// The codes of one length.
#[derive(Clone, Copy)]
struct Level {
    /// The last code, followed by ones.
    last: u32,
    /// What to add to a code for its place, wrapping.
    to_place: u32,
}

/// An octet and the length of its code, which is 0 if it is longer.
#[derive(Clone, Copy)]
struct Short {
    octet: u8,
    bits: u8,
}

/// Appends what is `coded`. It is an error if it contains the end, or is not filled up with less than an octet of ones.
pub(super) fn decode(coded: &[u8], into: &mut Vec<u8>) -> Result<(), Broken> {
    into.reserve(coded.len() * 8 / BITS_MIN);
    let (mut rest, mut bits, mut have) = (coded, 0_u64, 0_u32);
    loop {
        if have < 32 {
            (bits, have) = fill(&mut rest, bits, have);
        }
        let window = ((bits | u64::MAX >> have) >> 32) as u32;
        let Short { octet, bits: short } = SHORT[(window >> (32 - SHORT_BITS)) as usize];
        let (octet, len) = match short {
            0 => long(window),
            short => (Some(octet), u32::from(short)),
        };
        if len > have {
            return if have < 8 && window == u32::MAX { Ok(()) } else { Err(Broken::Padding) };
        }
        into.push(octet.ok_or(Broken::End)?);
        bits <<= len;
        have -= len;
    }
}

/// Adds octets to the bits there are, which are the first ones of `bits` and fewer than 32.
fn fill(rest: &mut &[u8], mut bits: u64, mut have: u32) -> (u64, u32) {
    if let Some((next, after)) = rest.split_first_chunk() {
        *rest = after;
        return (bits | u64::from(u32::from_be_bytes(*next)) << (32 - have), have + 32);
    }
    for octet in std::mem::take(rest) {
        bits |= u64::from(*octet) << (56 - have);
        have += 8;
    }
    (bits, have)
}

/// The octet whose code is longer than the short ones, unless it is the end, and the length of its code.
fn long(window: u32) -> (Option<u8>, u32) {
    let (place, len) = find(window, SHORT_BITS + 1);
    (ORDER.get(place).copied(), len as u32)
}

/// The place of the code that bits begin with, and its length, which is at least so much.
const fn find(window: u32, bits_min: usize) -> (usize, usize) {
    let mut len = bits_min;
    while window > LEVELS[len].last {
        len += 1;
    }
    let code = window >> (32 - len);
    (code.wrapping_add(LEVELS[len].to_place) as usize, len)
}

const fn order() -> [u8; END] {
    let mut order = [0; END];
    let (mut place, mut len) = (0, BITS_MIN);
    while len <= BITS_MAX {
        let mut octet = 0;
        while octet < END {
            if LENGTHS[octet] as usize == len {
                order[place] = octet as u8;
                place += 1;
            }
            octet += 1;
        }
        len += 1;
    }
    order
}

const fn levels() -> [Level; BITS_MAX + 1] {
    let mut levels = [Level { last: 0, to_place: 0 }; BITS_MAX + 1];
    let (mut code, mut place, mut len) = (0_u32, 0_u32, BITS_MIN);
    while len <= BITS_MAX {
        levels[len].to_place = place.wrapping_sub(code);
        let mut octet = 0;
        while octet < LENGTHS.len() {
            if LENGTHS[octet] as usize == len {
                code += 1;
                place += 1;
            }
            octet += 1;
        }
        levels[len].last = ((code as u64) << (32 - len)).wrapping_sub(1) as u32;
        code <<= 1;
        len += 1;
    }
    levels
}

const fn short() -> [Short; 1 << SHORT_BITS] {
    let mut short = [Short { octet: 0, bits: 0 }; 1 << SHORT_BITS];
    let mut first = 0;
    while first < short.len() {
        let (place, len) = find((first as u32) << (32 - SHORT_BITS), BITS_MIN);
        if len <= SHORT_BITS {
            short[first] = Short { octet: ORDER[place], bits: len as u8 };
        }
        first += 1;
    }
    short
}

#[cfg(test)]
pub(super) mod encoding;
#[cfg(test)]
mod tests;
