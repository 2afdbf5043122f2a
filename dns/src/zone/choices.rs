//! Which endpoints of a service have a tag, are in a zone, or both: put together when first asked for, so that a name that chooses
//! looks at those it chooses alone, and one that chooses none at nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::model::Endpoint;
use super::places::Places;

/// What is chosen of the endpoints of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice<'a> {
    /// Those with this tag, in lower case.
    pub tag: Option<&'a [u8]>,
    /// Those in this area (see [`Place::areas`](super::model::Place::areas)): a zone, in lower case, or a cluster.
    pub zone: Option<&'a [u8]>,
    /// Not those with health Warning.
    pub only_passing: bool,
}

/// All choices of one service that choose something. Nothing is held for services of which nobody asks so.
#[derive(Debug, Default)]
pub struct Choices([OnceLock<Index>; 2]);

/// Sorted.
type Index = Box<[(Key, Arc<[u32]>)]>;
type Key = (Option<Box<[u8]>>, Option<Box<[u8]>>);

/// How an owner says a tag.
const TAG: &str = "tag=";

// === impl Choices ===

impl Choices {
    /// The places of those that are chosen among all endpoints; of silent clusters only if there are no others.
    pub fn of<'a>(&self, choice: Choice<'_>, endpoints: impl Iterator<Item = &'a Arc<Endpoint>>) -> Places {
        let only_passing = choice.only_passing;
        let index = self.0[usize::from(only_passing)].get_or_init(|| index(endpoints, only_passing));
        let wanted = (choice.tag, choice.zone);
        match index.binary_search_by(|((tag, zone), _)| (tag.as_deref(), zone.as_deref()).cmp(&wanted)) {
            Ok(at) => Places::Some(Arc::clone(&index[at].1)),
            Err(_) => Places::Run(0..0),
        }
    }
}

fn index<'a>(endpoints: impl Iterator<Item = &'a Arc<Endpoint>>, only_passing: bool) -> Index {
    let mut found = BTreeMap::<Key, Vec<(u32, bool)>>::new();
    for (place, endpoint) in (0_u32..).zip(endpoints).filter(|(_, endpoint)| !(only_passing && endpoint.warns)) {
        let areas: Vec<Box<[u8]>> = endpoint.place.areas().map(|area| area.as_bytes().into()).collect();
        let tags = endpoint.texts.iter().filter_map(|text| text.strip_prefix(TAG));
        let mut tags: Vec<Option<Box<[u8]>>> =
            tags.map(|tag| Some(tag.to_ascii_lowercase().into_bytes().into())).collect();
        tags.push(None);
        tags.sort_unstable();
        tags.dedup();
        for tag in tags {
            for area in &areas {
                found.entry((tag.clone(), Some(area.clone()))).or_default().push((place, endpoint.suspect));
            }
            found.entry((tag, None)).or_default().push((place, endpoint.suspect));
        }
    }
    let first = |places: Vec<(u32, bool)>| {
        let all_suspect = places.iter().all(|(_, suspect)| *suspect);
        places.into_iter().filter(|(_, suspect)| all_suspect || !suspect).map(|(place, _)| place).collect()
    };
    found.into_iter().map(|(key, places)| (key, first(places))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::model::{Addresses, Place};

    fn endpoint(n: u8, zone: &str, tags: &[&str], warns: bool) -> Arc<Endpoint> {
        let texts: Vec<Box<str>> =
            tags.iter().map(|tag| format!("tag={tag}").into()).chain(["version=2".into()]).collect();
        Arc::new(Endpoint {
            id: n.into(),
            addresses: Addresses::first_of_each([[10, 0, 0, n].into()]).unwrap(),
            weight: 1,
            ready: true,
            label: format!("e-{n}").into(),
            has_hostname: true,
            ports: Arc::default(),
            texts: texts.into(),
            place: Arc::new(Place { zone: zone.into(), ..Place::default() }),
            warns,
            suspect: zone == "silent",
        })
    }

    #[test]
    fn what_is_chosen_is_what_a_look_at_each_would_choose() {
        let endpoints = [
            endpoint(0, "a", &["Blue", "blue"], false),
            endpoint(1, "b", &["blue", "v1.2"], true),
            endpoint(2, "", &["green"], false),
            endpoint(3, "a", &[], false),
            endpoint(4, "silent", &["blue", "far"], false),
        ];
        let choices = Choices::default();
        let of = |tag: Option<&str>, zone: Option<&str>, only_passing| {
            let choice = Choice { tag: tag.map(str::as_bytes), zone: zone.map(str::as_bytes), only_passing };
            let places = choices.of(choice, endpoints.iter());
            (0..places.len()).filter_map(|at| places.get(at)).collect::<Vec<_>>()
        };
        for (tag, zone, all, passing) in [
            (None, None, &[0, 1, 2, 3][..], &[0, 2, 3][..]),
            (Some("blue"), None, &[0, 1], &[0]),
            (Some("v1.2"), None, &[1], &[]),
            (Some("green"), None, &[2], &[2]),
            (Some("red"), None, &[], &[]),
            (None, Some("a"), &[0, 3], &[0, 3]),
            (None, Some("b"), &[1], &[]),
            (None, Some(""), &[], &[]),
            (Some("blue"), Some("a"), &[0], &[0]),
            (Some("green"), Some("a"), &[], &[]),
            (Some("version=2"), None, &[], &[]),
            // Nobody else has it.
            (Some("far"), None, &[4], &[4]),
            (Some("blue"), Some("silent"), &[4], &[4]),
        ] {
            assert_eq!(of(tag, zone, false), all, "{tag:?} {zone:?}");
            assert_eq!(of(tag, zone, true), passing, "{tag:?} {zone:?} only passing");
        }
    }
}
