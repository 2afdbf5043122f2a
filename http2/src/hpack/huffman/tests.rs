//! Tests: the code, and what is no string.

use proptest::prelude::*;

use super::{
    encoding::{CODES, encode},
    *,
};

fn decoded(coded: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut plain = Vec::new();
    decode(coded, &mut plain).map(|()| plain)
}

#[test]
fn codes_are_those_of_the_standard() {
    // RFC 7541 Appendix B, the first and the last of several lengths.
    for (octet, expected) in [
        (b'0', (0x0, 5)),
        (b't', (0x9, 5)),
        (b' ', (0x14, 6)),
        (b':', (0x5c, 7)),
        (b'Z', (0xfd, 8)),
        (b'!', (0x3f8, 10)),
        (b'|', (0x7fc, 11)),
        (b'~', (0x1ffd, 13)),
        (b'{', (0x7ffe, 15)),
        (b'\\', (0x7fff0, 19)),
        (0, (0x1ff8, 13)),
        (9, (0xffffea, 24)),
        (10, (0x3ffffffc, 30)),
        (249, (0xffffffe, 28)),
        (255, (0x3ffffee, 26)),
    ] {
        assert_eq!(CODES[usize::from(octet)], expected, "{octet}");
    }
    assert_eq!(CODES[END], (0x3fff_ffff, 30));
}

#[test]
fn every_octet_is_read_alone_and_among_others() {
    let all: Vec<u8> = (0..=255).collect();
    for octet in &all {
        assert_eq!(decoded(&encode(&[*octet])), Ok(vec![*octet]));
    }
    assert_eq!(decoded(&encode(&all)), Ok(all));
    assert_eq!(decoded(&[]), Ok(vec![]));
}

#[test]
fn what_no_encoder_writes_is_refused() {
    for (coded, broken) in [
        (&[0xff][..], Broken::Padding),                 // an octet of padding
        (&[0x07, 0xff], Broken::Padding),               // "0", then eleven bits of it
        (&[0x00], Broken::Padding),                     // "0", then zeros
        (&[0b0001_1110], Broken::Padding),              // "a", then ones that end in a zero
        (&[0xff, 0xff, 0xff], Broken::Padding),         // the beginning of the end
        (&[0xff, 0xff, 0xff, 0xff], Broken::End),       // the end itself
        (&[0x07, 0xff, 0xff, 0xff, 0xff], Broken::End), // after "0"
        (&[0xff, 0xff, 0xff, 0xf0], Broken::Padding),   // 28 ones are no code
    ] {
        assert_eq!(decoded(coded), Err(broken), "{coded:x?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(plain: Vec<u8>) {
        prop_assert_eq!(decoded(&encode(&plain)), Ok(plain));
    }

    /// There is one way to write a string: whatever can be read is what would be written.
    #[test]
    fn only_what_is_written_is_read(coded: Vec<u8>) {
        if let Ok(plain) = decoded(&coded) {
            prop_assert_eq!(encode(&plain), coded);
        }
    }
}
