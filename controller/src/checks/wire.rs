//! What checks tell peers and hear from them, as messages on the exchange.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::model::{Addresses, Health, Name};
use rollcall_health::checks::Ask;
use rollcall_health::confirmation::{Testimony, Vote};
use rollcall_health::ledger::{Evidence, Subject, Vantage, Witness};
use rollcall_xds::proto::rollcall::v1;

/// Before the name of a service whose pods are meant; a registration's name has no slash.
const PODS: &str = "pods/";

/// The name of what is said of a registration.
pub fn verdicts_name(origin: &Origin) -> String {
    format!("{}/{}", origin.namespace, named(origin))
}

/// A registration by its name; the pods of a service by that of the service.
fn named(origin: &Origin) -> String {
    match origin.kind {
        OriginKind::Service => format!("{PODS}{}", origin.name),
        OriginKind::EndpointSlice | OriginKind::ServiceRegistration | OriginKind::Import => origin.name.to_string(),
    }
}

fn origin_named(namespace: &str, named: &str) -> Arc<Origin> {
    Arc::new(match named.strip_prefix(PODS) {
        Some(service) => Origin::here(OriginKind::Service, namespace, service),
        None => Origin::here(OriginKind::ServiceRegistration, namespace, named),
    })
}

/// The registration that a name is of.
pub fn origin(name: &str) -> Option<Arc<Origin>> {
    let (namespace, named) = name.split_once('/')?;
    Some(origin_named(namespace, named))
}

/// What is said of a registration; `None` when that is nothing.
pub fn verdicts(said: &[(&Name, &Subject)]) -> Option<Bytes> {
    let covered = |(endpoint, subject): &(&Name, &Subject)| v1::Covered {
        endpoint: endpoint.to_string(),
        addresses: subject.addresses.iter().map(octets).collect(),
        evidence: subject.evidence.iter().filter(|said| !was_asked(said)).map(evidence).collect(),
        // Apart: a replica of an earlier release counts whatever it finds among the evidence.
        asked: subject.evidence.iter().filter(was_asked).map(evidence).collect(),
    };
    let message = v1::Verdicts { endpoints: said.iter().map(covered).collect() };
    (!said.is_empty()).then(|| message.encode_to_vec().into())
}

/// What a peer said of a registration. What of it cannot be read is left out.
pub fn read_verdicts(body: Bytes) -> BTreeMap<Name, Subject> {
    let Ok(message) = v1::Verdicts::decode(body) else { return BTreeMap::new() };
    let covered = |covered: v1::Covered| {
        let ips: Option<Vec<_>> = covered.addresses.iter().map(|octets| ip(octets)).collect();
        let evidence = covered.evidence.into_iter().chain(covered.asked).filter_map(read_evidence).collect();
        Some((covered.endpoint.into(), Subject { addresses: Addresses::from_ips(ips?)?, evidence }))
    };
    message.endpoints.into_iter().filter_map(covered).collect()
}

/// A question to others.
pub fn doubt(ask: &Ask) -> Bytes {
    let message = v1::Doubt {
        namespace: ask.origin.namespace.to_string(),
        registration: named(&ask.origin),
        endpoint: ask.endpoint.to_string(),
        check: ask.check.to_string(),
        address: octets(ask.address.ip()),
        port: ask.address.port().into(),
        asked: ask.asked.iter().map(ToString::to_string).collect(),
    };
    message.encode_to_vec().into()
}

/// The question of a peer.
pub fn read_doubt(body: Bytes) -> Option<Ask> {
    let message = v1::Doubt::decode(body).ok()?;
    Some(Ask {
        origin: origin_named(&message.namespace, &message.registration),
        endpoint: message.endpoint.into(),
        check: message.check.into(),
        address: SocketAddr::new(ip(&message.address)?, u16::try_from(message.port).ok()?),
        asked: message.asked.into_iter().map(Name::from).collect(),
    })
}

/// An answer.
pub fn testimony(said: &Testimony) -> Bytes {
    let word = |vote| match vote {
        Vote::Reached => v1::testimony::Vote::Reached,
        Vote::Failed => v1::testimony::Vote::Failed,
        Vote::Abstained => v1::testimony::Vote::Abstained,
    };
    let relayed = |(name, vote): (&Name, &Vote)| v1::Relayed { name: name.to_string(), vote: word(*vote).into() };
    let message = v1::Testimony {
        vote: said.own.map_or(v1::testimony::Vote::Abstained, word).into(),
        relayed: said.relayed.iter().map(relayed).collect(),
        is_open: said.own.is_none(),
    };
    message.encode_to_vec().into()
}

