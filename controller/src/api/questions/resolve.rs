//! `GET …/resolve`: one endpoint to call, chosen here: by weight, own zone first, then own region, never one that is not to be
//! called.

use std::net::SocketAddr;
use std::sync::Arc;

use rollcall_catalog::model::Port;
use rollcall_catalog::service::{Member, Service};
use serde::Serialize;

use super::super::answer::Answer;
use super::super::ask::Ask;
use super::super::problem::{Action, Kind, Problem};
use super::filter::Filter;
use super::told::{PortTold, Told};
use super::{Desk, key, no_service};
use crate::time::random;

/// Where a caller is.
#[derive(Clone, Copy, Debug, Default)]
struct Caller<'a> {
    zone: Option<&'a str>,
    region: Option<&'a str>,
}

/// How near an endpoint is. The nearest that there is counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Near {
    Zone,
    Region,
    Any,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    namespace: &'a str,
    service: &'a str,
    /// What to connect to.
    address: SocketAddr,
    port: PortTold<'a>,
    nearest: Near,
    endpoint: Told<'a>,
}

const PARAMETERS: [&str; 5] = ["tag", "origin", "zone", "region", "port"];

/// Answers with one endpoint.
pub(super) fn answer(desk: &Arc<Desk>, ask: Ask) -> Result<Answer, Problem> {
    ask.query.only(&PARAMETERS)?;
    let filter = Filter::read(&ask.query)?.anywhere();
    let caller = Caller { zone: ask.query.one("zone")?, region: ask.query.one("region")? };
    let (key, snapshot) = (key(&ask), desk.snapshot()?);
    let service = snapshot.get(&key).filter(|service| service.exists()).ok_or_else(|| no_service(&key))?;
    let wanted = ask.query.one("port")?;
    let port = |member| port(member, wanted);
    let candidates = || {
        let members = service.endpoints.iter().filter(|member| is_callable(member) && filter.takes(service, member));
        members.filter(|member| port(member).is_some())
    };
    let Some((nearest, member)) = choose(candidates, caller, random::fraction()) else {
        return Err(none(service, wanted));
    };
    let (Some(port), Some(ip)) = (port(member), member.endpoint.addresses.iter().next()) else {
        return Err(none(service, wanted));
    };
    Ok(Answer::json(&Body {
        namespace: &key.namespace,
        service: &key.name,
        address: SocketAddr::new(ip, port.number),
        port: PortTold::new(port),
        nearest,
        endpoint: Told::new(service, member),
    }))
}

/// Also where the Service asks for those that are not ready: what is dead is not chosen.
fn is_callable(member: &Member) -> bool {
    member.conditions.ready && member.health.is_callable()
}

/// By name or by number; the first without either.
fn port<'a>(member: &'a Member, wanted: Option<&str>) -> Option<&'a Port> {
    let is = |port: &&Port| wanted.is_none_or(|wanted| *port.name == *wanted || port.number.to_string() == wanted);
    member.endpoint.ports.iter().find(is)
}

/// One of the nearest by weight; `chance` is in 0..1.
fn choose<'a, I>(candidates: impl Fn() -> I, caller: Caller<'_>, chance: f64) -> Option<(Near, &'a Member)>
where
    I: Iterator<Item = &'a Member>,
{
    let near = |member: &Member| caller.near(member);
    let nearest = candidates().map(near).min()?;
    let of_them = || candidates().filter(|member| near(member) == nearest);
    let weight = |member: &Member| u64::from(member.endpoint.weight.max(1));
    let total: u64 = of_them().map(weight).sum();
    let mut left = (chance * total as f64) as u64;
    for member in of_them() {
        match left.checked_sub(weight(member)) {
            Some(rest) => left = rest,
            None => return Some((nearest, member)),
        }
    }
    // Rounding at the upper end.
    of_them().last().map(|member| (nearest, member))
}

fn none(service: &Service, port: Option<&str>) -> Problem {
    let (key, counts) = (&service.key, service.counts());
    let of_port = port.map(|port| format!(" with a port {port}")).unwrap_or_default();
    let detail = format!(
        "{key} has no endpoint{of_port} that can be called and is as you ask: {} of {} can be called",
        counts.callable, counts.endpoints
    );
    let story = format!("/v1/namespaces/{}/services/{}/explain", key.namespace, key.name);
    Problem::new(Kind::NoneCallable, detail).remedied(Action::ExplainService, story)
}

// === impl Caller ===

impl Caller<'_> {
    fn near(&self, member: &Member) -> Near {
        let same = |own: Option<&str>, theirs: Option<&str>| own.is_some() && own == theirs;
        if same(self.zone, member.zone.as_deref()) {
            Near::Zone
        } else if same(self.region, member.region.as_deref()) {
            Near::Region
        } else {
            Near::Any
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing;

    fn service() -> Arc<Service> {
        let mut other = (*testing::vm("far", "192.0.2.2")).clone();
        other.zone = Some("zone-b".into());
        other.weight = 3;
        let near = testing::vm("near", "192.0.2.1");
        let mut third = other.clone();
        (third.named, third.weight) = (Some("third".into()), 1);
        third.addresses = std::net::IpAddr::from([192, 0, 2, 3]).into();
        testing::merged([testing::registered("payments", vec![near, Arc::new(other), Arc::new(third)])])
    }

    fn chosen(service: &Service, zone: Option<&str>) -> BTreeMap<String, usize> {
        let caller = Caller { zone, region: None };
        let mut counts = BTreeMap::new();
        for step in 0..1000 {
            let (_, member) = choose(|| service.endpoints.iter(), caller, f64::from(step) / 1000.0).expect("one");
            *counts.entry(member.endpoint.name().to_string()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn the_own_zone_goes_first_and_then_the_weight_decides() {
        let service = service();
        assert_eq!(chosen(&service, Some("zone-a")), BTreeMap::from([("near".to_owned(), 1000)]));
        let by_weight = [("far".to_owned(), 750), ("third".to_owned(), 250)];
        assert_eq!(chosen(&service, Some("zone-b")), BTreeMap::from(by_weight));
        let all = [("far".to_owned(), 600), ("near".to_owned(), 200), ("third".to_owned(), 200)];
        assert_eq!(chosen(&service, Some("elsewhere")), BTreeMap::from(all.clone()));
        assert_eq!(chosen(&service, None), BTreeMap::from(all));
    }
}
