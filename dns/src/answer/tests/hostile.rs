//! Whatever arrives, nothing panics and no limit is passed.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::zone::Rng;

static ZONE: LazyLock<Arc<Zone>> = LazyLock::new(zone);

fn check(zone: &Zone, bytes: &[u8], transport: Transport) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    // Forwarding reads the same bytes; what becomes of them then is no matter here.
    answer(bytes, &transport.into(), zone, &Outside::Forwarded.into(), &mut Rng::with_seed(1), &mut out);
    if let Outcome::Ignored =
        answer(bytes, &transport.into(), zone, &Outside::Refused.into(), &mut Rng::with_seed(1), &mut out)
    {
        return Ok(());
    }
    let limit = if transport == Transport::Udp { 1232 } else { 65535 };
    prop_assert!(out.len() <= limit, "{} bytes", out.len());
    prop_assert_eq!(&out[..2], &bytes[..2], "the id");
    let response = Message::from_vec(&out);
    prop_assert!(response.is_ok(), "unreadable answer {out:02x?}");
    Ok(())
}

/// A good query with some bytes changed, cut or added.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let names = ["db.shop.svc.cluster.local.", "_pg._tcp.db.shop.svc.cluster.local.", "2.0.1.10.in-addr.arpa.", "."];
    let types = [RecordType::A, RecordType::SRV, RecordType::PTR, RecordType::ANY, RecordType::OPT];
    let damage = prop::collection::vec((0..200_usize, any::<u8>()), 0..6);
    let tail = prop::collection::vec(any::<u8>(), 0..40);
    (
        prop::sample::select(names.to_vec()),
        prop::sample::select(types.to_vec()),
        any::<bool>(),
        damage,
        0..200_usize,
        tail,
    )
        .prop_map(|(name, rtype, edns, damage, cut, tail)| {
            let mut message = query(name, rtype);
            if edns {
                message.set_edns(hickory_proto::op::Edns::new());
            }
            let mut bytes = message.to_vec().unwrap();
            bytes.extend(tail);
            for (at, byte) in damage {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(cut.max(2));
            bytes
        })
}

/// A query with an OPT record of these data.
fn with_options(data: &[u8]) -> Vec<u8> {
    let mut bytes = query("web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    bytes[11] = 1;
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

/// Counts what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::atomic::AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() <= tracing::Level::INFO {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn options_that_are_not_whole_are_formerr_and_those_that_are_wrong_within_do_not_matter() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        // Cut ones, and a cookie of one byte (RFC 7873 §5.2.2).
        for broken in [&[0, 10, 0, 200, 1][..], &[0, 10, 0], &[0, 8, 0, 4, 0, 1, 24, 0, 9], &[0, 10, 0, 1, 1]] {
            let response = ask_bytes(&ZONE, &with_options(broken), Transport::Udp).unwrap();
            assert_eq!(response.metadata.response_code, ResponseCode::FormErr, "{broken:?}");
        }
        // A client subnet of no family, an empty extended error, one option twice.
        for odd in [&[0, 8, 0, 1, 9][..], &[0, 15, 0, 0], &[0, 3, 0, 0, 0, 3, 0, 0]] {
            let response = ask_bytes(&ZONE, &with_options(odd), Transport::Udp).unwrap();
            assert_eq!(
                (response.metadata.response_code, response.answers.len()),
                (ResponseCode::NoError, 1),
                "{odd:?}"
            );
        }
    });
    assert_eq!(lines.0.load(std::sync::atomic::Ordering::Relaxed), 0, "a stranger's packet is a line of the log");
}

#[test]
fn a_second_opt_or_one_in_the_wrong_place_is_formerr() {
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let plain = query("web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    let mut twice = with_options(&[]);
    twice[11] = 2;
    twice.extend(opt);
    let mut answer = plain.clone();
    answer[7] = 1;
    answer.extend(opt);
    let mut named = plain;
    named[11] = 1;
    named.extend([1, b'x']);
    named.extend(opt);
    for bytes in [twice, answer, named] {
        let response = ask_bytes(&ZONE, &bytes, Transport::Udp).unwrap();
        assert_eq!((response.metadata.response_code, response.edns.is_some()), (ResponseCode::FormErr, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 2..600), tcp: bool) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        check(&ZONE, &bytes, transport)?;
    }

    #[test]
    fn damaged_queries_never_panic(bytes in damaged(), tcp: bool) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        check(&ZONE, &bytes, transport)?;
    }

    #[test]
    fn any_name_and_type_is_answered(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6), rtype: u16) {
        let name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
        let name = if rtype % 2 == 0 { name.append_domain(&Name::from_ascii("shop.svc.cluster.local.").unwrap()).unwrap() } else { name };
        let mut message = query(".", RecordType::A);
        message.queries = vec![Query::query(name, RecordType::from(rtype))];
        let bytes = message.to_vec().unwrap();
        let mut out = Vec::new();
        let outcome = answer(&bytes, &Transport::Udp.into(), &ZONE, &Outside::Refused.into(), &mut Rng::with_seed(1), &mut out);
        prop_assert!(matches!(outcome, Outcome::Answered(_)), "{outcome:?}");
        check(&ZONE, &bytes, Transport::Udp)?;
    }
}
