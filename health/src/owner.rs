//! Which replica does what: rendezvous hashing (Thaler and Ravishankar, 1998).
//!
//! Every replica computes the same owners from the same list of replicas, without asking anybody; when one of n comes or
//! goes, only its own share, 1/n, moves.

use std::fmt;

use rollcall_catalog::input::{Origin, OriginKind};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What is owned as one: all checks of an endpoint, and its beats.
pub fn work(origin: &Origin, endpoint: impl fmt::Display) -> String {
    match origin.kind {
        // The pods of a service: apart from the registration of the same name.
        OriginKind::Service => format!("{}/pods/{}/{endpoint}", origin.namespace, origin.name),
        OriginKind::EndpointSlice | OriginKind::ServiceRegistration | OriginKind::Import => {
            format!("{}/{}/{endpoint}", origin.namespace, origin.name)
        }
    }
}

/// The owner of `work` among `replicas`, in any order. `None` without replicas.
pub fn owner<'a>(work: &str, replicas: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    replicas.into_iter().max_by_key(|replica| (weight(work, replica), *replica))
}

/// The replicas in the order in which they would own `work`: the owner, then who takes over or is asked as well.
pub fn ranked<'a>(work: &str, replicas: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<_> = replicas.into_iter().collect();
    ranked.sort_unstable_by_key(|replica| std::cmp::Reverse((weight(work, replica), *replica)));
    ranked
}

fn weight(work: &str, replica: &str) -> u64 {
    xxh3_64_with_seed(work.as_bytes(), xxh3_64_with_seed(replica.as_bytes(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> impl Iterator<Item = String> {
        (0..10_000).map(|n| format!("shop/vms/vm-{n}"))
    }

    #[test]
    fn the_share_of_a_replica_that_comes_or_goes_moves_and_no_other() {
        let (three, four) = (["a", "b", "c"], ["d", "c", "b", "a"]);
        let moved: Vec<_> = work().filter(|work| owner(work, three) != owner(work, four)).collect();
        assert!(moved.iter().all(|work| owner(work, four) == Some("d")), "what moves, moves to the new one");
        assert!((2_300..2_700).contains(&moved.len()), "{} of 10,000 moved, of four equal shares", moved.len());
    }

    #[test]
    fn shares_are_even_and_do_not_depend_on_the_order() {
        for replica in ["a", "b", "c"] {
            let own = work().filter(|work| owner(work, ["a", "b", "c"]) == Some(replica)).count();
            assert!((3_100..3_570).contains(&own), "{replica} has {own} of 10,000");
        }
        assert!(work().take(100).all(|work| owner(&work, ["a", "b", "c"]) == owner(&work, ["c", "a", "b"])));
        assert_eq!(owner("shop/vms/vm-1", []), None);
    }

    #[test]
    fn who_is_next_in_rank_takes_over() {
        for work in work().take(100) {
            let ranked = ranked(&work, ["a", "b", "c"]);
            assert_eq!(owner(&work, ranked.iter().copied()), Some(ranked[0]));
            assert_eq!(owner(&work, ranked[1..].iter().copied()), Some(ranked[1]));
        }
    }
}
