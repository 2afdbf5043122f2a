//! What each place of an assignment is given of the requests, and what its endpoints cannot carry.
//!
//! Endpoints in Warning get less where the policy of the service says so. They stand in a locality of their own then: gRPC
//! takes account of the weights of localities, and of those of endpoints it does not.

use rollcall_catalog::policy::Warned;

use super::{Place, Turn};

/// What endpoints of one place add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    /// Of those that are called.
    pub weight: u64,
    /// Of those that should be, and are not.
    pub missing: u64,
}

/// What a place is told to be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub weight: u32,
    /// What others have to carry.
    pub missing: u32,
    /// Only while no other place has an endpoint that is called.
    pub last: bool,
}

/// The weight of what is Passing, where there are others to compare with: what they get is a percentage.
const WHOLE: u64 = 100;

/// gRPC refuses localities whose weights add up to more than fits into 32 bits; some room is for what is rounded up.
const SUM_MAX: u64 = u32::MAX as u64 / 2;

/// What each place is given, in their order.
pub(super) fn given(places: &[(&Place, Sum)], warning: Warned) -> Vec<Given> {
    let called = |turn: Turn| places.iter().any(|(place, sum)| place.turn == turn && sum.weight > 0);
    // With nothing to compare all are alike, and nothing is told that was not told before.
    let compared = called(Turn::Usual) && called(Turn::Complaining);
    let (whole, percent) = if compared { (WHOLE, u64::from(warning.percent)) } else { (1, 1) };
    let last = |place: &Place| compared && place.turn == Turn::Complaining && percent == 0;
    let weight = |(place, sum): &(&Place, Sum)| match place.turn {
        Turn::Usual => sum.weight * whole,
        Turn::Complaining => sum.weight * percent.max(1),
    };
    let lacking = |(place, sum): &(&Place, Sum)| match place.turn {
        Turn::Usual => sum.missing * whole,
        Turn::Complaining => sum.missing * whole + sum.weight * (whole - percent),
    };
    let divisor = places.iter().map(weight).sum::<u64>() / SUM_MAX + 1;
    let small = |number: u64| u32::try_from((number / divisor).max(u64::from(number > 0))).unwrap_or(u32::MAX);
    let one = |(at, own): (usize, &(&Place, Sum))| {
        let (place, sum) = own;
        let beside = match place.turn {
            Turn::Usual => places.get(at + 1),
            Turn::Complaining => at.checked_sub(1).and_then(|at| places.get(at)),
        };
        let twin = beside.filter(|(other, _)| **other == Place { turn: other.turn, ..(*place).clone() });
        // One of both says what is missing there.
        let tells = match place.turn {
            Turn::Usual => sum.weight > 0,
            Turn::Complaining => !last(place) && twin.is_none_or(|(_, usual)| usual.weight == 0),
        };
        let missing = if tells { lacking(own) + twin.map_or(0, lacking) } else { 0 };
        Given { weight: small(weight(own)), missing: small(missing), last: last(place) }
    };
    places.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::envoy::reach::Reach;

    fn place(zone: &str, turn: Turn) -> Place {
        Place { reach: Reach::Own, zone: Some(zone.into()), region: None, cluster: None, turn }
    }

    /// `weight`, `missing` and whether it is asked last, of each `(zone, turn, weight, missing)`.
    fn told(percent: u8, places: &[(&str, Turn, u64, u64)]) -> Vec<(u32, u32, bool)> {
        let places: Vec<_> = places
            .iter()
            .map(|(zone, turn, weight, missing)| (place(zone, *turn), Sum { weight: *weight, missing: *missing }))
            .collect();
        let places: Vec<_> = places.iter().map(|(place, sum)| (place, *sum)).collect();
        given(&places, Warned { percent }).into_iter().map(|of| (of.weight, of.missing, of.last)).collect()
    }

    use Turn::{Complaining, Usual};

    #[test]
    fn with_nothing_to_compare_all_are_alike() {
        assert_eq!(told(10, &[("a", Usual, 3, 2), ("b", Usual, 4, 0)]), [(3, 2, false), (4, 0, false)]);
        assert_eq!(told(0, &[("a", Complaining, 3, 0), ("b", Complaining, 4, 0)]), [(3, 0, false), (4, 0, false)]);
        assert_eq!(told(0, &[("a", Usual, 0, 5), ("a", Complaining, 3, 0)]), [(0, 0, false), (3, 5, false)]);
    }

    #[test]
    fn what_those_in_warning_do_not_get_is_missing_in_their_zone() {
        assert_eq!(told(10, &[("a", Usual, 3, 0), ("a", Complaining, 1, 0)]), [(300, 90, false), (10, 0, false)]);
        let nobody_passes_there = [("a", Usual, 0, 1), ("a", Complaining, 4, 0), ("b", Usual, 2, 0)];
        assert_eq!(told(10, &nobody_passes_there), [(0, 0, false), (40, 460, false), (200, 0, false)]);
        assert_eq!(told(0, &nobody_passes_there), [(0, 0, false), (4, 0, true), (200, 0, false)]);
        assert_eq!(told(0, &[("a", Usual, 3, 0), ("a", Complaining, 2, 0)]), [(300, 200, false), (2, 0, true)]);
    }

    #[test]
    fn weights_add_up_to_what_clients_take() {
        for weight in [u64::from(u32::MAX), u64::from(u16::MAX) * 100_000] {
            let told = told(1, &[("a", Usual, weight, weight), ("a", Complaining, 1, 0), ("b", Usual, weight, 0)]);
            let sum: u64 = told.iter().map(|(weight, ..)| u64::from(*weight)).sum();
            assert!(u32::try_from(sum).is_ok() && told.iter().all(|(weight, ..)| *weight > 0), "{told:?}");
        }
    }
}
