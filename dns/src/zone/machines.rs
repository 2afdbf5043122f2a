//! Machines by their names: nodes of the cluster, and what registered endpoints run on.
//!
//! The key of a node is its name, that of a machine of registrations `NAMESPACE/NAME`; in lower case. Names may have dots:
//! what is between two labels exists then, without data (RFC 4592 §2.2.2).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::model::Texts;
use super::shards::Shards;

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Sorted, each once.
    pub v4: Box<[Ipv4Addr]>,
    /// The same of IPv6.
    pub v6: Box<[Ipv6Addr]>,
    /// Where it is, in lower case; empty when that is not known.
    pub zone: Box<str>,
    /// What is known of it, as attributes of RFC 1464.
    pub texts: Texts,
}

/// What there is under each key: a machine, or nothing but names below.
pub(super) type Index = Shards<Arc<str>, Option<Arc<Machine>>>;

/// A machine as it is now, by its key; `None` when it is gone.
pub type Change = (Arc<str>, Option<Arc<Machine>>);

/// The writer's side.
#[derive(Debug, Default)]
pub(super) struct Machines {
    known: BTreeMap<Arc<str>, Known>,
}

#[derive(Debug, Default)]
struct Known {
    machine: Option<Arc<Machine>>,
    /// Machines below this name.
    below: usize,
}

/// Longest name of a machine.
const NAME_BYTES_MAX: usize = 253;
/// Room for a key: a namespace, a slash, and a name.
pub(super) const KEY_BYTES_MAX: usize = super::label::LABEL_BYTES_MAX + 1 + NAME_BYTES_MAX;

// === impl Machine ===

impl Machine {
    /// Of addresses in any order.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>, zone: &str, texts: Texts) -> Self {
        let (mut v4, mut v6) = (BTreeSet::new(), BTreeSet::new());
        for address in addresses {
            match address {
                IpAddr::V4(address) => _ = v4.insert(address),
                IpAddr::V6(address) => _ = v6.insert(address),
            }
        }
        let (v4, v6) = (v4.into_iter().collect(), v6.into_iter().collect());
        Self { v4, v6, zone: zone.to_ascii_lowercase().into(), texts }
    }
}

// === impl Machines ===

impl Machines {
    /// Takes changes over into the index. In which zone there is one more, or one less (-1), is told.
    pub(super) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
        index: &Index,
        mut tell: impl FnMut(&str, isize),
    ) {
        let mut touched = BTreeSet::new();
        for (key, machine) in changes {
            let known = self.known.entry(Arc::clone(&key)).or_default();
            known.machine.iter().for_each(|gone| tell(&gone.zone, -1));
            machine.iter().for_each(|new| tell(&new.zone, 1));
            let now = machine.is_some();
            let before = std::mem::replace(&mut known.machine, machine).is_some();
            touched.insert(Arc::clone(&key));
            if before == now {
                continue;
            }
            for above in above(&key) {
                let above = self.known.entry(above.as_str().into()).or_default();
                above.below = if now { above.below + 1 } else { above.below.saturating_sub(1) };
            }
            touched.extend(above(&key).map(Arc::from));
        }
        let of = |key: &Arc<str>| {
            let known = self.known.get(key)?;
            (known.machine.is_some() || known.below > 0).then(|| known.machine.clone())
        };
        let changes: Vec<_> = touched.into_iter().map(|key| (Arc::clone(&key), of(&key))).collect();
        for (key, _) in changes.iter().filter(|(_, now)| now.is_none()) {
            self.known.remove(key);
        }
        index.apply(changes);
    }
}

/// The keys of the names that a key's lies below: of `shop/a.b.c` those of `b.c` and `c`.
fn above(key: &str) -> impl Iterator<Item = String> {
    let (namespace, name) = key.split_once('/').map_or(("", key), |(namespace, name)| (namespace, name));
    let rests = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
    rests.map(move |rest| if namespace.is_empty() { rest.to_owned() } else { format!("{namespace}/{rest}") })
}

/// The key of a name, put together without an allocation; `None` when it is longer than any is. No label with a dot or a slash
/// finds a machine: such bytes are not looked for.
pub(super) fn key<'a>(room: &'a mut [u8; KEY_BYTES_MAX], namespace: Option<&[u8]>, name: &[&[u8]]) -> Option<&'a str> {
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        room.get_mut(len..len + bytes.len())?.copy_from_slice(bytes);
        len += bytes.len();
        Some(())
    };
    if let Some(namespace) = namespace {
        put(namespace)?;
        put(b"/")?;
    }
    for (at, label) in name.iter().enumerate() {
        if label.iter().any(|byte| matches!(byte, b'.' | b'/')) {
            return None;
        }
        put(if at > 0 { b"." } else { b"" })?;
        put(label)?;
    }
    std::str::from_utf8(&room[..len]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(address: &str) -> Option<Arc<Machine>> {
        Some(Arc::new(Machine::new([address.parse().unwrap()], "", Texts::default())))
    }

    #[test]
    fn names_between_labels_exist_as_long_as_there_is_a_machine_below() {
        let (mut machines, index) = (Machines::default(), Index::new(4));
        let mut apply = |changes: &[(&str, Option<&str>)]| {
            let of = |(key, address): &(&str, Option<&str>)| (Arc::from(*key), address.and_then(machine));
            machines.apply(changes.iter().map(of), &index, |_, _| {});
            let there = |key: &&str| match index.get(*key) {
                Some(Some(_)) => 'm',
                Some(None) => '.',
                None => '-',
            };
            ["a.x.y", "b.x.y", "x.y", "y", "shop/a.x", "shop/x", "x"].iter().map(there).collect::<String>()
        };
        for (changes, expected) in [
            (&[("a.x.y", Some("10.0.0.1")), ("shop/a.x", Some("10.0.0.2"))][..], "m-..m.-"),
            (&[("b.x.y", Some("10.0.0.3")), ("x.y", Some("10.0.0.4"))], "mmm.m.-"),
            (&[("x.y", None), ("a.x.y", None), ("nobody", None)], "-m..m.-"),
            (&[("b.x.y", Some("10.0.0.9")), ("shop/a.x", None)], "-m..---"),
            (&[("b.x.y", None), ("b.x.y", None)], "-------"),
        ] {
            assert_eq!(apply(changes), expected, "{changes:?}");
        }
        assert!(machines.known.is_empty());
    }

    #[test]
    fn a_key_is_put_together_from_labels() {
        let mut room = [0; KEY_BYTES_MAX];
        assert_eq!(key(&mut room, None, &[b"a", b"b"]), Some("a.b"));
        assert_eq!(key(&mut room, Some(b"shop"), &[b"a"]), Some("shop/a"));
        for odd in [&b"a.b"[..], b"shop/a", &[0xff]] {
            assert_eq!(key(&mut room, None, &[odd]), None);
        }
        assert_eq!(key(&mut room, Some(&[b'n'; 63]), &[&[b'a'; 63][..]; 5]), None, "longer than any is");
    }
}
