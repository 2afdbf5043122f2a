//! Tests: the examples of the standard (RFC 7541 Appendix C), and what is no block.

use proptest::{collection::vec, prelude::*};

use super::*;

type List = Vec<(String, String)>;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(&String::from_iter(two), 16).expect("hexadecimal")).collect()
}

fn listed(decoder: &mut Decoder, block: &[u8]) -> (Result<(), Broken>, List) {
    let mut list = List::new();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let result = decoder.decode(block, &mut |name, value| list.push((text(name), text(value))));
    (result, list)
}

/// What the decoder's table holds, the newest first, as the standard prints it.
fn held(decoder: &Decoder) -> Vec<String> {
    let text = |octets| str::from_utf8(octets).expect("text");
    let fields = (0..).map_while(|newer| decoder.table.field(newer));
    fields.map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

fn lines(list: &List) -> Vec<String> {
    list.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

/// Blocks, and what each is and leaves in the table.
type Example = [(&'static str, &'static [&'static str], &'static [&'static str])];

#[track_caller]
fn plays(table_bytes: usize, example: &Example) {
    let mut decoder = Decoder::new(table_bytes);
    for (block, fields, table) in example {
        let (result, list) = listed(&mut decoder, &octets(block));
        assert_eq!(result, Ok(()), "{block}");
        assert_eq!(lines(&list), *fields, "{block}");
        assert_eq!(held(&decoder), *table, "{block}");
    }
}

#[test]
fn the_kinds_of_fields_are_read() {
    // RFC 7541 §C.2.
    let added = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    plays(4096, &[(added, &["custom-key: custom-header"], &["custom-key: custom-header"])]);
    plays(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], &[])]);
    plays(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], &[])]);
    plays(4096, &[("82", &[":method: GET"], &[])]);
}