/// The answer of a peer.
pub fn read_testimony(body: Bytes) -> Option<Testimony> {
    let read = |vote| match vote {
        v1::testimony::Vote::Reached => Vote::Reached,
        v1::testimony::Vote::Failed => Vote::Failed,
        v1::testimony::Vote::Abstained => Vote::Abstained,
    };
    let message = v1::Testimony::decode(body).ok()?;
    let own = (!message.is_open).then(|| read(message.vote()));
    let relayed = message.relayed.iter().map(|said| (said.name.as_str().into(), read(said.vote())));
    Some(Testimony { own, relayed: relayed.collect() })
}

fn was_asked((witness, _): &(&Witness, &Evidence)) -> bool {
    matches!(witness.vantage, Vantage::Peer(_))
}

fn evidence((witness, said): (&Witness, &Evidence)) -> v1::Evidence {
    let (address, port, peer) = match &witness.vantage {
        Vantage::Address(address) => (octets(address.ip()), address.port().into(), String::new()),
        Vantage::Instance | Vantage::Machine => (Bytes::new(), 0, String::new()),
        Vantage::Peer(peer) => (Bytes::new(), 0, peer.to_string()),
    };
    let health = match said.health {
        Health::Passing => v1::evidence::Health::Passing,
        Health::Warning => v1::evidence::Health::Warning,
        Health::Critical => v1::evidence::Health::Critical,
        Health::Unknown | Health::Maintenance => v1::evidence::Health::Unknown,
    };
    let (since_ms, reason) = (said.since_ms, said.reason.to_string());
    let (name, on_machine) = (witness.name.to_string(), witness.vantage == Vantage::Machine);
    v1::Evidence { name, address, port, peer, health: health.into(), since_ms, reason, on_machine }
}

fn read_evidence(said: v1::Evidence) -> Option<(Witness, Evidence)> {
    let health = match said.health() {
        v1::evidence::Health::Passing => Health::Passing,
        v1::evidence::Health::Warning => Health::Warning,
        v1::evidence::Health::Critical => Health::Critical,
        v1::evidence::Health::Unknown => Health::Unknown,
    };
    let vantage = match (said.address.is_empty(), said.peer.is_empty()) {
        (false, _) => Vantage::Address(SocketAddr::new(ip(&said.address)?, u16::try_from(said.port).ok()?)),
        (true, false) => Vantage::Peer(said.peer.into()),
        (true, true) if said.on_machine => Vantage::Machine,
        (true, true) => Vantage::Instance,
    };
    let witness = Witness { name: said.name.into(), vantage };
    Some((witness, Evidence { health, since_ms: said.since_ms, reason: said.reason.into() }))
}

fn octets(ip: IpAddr) -> Bytes {
    match ip {
        IpAddr::V4(v4) => Bytes::copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => Bytes::copy_from_slice(&v6.octets()),
    }
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_as_it_was_said() {
        let origin = Origin::here(OriginKind::ServiceRegistration, "shop", "vms");
        let pods = Origin::here(OriginKind::Service, "shop", "vms");
        for origin in [&origin, &pods] {
            assert_eq!(*super::origin(&verdicts_name(origin)).expect("a name"), *origin);
        }
        let witness = |vantage| Witness { name: "web".into(), vantage };
        let said = |health| Evidence { health, since_ms: 7, reason: "answered 200".into() };
        let evidence = [
            (witness(Vantage::Address("[2001:db8::1]:80".parse().expect("an address"))), said(Health::Passing)),
            (witness(Vantage::Instance), said(Health::Critical)),
            (witness(Vantage::Peer("b".into())), said(Health::Warning)),
            (witness(Vantage::Machine), said(Health::Critical)),
        ];
        let addresses = Addresses::from_ips(["198.51.100.1".parse().expect("an address")]).expect("one");
        let (name, subject) = (Name::from("vm-1"), Subject { addresses, evidence: evidence.into_iter().collect() });
        let body = verdicts(&[(&name, &subject)]).expect("something");
        assert_eq!(read_verdicts(body), [(name, subject)].into());
        assert_eq!((verdicts(&[]), read_verdicts(Bytes::from_static(b"\xff"))), (None, BTreeMap::new()));

        let ask = Ask {
            origin: Arc::new(origin),
            endpoint: "vm-1".into(),
            check: "web".into(),
            address: "198.51.100.1:80".parse().expect("an address"),
            asked: vec!["b".into(), "c".into()],
        };
        assert_eq!(read_doubt(doubt(&ask)), Some(ask));
        for own in [Some(Vote::Reached), Some(Vote::Failed), Some(Vote::Abstained), None] {
            for relayed in
                [BTreeMap::new(), [("agent/vm-1".into(), Vote::Reached), ("dns/a".into(), Vote::Failed)].into()]
            {
                let said = Testimony { own, relayed };
                assert_eq!(read_testimony(testimony(&said)), Some(said));
            }
        }
    }
}
