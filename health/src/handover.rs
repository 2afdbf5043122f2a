//! Who probes an endpoint, and whose word about it counts, while replicas come and go.
//!
//! Each replica decides alone, from what it sees. A replica *covers* an endpoint when it has had a result of its own on all that
//! is to be probed of it, and tells so. Whoever probes goes on until one that ranks before it covers; so the old owner goes on
//! until the new one has its first result, whatever each believes about who is there. Where nobody covers, the others step in
//! by rank: an owner that is silent, or that others see and we do not, leaves no endpoint alone.

/// What a replica sees of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// This replica.
    pub me: &'a str,
    /// The live replicas in the order in which they would own the endpoint.
    pub ranked: &'a [&'a str],
    /// Peers that cover it and are heard, sorted.
    pub covering: &'a [&'a str],
    /// Whether this replica probes it.
    pub probes: bool,
    /// Whether this replica covers it.
    pub covers: bool,
    /// For how long nobody has covered it, in milliseconds.
    pub uncovered_ms: u64,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty<'a> {
    /// Whether this replica probes it.
    pub probe: bool,
    /// Whose word counts here; `None` for this replica's own, or what it took over.
    pub voice: Option<&'a str>,
    /// After how long without anybody who covers it this replica steps in, in milliseconds; `None` if it probes anyway.
    pub step_in_ms: Option<u64>,
}

/// What nobody covers for so long is taken over by the next in rank, and by each further one after as long again.
pub const STEP_IN_MS: u64 = 1_500;

/// What this replica does about an endpoint.
pub fn duty<'a>(sight: Sight<'a>) -> Duty<'a> {
    let Sight { me, ranked, covering, probes, covers, uncovered_ms } = sight;
    let rank = ranked.iter().position(|name| *name == me);
    let does = |name: &str| if name == me { covers } else { covering.contains(&name) };
    let first = ranked.iter().position(|name| does(name));
    // Those who are given no work may still be at it.
    let voice = match first {
        Some(at) => Some(ranked[at]).filter(|name| *name != me),
        None if covers => None,
        None => covering.first().copied(),
    };
    let relieved = first.is_some_and(|first| rank.is_none_or(|rank| first < rank));
    let uncovered = !covers && covering.is_empty();
    let step_in_ms = STEP_IN_MS * u64::try_from(rank.unwrap_or(ranked.len())).unwrap_or(u64::MAX).max(1);
    let probe = rank == Some(0) || (probes && !relieved) || (uncovered && uncovered_ms >= step_in_ms);
    Duty { probe, voice, step_in_ms: (!probe && uncovered).then_some(step_in_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Sight<'_> =
        Sight { me: "a", ranked: &["a"], covering: &[], probes: false, covers: false, uncovered_ms: 0 };

    #[test]
    fn one_alone_does_it_at_once() {
        assert_eq!(duty(ALONE), Duty { probe: true, voice: None, step_in_ms: None });
    }

    #[test]
    fn the_old_owner_goes_on_until_the_new_one_has_its_first_result() {
        let old = Sight { ranked: &["b", "a"], probes: true, covers: true, ..ALONE };
        assert_eq!(duty(old), Duty { probe: true, voice: None, step_in_ms: None });
        assert_eq!(duty(Sight { covering: &["b"], ..old }), Duty { probe: false, voice: Some("b"), step_in_ms: None });
        let new = Sight { me: "b", covering: &["a"], probes: true, covers: false, ..old };
        assert_eq!(duty(new), Duty { probe: true, voice: Some("a"), step_in_ms: None });
        assert_eq!(duty(Sight { covers: true, ..new }).voice, None, "its own word counts from its first result on");
    }

    #[test]
    fn who_ranks_behind_does_not_relieve() {
        let sight = Sight { ranked: &["a", "b"], covering: &["b"], probes: true, ..ALONE };
        assert_eq!(duty(sight), Duty { probe: true, voice: Some("b"), step_in_ms: None });
    }

    #[test]
    fn a_silent_owner_is_stood_in_for_by_rank() {
        let second = Sight { ranked: &["b", "a", "c"], ..ALONE };
        assert_eq!(duty(second), Duty { probe: false, voice: None, step_in_ms: Some(STEP_IN_MS) });
        assert!(duty(Sight { uncovered_ms: STEP_IN_MS, ..second }).probe);
        let third = Sight { me: "c", uncovered_ms: STEP_IN_MS, ..second };
        assert!(!duty(third).probe && !duty(Sight { covering: &["a"], uncovered_ms: 9_000, ..third }).probe);
        assert!(duty(Sight { uncovered_ms: 2 * STEP_IN_MS, ..third }).probe);
    }

    #[test]
    fn who_is_given_no_work_goes_on_until_somebody_else_covers() {
        let suspect = Sight { ranked: &["b"], probes: true, covers: true, ..ALONE };
        assert!(duty(suspect).probe && duty(suspect).voice.is_none());
        assert_eq!(
            duty(Sight { covering: &["b"], ..suspect }),
            Duty { probe: false, voice: Some("b"), step_in_ms: None }
        );
        let other = Sight { me: "c", ranked: &["b", "c"], covering: &["a"], probes: false, covers: false, ..suspect };
        assert_eq!(
            duty(other),
            Duty { probe: false, voice: Some("a"), step_in_ms: None },
            "its word is the best there is"
        );
    }
}