const REQUESTS: [(&[&str], &[&str]); 3] = [
    (&[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"], &[":authority: www.example.com"]),
    (
        &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
        &["cache-control: no-cache", ":authority: www.example.com"],
    ),
    (
        &[
            ":method: GET",
            ":scheme: https",
            ":path: /index.html",
            ":authority: www.example.com",
            "custom-key: custom-value",
        ],
        &["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
    ),
];

#[test]
fn requests_are_read() {
    // RFC 7541 §C.3 and §C.4.
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, coded] {
        let example = std::array::from_fn::<_, 3, _>(|at| (blocks[at], REQUESTS[at].0, REQUESTS[at].1));
        plays(4096, &example);
    }
}

const DATE: &str = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const LATER: &str = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION: &str = "location: https://www.example.com";
const COOKIE: &str = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

const ANSWERS: [(&[&str], &[&str]); 3] = [
    (
        &[":status: 302", "cache-control: private", DATE, LOCATION],
        &[LOCATION, DATE, "cache-control: private", ":status: 302"],
    ),
    (
        &[":status: 307", "cache-control: private", DATE, LOCATION],
        &[":status: 307", LOCATION, DATE, "cache-control: private"],
    ),
    (
        &[":status: 200", "cache-control: private", LATER, LOCATION, "content-encoding: gzip", COOKIE],
        &[COOKIE, "content-encoding: gzip", LATER],
    ),
];

#[test]
fn answers_are_read_with_a_table_that_is_too_small_for_them() {
    // RFC 7541 §C.5 and §C.6.
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d \
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f \
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b \
         2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 \
         8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 \
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, coded] {
        let example = std::array::from_fn::<_, 3, _>(|at| (blocks[at], ANSWERS[at].0, ANSWERS[at].1));
        plays(256, &example);
    }
}

#[test]
fn a_block_that_is_cut_is_broken_or_has_fewer_fields() {
    for block in [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "203f e11f 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf 860f 2f01 61",
    ] {
        let block = octets(block);
        let (result, whole) = listed(&mut Decoder::new(4096), &block);
        assert_eq!(result, Ok(()));
        for cut in 0..block.len() {
            let (result, list) = listed(&mut Decoder::new(4096), &block[..cut]);
            assert!(matches!(result, Ok(()) | Err(Broken::Truncated)), "cut at {cut}: {result:?}");
            assert!(whole.starts_with(&list) && list.len() < whole.len(), "cut at {cut}: {list:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_apart() {
    for (block, broken) in [
        ("80", Broken::Index(0)),
        ("be", Broken::Index(62)),
        ("7f00 00", Broken::Index(63)),
        ("ffff ffff ff0f", Broken::Number),
        ("0001", Broken::Truncated),
        ("0001 61", Broken::Truncated),
        ("007f ffff ffff 0f", Broken::Number),
        ("0081 ff", Broken::Padding),
        ("0000 84ff ffff ff", Broken::End),
        ("3fe2 1f", Broken::Size { bytes: 4097, limit: 4096 }),
        ("203f e21f", Broken::Size { bytes: 4097, limit: 4096 }),
        ("8220", Broken::Late),
    ] {
        let (result, _) = listed(&mut Decoder::new(4096), &octets(block));
        assert_eq!(result, Err(broken), "{block}");
    }
}

#[test]
fn a_name_may_be_of_the_entry_that_goes_for_its_field() {
    let mut decoder = Decoder::new(40);
    let added = "4003 6f6e 6505 7661 6c75 65"; // one: value
    let again = "7e05 6f74 6865 72"; // its name: other
    let (result, list) = listed(&mut decoder, &octets(&[added, again].concat()));
    assert_eq!((result, lines(&list)), (Ok(()), vec!["one: value".into(), "one: other".into()]));
    assert_eq!(held(&decoder), ["one: other"]);
}

#[test]
fn the_limit_holds_for_what_is_asked_and_who_asks_for_nothing_is_understood() {
    let mut decoder = Decoder::new(4096);
    let added = octets("4003 6f6e 6505 7661 6c75 65 4003 7477 6f05 7661 6c75 65");
    assert_eq!(listed(&mut decoder, &added).0, Ok(()));
    decoder.limit(79);
    assert_eq!(listed(&mut decoder, &octets("bf")).0, Ok(()), "an update is not insisted on");
    assert_eq!(held(&decoder), ["two: value", "one: value"]);
    assert_eq!(listed(&mut decoder, &octets("3f31")).0, Err(Broken::Size { bytes: 80, limit: 79 }));
    assert_eq!(listed(&mut decoder, &octets("3f30")).0, Ok(()));
    assert_eq!(held(&decoder), ["two: value"]);
    decoder.limit(4096);
    assert_eq!(listed(&mut decoder, &added).0, Ok(()));
    assert_eq!(held(&decoder), ["two: value"], "a larger table is for the encoder to ask for");
    assert_eq!(listed(&mut decoder, &[&octets("3f31")[..], &added].concat()).0, Ok(()));
    assert_eq!(held(&decoder), ["two: value", "one: value"]);
}

proptest! {
    /// Also octets that are mostly fields of a table which they fill.
    #[test]
    fn any_octets_are_read_in_bounded_work(
        blocks in vec(vec(prop_oneof![any::<u8>(), 0xbe..=0xc2_u8, Just(0x40), Just(0x7e), 0..=0x10_u8], 0..300), 1..4)
    ) {
        let mut decoder = Decoder::new(512);
        for block in blocks {
            let (mut fields, mut told) = (0, 0);
            let result = decoder.decode(&block, &mut |name, value| {
                fields += 1;
                told += name.len() + value.len();
            });
            prop_assert!(fields <= block.len() && told <= 512 * block.len(), "{fields} fields, {told} bytes");
            let kept: usize = (0..).map_while(|newer| decoder.table.field(newer)).map(|(n, v)| n.len() + v.len() + 32).sum();
            prop_assert!(kept <= 512);
            if result.is_err() {
                break;
            }
        }
    }
}
