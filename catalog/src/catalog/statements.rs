//! What a contribution has to do with, and what of it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::node_key;
use crate::guard::all_of;
use crate::input::OriginKind;
use crate::merge::Statement;
use crate::merge::offers::pod_identity;
use crate::model::Uid;

/// Where a contribution is to be found again. Each sorted, without duplicates.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) pods: Vec<(u64, Option<Uid>)>,
    pub(super) nodes: Vec<(u64, u64)>,
    pub(super) addresses: Vec<(IpAddr, u64)>,
    /// Of another cluster.
    pub(super) imported: Vec<IpAddr>,
}

/// What became of an item of a sorted list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Removed,
}

/// Tells in what two sorted lists differ.
pub(super) fn differences<T: Ord + Copy>(mut old: &[T], mut new: &[T], mut tell: impl FnMut(T, Change)) {
    loop {
        match (old.split_first(), new.split_first()) {
            (Some((a, rest_of_old)), Some((b, rest_of_new))) if a == b => (old, new) = (rest_of_old, rest_of_new),
            (Some((a, rest)), b) if b.is_none_or(|(b, _)| a < b) => {
                tell(*a, Change::Removed);
                old = rest;
            }
            (_, Some((b, rest))) => {
                tell(*b, Change::Added);
                new = rest;
            }
            _ => return,
        }
    }
}

pub(super) fn details(statement: &Statement) -> Details {
    let mut details = Details::default();
    let origin = &statement.contribution.origin;
    for (id, endpoint) in statement.endpoints() {
        if let Some((name, pod)) = endpoint.pod() {
            details.pods.push((pod_identity(pod.namespace_in(&origin.namespace), name), pod.uid));
        }
        if let Some(node) = &endpoint.node {
            details.nodes.push((node_key(node), id));
        }
        if let Some(machine) = &endpoint.attributes.machine {
            details.nodes.push((node_key(machine), id));
        }
        match origin.kind {
            OriginKind::EndpointSlice => {}
            OriginKind::Import => details.imported.extend(all_of(endpoint.addresses)),
            OriginKind::ServiceRegistration | OriginKind::Service => {
                details.addresses.extend(all_of(endpoint.addresses).map(|ip| (ip, id)));
            }
        }
    }
    details.pods.sort_unstable();
    details.pods.dedup();
    details.nodes.sort_unstable();
    details.nodes.dedup();
    details.addresses.sort_unstable();
    details.addresses.dedup();
    details.imported.sort_unstable();
    details.imported.dedup();
    details
}

/// The identities of which something else is said than before.
///
/// In a contended service the place of an endpoint within its origin may decide; so there a list of other endpoints, or
/// in another order, is another list for all of them.
pub(super) fn changed_ids(before: Option<&Statement>, now: &Statement, contended: bool) -> BTreeSet<u64> {
    let all = |statement: &Statement| statement.ids.iter().copied().collect::<BTreeSet<_>>();
    let Some(before) = before else { return all(now) };
    if before.ids == now.ids {
        let pairs = before.endpoints().zip(now.endpoints());
        return pairs.filter(|((_, old), (_, new))| old != new).map(|((id, _), _)| id).collect();
    }
    if contended {
        return all(before).union(&all(now)).copied().collect();
    }
    let by_id = |statement: &'_ Statement| {
        let mut said: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for (id, endpoint) in statement.endpoints() {
            said.entry(id).or_default().push(std::sync::Arc::clone(endpoint));
        }
        said
    };
    let (old, new) = (by_id(before), by_id(now));
    let of_old = old.iter().filter(|(id, said)| new.get(id) != Some(said));
    of_old.map(|(id, _)| *id).chain(new.keys().filter(|id| !old.contains_key(id)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_differences_of_two_sorted_lists_are_told_in_order() {
        let mut told = Vec::new();
        differences(&[1, 2, 4, 9], &[2, 3, 9, 10], |item, change| told.push((item, change)));
        let (added, removed) = (Change::Added, Change::Removed);
        assert_eq!(told, [(1, removed), (3, added), (4, removed), (10, added)]);
    }
}
