//! Numbers (RFC 7541 §5.1): in the last bits of an octet, and if they do not fit there, in those that follow, the lowest first.

use super::Broken;

/// Octets that may follow: what 32 bits need.
const FOLLOWING_MAX: usize = 5;

/// The number in the last `bits` of the first octet and in those that follow it; `rest` is what comes after.
pub(super) fn take(rest: &mut &[u8], bits: u32) -> Result<usize, Broken> {
    let (first, mut after) = rest.split_first().ok_or(Broken::Truncated)?;
    let full = full(bits);
    let mut number = u64::from(*first) & full;
    if number == full {
        for place in 0.. {
            if place == FOLLOWING_MAX {
                return Err(Broken::Number);
            }
            let (next, others) = after.split_first().ok_or(Broken::Truncated)?;
            number += u64::from(next & 0x7f) << (7 * place);
            after = others;
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = after;
    u32::try_from(number).ok().and_then(|number| usize::try_from(number).ok()).ok_or(Broken::Number)
}

/// Writes a number into the last `bits` of an octet whose first ones are those of `kind`.
pub(super) fn put(kind: u8, bits: u32, number: usize, into: &mut Vec<u8>) {
    let (number, full) = (number as u64, full(bits));
    if number < full {
        into.push(kind | number as u8);
        return;
    }
    into.push(kind | full as u8);
    let mut left = number - full;
    while left >= 0x80 {
        into.push(0x80 | left as u8);
        left >>= 7;
    }
    into.push(left as u8);
}

/// All of so many bits.
fn full(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(kind: u8, bits: u32, number: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        put(kind, bits, number, &mut octets);
        octets
    }

    #[test]
    fn the_examples_of_the_standard_are_written_and_read() {
        // RFC 7541 §C.1.
        for (bits, number, octets) in [(5, 10, &[0x0a][..]), (5, 1337, &[0x1f, 0x9a, 0x0a]), (8, 42, &[0x2a])] {
            assert_eq!(written(0, bits, number), octets);
            assert_eq!(take(&mut &octets[..], bits), Ok(number));
        }
    }

    #[test]
    fn what_is_too_large_or_cut_is_told_apart() {
        let largest = [0xff, 0x80, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(take(&mut &largest[..], 7), Ok(u32::MAX as usize));
        for (octets, broken) in [
            (&[][..], Broken::Truncated),
            (&[0x7f], Broken::Truncated),
            (&[0x7f, 0xff, 0xff], Broken::Truncated),
            (&[0xff, 0x81, 0xff, 0xff, 0xff, 0x0f], Broken::Number),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f], Broken::Number),
            (&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Broken::Number),
        ] {
            assert_eq!(take(&mut &octets[..], 7), Err(broken), "{octets:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits in 1..=8_u32, number: u32, after: Vec<u8>) {
            let number = number as usize;
            let octets = [written(0, bits, number), after.clone()].concat();
            let mut rest = &octets[..];
            prop_assert_eq!(take(&mut rest, bits), Ok(number));
            prop_assert_eq!(rest, after);
        }
    }
}
