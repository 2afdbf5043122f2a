//! Which endpoint of a refused slice is to blame.
//!
//! The API server refuses a slice as a whole, often for one endpoint: an admission policy is against an address. The others
//! must not wait for that one, so what would be new in the slice is tried by halves, until what is refused alone is found.

use std::collections::BTreeSet;

use rollcall_catalog::model::Name;

/// What is known of the addresses that would be new in a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blame {
    /// Refused together with others, and not alone yet.
    suspects: BTreeSet<Name>,
    /// Refused alone.
    barred: BTreeSet<Name>,
    /// So many of the suspects are tried next.
    width: usize,
    /// So many were refused alone since a part was last written.
    strikes: usize,
    /// It is refused for something else than single endpoints.
    elsewhere: bool,
}

/// So many addresses may be refused alone without that anything is written; more, and it is not about addresses. With slices
/// of 64 endpoints, as they are on average, some 25 writes.
const STRIKES_MAX: usize = 4;

// === impl Blame ===

impl Blame {
    /// A slice with these new addresses was refused.
    pub fn refused(&mut self, new: BTreeSet<Name>) {
        if new.is_empty() || self.strikes >= STRIKES_MAX {
            self.elsewhere = true;
        } else if !new.is_disjoint(&self.barred) {
            // All was tried once more, and the old reason still holds: nothing is learned of the others.
        } else if new.len() == 1 {
            self.suspects.retain(|suspect| !new.contains(suspect));
            self.barred.extend(new);
            self.width = usize::MAX;
            self.strikes += 1;
        } else {
            self.width = new.len().div_ceil(2);
            self.suspects.extend(new);
        }
    }

    /// A part of the slice was written.
    pub fn written(&mut self) {
        self.width = usize::MAX;
        self.strikes = 0;
    }

    /// Which of the new addresses are to be tried now; the rest has to wait. `None`: it is not about addresses.
    pub fn next(&self, new: &BTreeSet<Name>) -> Option<BTreeSet<Name>> {
        if self.elsewhere {
            return None;
        }
        let suspects: BTreeSet<_> = self.suspects.intersection(new).take(self.width).cloned().collect();
        let free = || new.difference(&self.barred).cloned().collect();
        Some(if suspects.is_empty() { free() } else { suspects })
    }

    /// Whether a slice with these new addresses is such a part, and not the whole.
    pub fn is_part(&self, new: &BTreeSet<Name>) -> bool {
        !self.elsewhere && !new.is_empty() && new.len() <= self.width && new.is_subset(&self.suspects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries until nothing is left to try; what got in, and how often the API server was asked.
    fn settled(all: &[&str], is_bad: impl Fn(&str) -> bool) -> (BTreeSet<Name>, usize) {
        let (all, mut stand): (BTreeSet<Name>, BTreeSet<Name>) =
            (all.iter().map(|name| Name::from(*name)).collect(), BTreeSet::new());
        let (mut blame, mut asked, mut attempt) = (Blame::default(), 0, all.clone());
        while !attempt.is_empty() {
            asked += 1;
            assert!(asked < 200, "it does not end: {blame:?}");
            if attempt.iter().any(|name| is_bad(name)) {
                blame.refused(attempt);
            } else {
                stand.extend(attempt);
                blame.written();
            }
            let new = all.difference(&stand).cloned().collect();
            attempt = blame.next(&new).unwrap_or_default();
        }
        (stand, asked)
    }

    #[test]
    fn one_bad_address_keeps_no_other_out_and_is_found_in_few_writes() {
        let names: Vec<_> = (0..64).map(|n| format!("198.51.100.{n}")).collect();
        let all: Vec<_> = names.iter().map(String::as_str).collect();
        for bad in ["198.51.100.0", "198.51.100.31", "198.51.100.63"] {
            let (stand, asked) = settled(&all, |name| name == bad);
            assert_eq!(stand.len(), 63, "{bad}");
            assert!(asked <= 24, "{bad}: {asked}");
        }
        let (stand, asked) = settled(&all, |name| name.ends_with('7'));
        assert_eq!(stand.len(), 58, "six are bad");
        assert!(asked <= 100, "{asked}: some sixteen for each");
    }

    #[test]
    fn a_slice_that_is_refused_for_something_else_is_soon_given_up() {
        let names: Vec<_> = (0..64).map(|n| format!("198.51.100.{n}")).collect();
        let all: Vec<_> = names.iter().map(String::as_str).collect();
        let (stand, asked) = settled(&all, |_| true);
        assert_eq!(stand.len(), 0);
        assert!(asked <= 40, "{asked}");
        let mut blame = Blame::default();
        blame.refused(BTreeSet::new());
        assert_eq!(blame.next(&["a".into()].into()), None, "nothing in it was new");
    }

    #[test]
    fn what_is_barred_stays_so_when_the_whole_is_tried_again_and_others_are_tried_without_it() {
        let mut blame = Blame::default();
        blame.refused(["bad".into()].into());
        blame.refused(["bad".into(), "new".into()].into());
        let (bad, new) = (Name::from("bad"), Name::from("new"));
        assert_eq!(blame.next(&[bad, new.clone()].into()), Some([new].into()));
        assert!(!blame.is_part(&["bad".into(), "new".into()].into()));
    }
}
