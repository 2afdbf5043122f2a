//! What ISC's `genreport` asks an authority (RFC 8906 §8, its 32 tests), byte by byte: each is answered as the RFC wants.

use super::*;

const ZONE_SOA: &[u8] = b"\x07cluster\x05local\0\0\x06\0\x01";
/// Type 666, which nobody knows.
const ZONE_666: &[u8] = b"\x07cluster\x05local\0\x02\x9a\0\x01";
const DO: u16 = 0x8000;
/// Options as genreport sends them: NSID, a cookie, EXPIRE, a client subnet, and one that nobody knows.
const NSID: &[u8] = b"\0\x03\0\0";
const COOKIE: &[u8] = b"\0\x0a\0\x08\x01\x02\x03\x04\x05\x06\x07\x08";
const EXPIRE: &[u8] = b"\0\x09\0\0";
const SUBNET: &[u8] = b"\0\x08\0\x04\0\x01\0\0";
const UNKNOWN: &[u8] = b"\0\x64\0\0";

/// One of the tests: what is asked, and what of the answer is looked at.
struct Asked {
    name: &'static str,
    /// The third and fourth byte of the header.
    flags: u16,
    question: &'static [u8],
    edns: Option<Opt>,
    /// Those of the answer.
    expected_flags: u16,
    code: u16,
    answers: u8,
    /// Options in the answer, each by its code.
    options: &'static [u16],
}

#[derive(Clone, Copy)]
struct Opt {
    version: u8,
    flags: u16,
    payload: u16,
    options: &'static [u8],
}

const fn plain(name: &'static str, flags: u16) -> Asked {
    let (question, code, answers) = (ZONE_SOA, 0, 1);
    // QR, AA, and RD as it was sent.
    Asked { name, flags, question, edns: None, expected_flags: 0x8400 | flags & 0x0100, code, answers, options: &[] }
}

const fn edns(name: &'static str, version: u8, flags: u16, options: &'static [u8], told: &'static [u16]) -> Asked {
    let edns = Some(Opt { version, flags, payload: 4096, options });
    if version == 0 {
        return Asked { edns, options: told, ..plain(name, 0) };
    }
    // BADVERS, of which the low bits are none.
    Asked { edns, expected_flags: 0x8000, code: 16, answers: 0, options: told, ..plain(name, 0) }
}

const fn of_opcode_15(name: &'static str, flags: u16) -> Asked {
    // A header alone. NOTIMP, the opcode, and no flag of what is not understood.
    Asked { question: b"", flags: 0x7800 | flags, expected_flags: 0xf804, code: 4, answers: 0, ..plain(name, 0) }
}

fn all() -> Vec<Asked> {
    vec![
        plain("dns", 0),
        plain("aa", 0x0400),
        plain("ad", 0x0020),
        plain("cd", 0x0010),
        plain("ra", 0x0080),
        plain("rd", 0x0100),
        plain("tc", 0x0200),
        plain("zflag", 0x0040),
        of_opcode_15("opcode", 0),
        of_opcode_15("opcodeflg", 0x07f0),
        Asked { question: ZONE_666, answers: 0, ..plain("type666", 0) },
        plain("tcp", 0),
        edns("edns", 0, 0, b"", &[]),
        edns("edns1", 1, 0, b"", &[]),
        Asked { edns: Some(Opt { version: 0, flags: 0, payload: 512, options: b"" }), ..plain("edns@512", 0) },
        edns("ednsopt", 0, 0, UNKNOWN, &[]),
        edns("edns1opt", 1, 0, UNKNOWN, &[]),
        edns("do", 0, DO, b"", &[]),
        Asked { flags: 0x0010, ..edns("docd", 0, DO, b"", &[]) },
        edns("edns1do", 1, DO, b"", &[]),
        edns("ednsflags", 0, 0x0080, b"", &[]),
        edns("edns1flags", 1, 0x0080, b"", &[]),
        edns("optlist", 0, 0, b"\0\x03\0\0\0\x08\0\x04\0\x01\0\0\0\x0a\0\x08\x01\x02\x03\x04\x05\x06\x07\x08", &[10]),
        edns("nsid", 0, 0, NSID, &[]),
        edns("edns1nsid", 1, 0, NSID, &[]),
        edns("cookie", 0, 0, COOKIE, &[10]),
        edns("edns1cookie", 1, 0, COOKIE, &[10]),
        edns("expire", 0, 0, EXPIRE, &[]),
        edns("edns1expire", 1, 0, EXPIRE, &[]),
        edns("subnet", 0, 0, SUBNET, &[]),
        edns("edns1subnet", 1, 0, SUBNET, &[]),
        edns("ednstcp", 0, 0, b"", &[]),
    ]
}

fn query(asked: &Asked) -> Vec<u8> {
    let [f0, f1] = asked.flags.to_be_bytes();
    let [questions, additional] = [!asked.question.is_empty(), asked.edns.is_some()].map(u8::from);
    let mut bytes = [&[7, 7, f0, f1, 0, questions, 0, 0, 0, 0, 0, additional], asked.question].concat();
    if let Some(opt) = asked.edns {
        let ([p0, p1], [d0, d1]) = (opt.payload.to_be_bytes(), opt.flags.to_be_bytes());
        bytes.extend([0, 0, 41, p0, p1, 0, opt.version, d0, d1, 0, opt.options.len() as u8]);
        bytes.extend(opt.options);
    }
    bytes
}

#[test]
fn all_32_tests_of_genreport_are_answered_as_rfc_8906_wants() {
    assert_eq!(all().len(), 32);
    for asked in all() {
        let (name, query) = (asked.name, query(&asked));
        let transport = if name.ends_with("tcp") { Transport::Tcp } else { Transport::Udp };
        let mut out = Vec::new();
        let outcome =
            answer(&query, &transport.into(), &zone(), &Outside::Refused.into(), &mut Rng::with_seed(1), &mut out);
        assert!(matches!(outcome, Outcome::Answered(_)), "{name}: {outcome:?}");
        let low = asked.code & 0x0f;
        assert_eq!(out[..2], [7, 7], "{name}");
        assert_eq!(u16::from_be_bytes([out[2], out[3]]), asked.expected_flags & 0xfff0 | low, "{name}: {out:02x?}");
        assert_eq!((out[5], out[7]), (query[5], asked.answers), "{name}: {out:02x?}");
        let end = 12 + asked.question.len();
        assert_eq!(out[12..end], *asked.question, "{name}");
        let message = Message::from_vec(&out).unwrap();
        let Some(opt) = asked.edns else {
            assert!(message.edns.is_none(), "{name}: OPT answers OPT alone");
            continue;
        };
        let told = message.edns.unwrap_or_else(|| panic!("{name}: no OPT"));
        assert_eq!((told.version(), told.rcode_high()), (0, (asked.code >> 4) as u8), "{name}");
        // Of the flags DO alone comes back.
        assert_eq!((told.flags().dnssec_ok, told.flags().z), (opt.flags & DO != 0, 0), "{name}");
        let codes: Vec<u16> = told.options().options.iter().map(|(code, _)| u16::from(*code)).collect();
        assert_eq!(codes, asked.options, "{name}");
    }
}
