//! What a service of several sections has in all.

use std::sync::{Arc, OnceLock};

use super::section::Section;

/// Sums over the sections of a service.
#[derive(Debug)]
pub(super) struct Sums {
    /// Instances up to the end of each section.
    ends: Box<[u32]>,
    /// IPv4 addresses.
    pub(super) v4: Sum<std::net::Ipv4Addr>,
    /// IPv6 addresses.
    pub(super) v6: Sum<std::net::Ipv6Addr>,
    /// By how many labels fewer there are than the sections have together.
    shared_labels: usize,
}

/// Addresses of one family in all sections.
#[derive(Debug)]
pub(super) struct Sum<A> {
    /// How many there are up to the end of each section.
    ends: Box<[u32]>,
    /// By how many fewer there are than the sections have together: endpoints with one address may be in several.
    shared: usize,
    /// If there are such: all, sorted, each once. Made when first asked for.
    all: OnceLock<Box<[A]>>,
}

// === impl Sums ===

impl Sums {
    /// The sums of sections, by those of the sections before where most are the same.
    pub(super) fn of(sections: &[Arc<Section>], before: Option<(&[Arc<Section>], Option<&Self>)>) -> Self {
        let known = before.and_then(|(old, sums)| Some((old, sums?)));
        let known = known.filter(|(old, _)| old.len() == sections.len() && is_cheap(old, sections));
        let v4 = |section: &Section| section.v4().to_vec();
        let v6 = |section: &Section| section.v6().to_vec();
        let labels = |section: &Section| {
            let mut labels: Vec<_> = section.instances().iter().map(|one| String::from(&*one.label)).collect();
            labels.dedup();
            labels
        };
        let has_v4 = |section: &Section, one: &std::net::Ipv4Addr| section.v4().binary_search(one).is_ok();
        let has_v6 = |section: &Section, one: &std::net::Ipv6Addr| section.v6().binary_search(one).is_ok();
        let has_label = |section: &Section, one: &String| !section.places_labelled(one.as_bytes()).is_empty();
        let by = |of: fn(&Self) -> usize| known.map(|(old, sums)| (old, of(sums)));
        Self {
            ends: ends(sections, |section| section.instances().len()),
            v4: Sum {
                ends: ends(sections, |section| section.v4().len()),
                shared: shared(sections, by(|sums| sums.v4.shared), v4, has_v4),
                all: OnceLock::new(),
            },
            v6: Sum {
                ends: ends(sections, |section| section.v6().len()),
                shared: shared(sections, by(|sums| sums.v6.shared), v6, has_v6),
                all: OnceLock::new(),
            },
            shared_labels: shared(sections, by(|sums| sums.shared_labels), labels, has_label),
        }
    }

    /// How many instances there are.
    pub(super) fn instances(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// The section of an instance, and its place there.
    pub(super) fn instance(&self, place: usize) -> (usize, usize) {
        place_in(&self.ends, place)
    }

    pub(super) fn shared_labels(&self) -> usize {
        self.shared_labels
    }
}

// === impl Sum ===

impl<A: Ord + Copy> Sum<A> {
    /// How many distinct ones.
    pub(super) fn len(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize) - self.shared
    }

    /// One of them.
    pub(super) fn at(&self, at: usize, sections: &[Arc<Section>], of: impl Fn(&Section) -> &[A]) -> Option<A> {
        if self.shared > 0 {
            let all = || {
                let mut all: Vec<A> = sections.iter().flat_map(|section| of(section)).copied().collect();
                all.sort_unstable();
                all.dedup();
                all.into()
            };
            return self.all.get_or_init(all).get(at).copied();
        }
        let (section, at) = place_in(&self.ends, at);
        of(sections.get(section)?).get(at).copied()
    }
}

/// The section of a place among all, and the place there.
fn place_in(ends: &[u32], place: usize) -> (usize, usize) {
    let section = ends.partition_point(|end| *end as usize <= place);
    let begin = section.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
    (section, place - begin)
}

fn ends(sections: &[Arc<Section>], len: impl Fn(&Section) -> usize) -> Box<[u32]> {
    // A service has far fewer than 2^32 endpoints.
    let sum = |sum: &mut u32, section: &Arc<Section>| {
        *sum += len(section) as u32;
        Some(*sum)
    };
    sections.iter().scan(0, sum).collect()
}

/// Whether few sections differ.
fn is_cheap(old: &[Arc<Section>], new: &[Arc<Section>]) -> bool {
    old.iter().zip(new).filter(|(was, is)| !Arc::ptr_eq(was, is)).count() * 4 <= new.len()
}

/// By how many fewer distinct values there are than sections have together.
fn shared<T: Ord>(
    sections: &[Arc<Section>],
    before: Option<(&[Arc<Section>], usize)>,
    all: impl Fn(&Section) -> Vec<T>,
    has: impl Fn(&Section, &T) -> bool,
) -> usize {
    let Some((old, mut shared)) = before else {
        let mut together: Vec<T> = sections.iter().flat_map(|section| all(section)).collect();
        let count = together.len();
        together.sort_unstable();
        together.dedup();
        return count - together.len();
    };
    // Step by step, so that each is seen beside what the others are by then.
    let mut now = old.to_vec();
    for (place, is) in sections.iter().enumerate() {
        let was = Arc::clone(&now[place]);
        if Arc::ptr_eq(&was, is) {
            continue;
        }
        let elsewhere = |one: &T| now.iter().enumerate().any(|(at, section)| at != place && has(section, one));
        let gone = all(&was).iter().filter(|one| !has(is, one) && elsewhere(one)).count();
        let new = all(is).iter().filter(|one| !has(&was, one) && elsewhere(one)).count();
        shared = shared + new - gone;
        now[place] = Arc::clone(is);
    }
    shared
}
