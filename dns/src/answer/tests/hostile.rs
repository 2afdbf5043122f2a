//! Whatever arrives, nothing panics and no limit is passed.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::zone::Rng;

static ZONE: LazyLock<Arc<Zone>> = LazyLock::new(zone);

fn check(zone: &Zone, bytes: &[u8], transport: Transport) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    // Forwarding reads the same bytes; what becomes of them then is no matter here.
    answer(bytes, transport, zone, Outside::Forwarded, &mut Rng::with_seed(1), &mut out);
    if let Outcome::Ignored = answer(bytes, transport, zone, Outside::Refused, &mut Rng::with_seed(1), &mut out) {
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
        let outcome = answer(&bytes, Transport::Udp, &ZONE, Outside::Refused, &mut Rng::with_seed(1), &mut out);
        prop_assert!(matches!(outcome, Outcome::Answered(_)), "{outcome:?}");
        check(&ZONE, &bytes, Transport::Udp)?;
    }
}
