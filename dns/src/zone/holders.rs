//! The services that an address leads back to.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// What an address is to a service. The order is that of precedence: who asks for the name of a virtual address means the
/// service, not an endpoint that has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Its virtual address.
    Virtual,
    /// That of an endpoint with a name of its own.
    Endpoint,
    /// One by which it is reached from outside the cluster.
    Exposed,
    /// That of another endpoint: it leads nowhere. Kept when names of pods are verified.
    Silent,
}

/// Services by their keys `NAMESPACE/NAME`, sorted by role, then key; never none. There is one entry for each address, so the
/// common case has no list of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Almost always.
    One((Role, Arc<str>)),
    /// An address that several share.
    Many(Arc<[(Role, Arc<str>)]>),
}

/// A service that begins or ceases to hold an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It begins to.
    In,
    /// It ceases to.
    Out,
}

/// What changes at addresses when a service's go from `before` to `after`, both sorted.
pub fn steps<'a>(
    before: &'a [(IpAddr, Role)],
    after: &'a [(IpAddr, Role)],
) -> impl Iterator<Item = (IpAddr, Role, Step)> + 'a {
    let gone = before.iter().filter(|held| after.binary_search(held).is_err()).map(|held| (held, Step::Out));
    let new = after.iter().filter(|held| before.binary_search(held).is_err()).map(|held| (held, Step::In));
    gone.chain(new).map(|((address, role), step)| (*address, *role, step))
}

// === impl Holders ===

impl Holders {
    /// The services that a question for the address leads to; it may be none.
    pub fn told(&self) -> &[(Role, Arc<str>)] {
        &self[..self.partition_point(|(role, _)| *role < Role::Silent)]
    }

    fn of(mut all: Vec<(Role, Arc<str>)>) -> Option<Self> {
        if all.len() == 1 { all.pop().map(Self::One) } else { (!all.is_empty()).then(|| Self::Many(all.into())) }
    }
}

impl Deref for Holders {
    type Target = [(Role, Arc<str>)];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(all) => all,
        }
    }
}

/// The holders of an address after steps of services.
pub fn after(holders: Option<Holders>, steps: Vec<(Role, Arc<str>, Step)>) -> Option<Holders> {
    let mut all: Vec<_> = holders.iter().flat_map(|held| held.iter().cloned()).collect();
    for (role, key, step) in steps {
        let place = all.binary_search_by(|(own_role, own_key)| (own_role, &**own_key).cmp(&(&role, &*key)));
        match (place, step) {
            (Err(place), Step::In) => all.insert(place, (role, key)),
            (Ok(place), Step::Out) => drop(all.remove(place)),
            (Ok(_), Step::In) | (Err(_), Step::Out) => {}
        }
    }
    Holders::of(all)
}

/// Whether one of the services is in a namespace.
pub fn has_namespace(holders: &Holders, role: Role, namespace: &str) -> bool {
    let of = |key: &str| key.split_once('/').is_some_and(|(own, _)| own == namespace);
    // Keys are sorted by bytes, and so are their namespaces with the slash behind them.
    let begin = || namespace.bytes().chain([b'/']);
    let place =
        holders.partition_point(|(own_role, key)| own_role.cmp(&role).then_with(|| key.bytes().cmp(begin())).is_lt());
    holders.get(place).is_some_and(|(own_role, key)| *own_role == role && of(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(keys: &[&str]) -> Holders {
        Holders::of(keys.iter().map(|key| (Role::Endpoint, Arc::from(*key))).collect()).unwrap()
    }

    #[test]
    fn who_holds_an_address_alone_takes_no_more_room_than_a_list() {
        assert_eq!(size_of::<Holders>(), size_of::<(Role, Arc<str>)>());
    }

    #[test]
    fn a_namespace_is_found_among_others_that_begin_alike() {
        let holders = holders(&["a-b/x", "a/x", "a/y", "c/x"]);
        for (namespace, expected) in [("a", true), ("a-b", true), ("c", true), ("b", false), ("a-", false), ("", false)]
        {
            assert_eq!(has_namespace(&holders, Role::Endpoint, namespace), expected, "{namespace:?}");
        }
        assert!(!has_namespace(&holders, Role::Virtual, "a"));
    }

    #[test]
    fn services_come_and_go_at_an_address() {
        let step = |key: &str, step| (Role::Endpoint, Arc::from(key), step);
        let held = after(None, vec![step("b/x", Step::In), step("a/x", Step::In), step("b/x", Step::In)]);
        assert_eq!(held, Some(holders(&["a/x", "b/x"])));
        assert_eq!(after(held.clone(), vec![step("a/x", Step::Out), step("n/x", Step::Out)]), Some(holders(&["b/x"])));
        assert_eq!(after(held, vec![step("a/x", Step::Out), step("b/x", Step::Out)]), None);
    }
}
