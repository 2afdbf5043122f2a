//! Who keeps an address. Two instances may share a machine on different ports; a port of an address belongs to one
//! origin: to the one that callers can call, and of equals to the earlier one. Endpoints of EndpointSlices never exclude
//! one another: that a pod which is leaving and the one that follows it have one address is everyday life.

use std::net::IpAddr;
use std::sync::Arc;

use super::offers::Candidate;
use crate::hashed::HashMap;
use crate::input::OriginKind;
use crate::model::{Ports, Protocol};
use crate::service::{Member, Why};

/// What those that stand have, each found at once: a contest costs the same for each port, however many share an
/// address.
#[derive(Default)]
struct Claims {
    sockets: HashMap<(IpAddr, Protocol, u16), First>,
    /// By those that name no port, which have them all.
    whole: HashMap<IpAddr, First>,
    any: HashMap<IpAddr, First>,
}

/// The first who claimed something: of the slices, and of the others.
#[derive(Clone, Copy, Default)]
struct First {
    slice: Option<usize>,
    other: Option<usize>,
}

/// Decides between candidates that may have addresses in common: all of a service, or all that are connected by them.
/// What was decided before does not matter.
pub(crate) fn contest(candidates: &mut [&mut Candidate]) {
    if !share_an_address(candidates) {
        candidates.iter_mut().for_each(|candidate| candidate.settle(None));
        return;
    }
    candidates.sort_unstable_by(|a, b| {
        let ready = |candidate: &Candidate| candidate.member().is_some_and(|member| member.conditions.ready);
        ready(b).cmp(&ready(a)).then_with(|| a.order.cmp(&b.order))
    });
    let mut claims = Claims::default();
    for at in 0..candidates.len() {
        let Some(member) = candidates[at].member() else { continue };
        let winner = claims.against(member).and_then(|(address, winner)| {
            let winner = candidates[winner].member()?;
            Some(Why::Claimed { address, winner: Arc::clone(&winner.origin), name: winner.endpoint.name().to_name() })
        });
        if winner.is_none() {
            claims.add(at, member);
        }
        candidates[at].settle(winner);
    }
}

/// Most services have nothing to decide.
fn share_an_address(candidates: &[&mut Candidate]) -> bool {
    let members = candidates.iter().filter_map(|candidate| candidate.member());
    let mut addresses: Vec<IpAddr> = members.flat_map(|member| member.endpoint.addresses.iter()).collect();
    addresses.sort_unstable();
    addresses.windows(2).any(|pair| pair[0] == pair[1])
}

// === impl Claims ===

impl Claims {
    /// The address that a member wants and whoever has it.
    fn against(&self, member: &Member) -> Option<(IpAddr, usize)> {
        let kind = member.origin.kind;
        let ports = &member.endpoint.ports;
        member.endpoint.addresses.iter().find_map(|ip| {
            let whole = self.whole.get(&ip).and_then(|first| first.against(kind));
            let of_ports = match ports.is_empty() {
                true => self.any.get(&ip).and_then(|first| first.against(kind)),
                false => sockets(ip, ports).filter_map(|socket| self.sockets.get(&socket)?.against(kind)).min(),
            };
            Some((ip, whole.into_iter().chain(of_ports).min()?))
        })
    }

    fn add(&mut self, at: usize, member: &Member) {
        let kind = member.origin.kind;
        let ports = &member.endpoint.ports;
        for ip in member.endpoint.addresses.iter() {
            self.any.entry(ip).or_default().add(kind, at);
            if ports.is_empty() {
                self.whole.entry(ip).or_default().add(kind, at);
            }
            for socket in sockets(ip, ports) {
                self.sockets.entry(socket).or_default().add(kind, at);
            }
        }
    }
}

fn sockets(ip: IpAddr, ports: &Ports) -> impl Iterator<Item = (IpAddr, Protocol, u16)> {
    ports.iter().map(move |port| (ip, port.protocol, port.number))
}

// === impl First ===

impl First {
    fn add(&mut self, kind: OriginKind, at: usize) {
        self.of(kind).get_or_insert(at);
    }

    fn of(&mut self, kind: OriginKind) -> &mut Option<usize> {
        match kind {
            OriginKind::EndpointSlice | OriginKind::Service => &mut self.slice,
            OriginKind::ServiceRegistration | OriginKind::Import => &mut self.other,
        }
    }

    /// Who stands in the way of an endpoint of `kind`.
    fn against(&self, kind: OriginKind) -> Option<usize> {
        match kind {
            OriginKind::EndpointSlice | OriginKind::Service => self.other,
            OriginKind::ServiceRegistration | OriginKind::Import => self.slice.into_iter().chain(self.other).min(),
        }
    }
}
