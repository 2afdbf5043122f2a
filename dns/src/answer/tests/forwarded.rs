//! Which questions leave, when there is somebody to ask.

use super::*;

/// The name that is asked elsewhere and the length of the chain that led there, or the answer's code.
fn asked(zone: &Zone, name: &str, rtype: RecordType) -> Result<(String, usize), ResponseCode> {
    let (bytes, mut out) = (query(name, rtype).to_vec().unwrap(), Vec::new());
    match answer(&bytes, &Transport::Udp.into(), zone, &Outside::Forwarded.into(), &mut Rng::with_seed(1), &mut out) {
        Outcome::Foreign(foreign) => Ok((foreign.name.to_ascii(), foreign.chain.len())),
        Outcome::Answered(summary) => Err(summary.rcode),
        Outcome::Kept | Outcome::Transfer(_) | Outcome::Ignored => panic!("{name} is a query"),
    }
}

#[test]
fn names_outside_of_all_zones_leave_as_they_came() {
    for name in ["www.example.com.", "WWW.Example.COM.", "cluster.local.example.com.", "4.arpa."] {
        assert_eq!(asked(&zone(), name, RecordType::A), Ok((name.to_owned(), 0)));
    }
}

#[test]
fn no_name_of_the_cluster_ever_leaves() {
    let cases = [
        ("web.shop.svc.cluster.local.", RecordType::A, ResponseCode::NoError),
        ("nobody.shop.svc.CLUSTER.local.", RecordType::A, ResponseCode::NXDomain),
        ("cluster.local.", RecordType::SOA, ResponseCode::NoError),
        ("www.example.com.shop.svc.cluster.local.", RecordType::AAAA, ResponseCode::NXDomain),
        ("dangling.shop.svc.cluster.local.", RecordType::A, ResponseCode::NXDomain),
    ];
    for (name, rtype, code) in cases {
        assert_eq!(asked(&zone(), name, rtype), Err(code), "{name}");
    }
}

#[test]
fn a_reverse_name_leaves_unless_the_catalog_knows_the_address() {
    let known = ["2.0.1.10.in-addr.arpa.", "1.0.96.10.in-addr.arpa."];
    for name in known {
        assert_eq!(asked(&zone(), name, RecordType::PTR), Err(ResponseCode::NoError), "{name}");
    }
    // Whole, without what this server would have said in its place.
    assert_eq!(asked(&zone(), "in-addr.arpa.", RecordType::SOA), Ok(("in-addr.arpa.".to_owned(), 0)));
    assert_eq!(asked(&zone(), "ip6.arpa.", RecordType::NS), Ok(("ip6.arpa.".to_owned(), 0)));
    for name in ["9.9.9.9.in-addr.arpa.", "1.10.in-addr.arpa.", "in-addr.arpa.", "x.ip6.arpa."] {
        assert_eq!(asked(&zone(), name, RecordType::PTR), Ok((name.to_owned(), 0)));
    }
}

#[test]
fn the_target_of_an_external_name_leaves_with_the_chain_that_led_there() {
    let away = "away.shop.svc.cluster.local.";
    assert_eq!(asked(&zone(), away, RecordType::A), Ok(("api.example.com.".to_owned(), 1)));
    assert_eq!(asked(&zone(), away, RecordType::CNAME), Err(ResponseCode::NoError));
    assert_eq!(asked(&zone(), "inside.shop.svc.cluster.local.", RecordType::A), Err(ResponseCode::NoError));
}

#[test]
fn what_validators_need_of_top_level_domains_and_the_root_leaves() {
    for (name, rtype) in [("com.", RecordType::DS), (".", RecordType::DNSKEY), ("local.", RecordType::DS)] {
        assert_eq!(asked(&zone(), name, rtype), Ok((name.to_owned(), 0)), "{rtype}");
    }
}

#[test]
fn what_is_refused_without_forwarding_for_its_form_is_refused_with_it() {
    assert_eq!(asked(&zone(), "web.", RecordType::A), Err(ResponseCode::NXDomain));
    assert_eq!(asked(&zone(), "web.", RecordType::TSIG), Err(ResponseCode::Refused));
    assert_eq!(asked(&zone(), ".", RecordType::AXFR), Err(ResponseCode::Refused));
    assert_eq!(asked(&zone(), "example.com.", RecordType::AXFR), Err(ResponseCode::Refused));
}

#[test]
fn all_that_is_answered_here_says_that_recursion_is_to_be_had() {
    let (zone, mut out) = (zone(), Vec::new());
    let mut check = |bytes: &[u8], outside: Outside| {
        answer(bytes, &Transport::Udp.into(), &zone, &outside.into(), &mut Rng::with_seed(1), &mut out);
        let message = Message::from_vec(&out).unwrap();
        assert_eq!(message.metadata.recursion_available, outside == Outside::Forwarded, "{message}");
    };
    let names = ["web.shop.svc.cluster.local.", "nobody.shop.svc.cluster.local.", "cluster.local.", "com.", "*."];
    let mut all: Vec<_> = names.iter().map(|name| query(name, RecordType::A).to_vec().unwrap()).collect();
    all.push(query(".", RecordType::AXFR).to_vec().unwrap());
    all.push(query("web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap()[..20].to_vec());
    for bytes in all {
        check(&bytes, Outside::Forwarded);
        check(&bytes, Outside::Refused);
    }
}

#[test]
fn a_short_name_that_is_denied_comes_with_the_soa_that_says_for_how_long() {
    let (zone, mut out) = (zone(), Vec::new());
    let bytes = query("com.", RecordType::A).to_vec().unwrap();
    answer(&bytes, &Transport::Udp.into(), &zone, &Outside::Forwarded.into(), &mut Rng::with_seed(1), &mut out);
    let message = Message::from_vec(&out).unwrap();
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
    let soa: Vec<_> = message.authorities.iter().map(|soa| (soa.name.to_ascii(), soa.record_type(), soa.ttl)).collect();
    assert_eq!(soa, [(".".to_owned(), RecordType::SOA, 5)]);
}
