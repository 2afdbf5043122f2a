//! Levels of endpoints, by how far away they are: which is used first, and what goes to the next.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Locality;

use super::metadata;
use super::reach::Reach;

/// Region and zone of a caller.
pub type Viewpoint = (Arc<str>, Arc<str>);

/// Endpoints that are in one place, as they are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Whose they are.
    pub reach: Reach,
    /// How far away: 0 is nearest.
    pub distance: u8,
    /// Of those that are called; 0 where everything is drained.
    pub weight: u32,
    /// Of those that should be, and are not.
    pub missing: u32,
}

/// Parts that are as far away as each other.
struct Level {
    distance: u8,
    weight: u64,
    missing: u64,
}

/// How far away what is called last is: it has the highest of all distances.
const LAST: u8 = 5;

/// What all traffic is cut into where it is shared out.
const WHOLE: u64 = 1_000_000;

/// How far a place is, from somewhere or from nowhere in particular: the own zone, the own region, the rest of the own cluster;
/// other clusters, those of the own region first; and at the end what a silent cluster said before.
pub fn distance(reach: Reach, at: &Locality, from: Option<&Viewpoint>) -> u8 {
    let in_region = from.is_some_and(|(region, _)| !region.is_empty() && at.region == **region);
    let in_zone = from.is_some_and(|(_, zone)| !zone.is_empty() && at.zone == **zone);
    match reach {
        Reach::Own if in_zone => 0,
        Reach::Own if in_region => 1,
        Reach::Own => 2,
        Reach::Other if in_region => 3,
        Reach::Other => 4,
        Reach::Last => LAST,
    }
}

/// The priority and the weight of each. Priorities have no gaps, as clients insist; what is nearest and there is 0.
///
/// Where so much is missing that what is left could not carry it, some of the traffic goes to the next level: both have
/// priority 0 then, and weights that say how much. Clients of gRPC do not share out between priorities (gRFC A56), and Envoy
/// would not know what is missing. What is called last takes nothing from others: it may be dead.
pub fn rank(parts: &[Ranked]) -> Vec<(u32, u32)> {
    let levels = levels(parts);
    let shares = shares(&levels);
    let rank = |part: &Ranked| {
        let nearer = levels.iter().filter(|level| level.distance < part.distance).count();
        // Of a level where everything is drained, which clients do not count, there is none.
        let priority =
            (nearer + 1).saturating_sub(shares.len().max(1)).min(levels.len().saturating_sub(shares.len().max(1)));
        let own = levels.iter().zip(&shares).find(|(level, _)| level.distance == part.distance);
        let weight = match own.filter(|_| shares.len() > 1 && part.weight > 0) {
            Some((level, share)) => {
                u32::try_from((share * u64::from(part.weight) / level.weight).max(1)).unwrap_or(u32::MAX)
            }
            None => part.weight,
        };
        (u32::try_from(priority).unwrap_or_default(), weight)
    };
    parts.iter().map(rank).collect()
}

/// Those in which something is called, the nearest first.
fn levels(parts: &[Ranked]) -> Vec<Level> {
    let level = |distance: u8| {
        let of = parts.iter().filter(|part| part.weight > 0 && part.distance == distance);
        let (weight, missing) = of.fold((0, 0), |(weight, missing), part| {
            (weight + u64::from(part.weight), missing + u64::from(part.missing))
        });
        (weight > 0).then_some(Level { distance, weight, missing })
    };
    (0..=LAST).filter_map(level).collect()
}

/// How much of all traffic each of the nearest levels takes; of those that follow, none. One that lacks nothing takes what is
/// left, and so does the one before those that are called last.
fn shares(levels: &[Level]) -> Vec<u64> {
    let (mut left, mut shares) = (WHOLE, Vec::new());
    for (at, level) in levels.iter().enumerate() {
        let all = level.weight + level.missing;
        let lacks = metadata::lacks(level.weight, level.missing);
        let is_last = levels.get(at + 1).is_some_and(|next| next.distance == LAST);
        let gives = lacks && !is_last;
        let takes = if gives { (WHOLE * 7 * level.weight / (5 * all)).min(left) } else { left };
        shares.push(takes);
        left -= takes;
        if left == 0 {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(distance: u8, weight: u32, missing: u32) -> Ranked {
        Ranked { reach: Reach::Own, distance, weight, missing }
    }

    #[test]
    fn what_is_called_last_has_a_priority_of_its_own_and_takes_no_surplus() {
        assert_eq!(rank(&[at(2, 5, 0), at(4, 3, 0), at(5, 9, 0)]), [(0, 5), (1, 3), (2, 9)]);
        assert_eq!(rank(&[at(2, 1, 9), at(5, 9, 0)]), [(0, 1), (1, 9)], "it may be dead");
        assert_eq!(rank(&[at(2, 1, 9), at(4, 3, 0), at(5, 9, 0)]), [(0, 140_000), (0, 860_000), (1, 9)]);
        assert_eq!(rank(&[at(5, 9, 0)]), [(0, 9)], "there is nothing else");
        assert_eq!(rank(&[at(2, 0, 4), at(5, 9, 0)]), [(0, 0), (0, 9)]);
    }

    #[test]
    fn from_somewhere_own_comes_before_near_and_silent_after_all() {
        let place = |zone: &str, region: &str| Locality {
            zone: zone.to_owned(),
            region: region.to_owned(),
            ..Locality::default()
        };
        let here: Viewpoint = ("eu".into(), "eu-1".into());
        let far = |reach, zone, region, from| distance(reach, &place(zone, region), from);
        let of_own = [("eu-1", "eu"), ("eu-2", "eu"), ("us-1", "us")];
        assert_eq!(of_own.map(|(zone, region)| far(Reach::Own, zone, region, Some(&here))), [0, 1, 2]);
        assert_eq!(of_own.map(|(zone, region)| far(Reach::Other, zone, region, Some(&here))), [3, 3, 4]);
        assert_eq!(of_own.map(|(zone, region)| far(Reach::Last, zone, region, Some(&here))), [5, 5, 5]);
        let region: Viewpoint = ("eu".into(), "".into());
        assert_eq!(of_own.map(|(zone, region_of)| far(Reach::Own, zone, region_of, Some(&region))), [1, 1, 2]);
        assert_eq!(far(Reach::Own, "", "", Some(&region)), 2, "what has no zone is not in a zone without a name");
        let nowhere = [Reach::Own, Reach::Other, Reach::Last].map(|reach| far(reach, "eu-1", "eu", None));
        assert_eq!(nowhere, [2, 4, 5]);
    }
}
