//! Which answers leave together: several for one client are cut apart by the system behind the last table it looks at (UDP
//! generic segmentation), which costs it one way through its network instead of several. Pure.
//!
//! All pieces but the last have one size, and the last none above it (udp(7), `UDP_SEGMENT`). Resolvers ask for A and AAAA at
//! once, from one socket: the longer answer goes first.

use std::ops::Range;

/// Pieces that the system takes at once (`UDP_MAX_SEGMENTS`, of which some versions have more).
const PIECES_MAX: usize = 64;
/// A datagram as the system keeps it until then.
const BYTES_MAX: usize = 60_000;

/// Orders `answers`, each with its client and its length in bytes, so that those which leave together are neighbours: `order` has
/// their places, and `bundles` ranges of that. Both are cleared first. Clients are told apart by their `mark`; where several have the
/// same, fewer answers leave together.
pub(super) fn arrange<C: Eq>(
    answers: &[(C, usize)],
    mark: impl Fn(&C) -> u32,
    together: bool,
    order: &mut Vec<u64>,
    bundles: &mut Vec<Range<usize>>,
) {
    order.clear();
    bundles.clear();
    if !together || answers.len() < 2 {
        order.extend(0..answers.len() as u64);
        bundles.extend((0..answers.len()).map(|at| at..at + 1));
        return;
    }
    // By client, then the longest first, with the place at the end: a datagram has fewer than 65,536 bytes, and a batch fewer answers.
    let key = |(place, (client, len)): (usize, &(C, usize))| {
        u64::from(mark(client)) << 32 | (!*len as u64 & 0xffff) << 16 | place as u64
    };
    order.extend(answers.iter().enumerate().map(key));
    order.sort_unstable();
    order.iter_mut().for_each(|key| *key &= 0xffff);
    let mut begin = 0;
    while begin < order.len() {
        let end = begin + bundle(order[begin..].iter().map(|place| &answers[*place as usize]));
        bundles.push(begin..end);
        begin = end;
    }
}

/// How many of the first ones leave together: at least one.
fn bundle<'a, C: Eq + 'a>(mut answers: impl Iterator<Item = &'a (C, usize)>) -> usize {
    let Some((client, size)) = answers.next() else { return 1 };
    let (mut count, mut bytes) = (1, *size);
    for (other, len) in answers {
        if other != client || *len == 0 || count == PIECES_MAX || bytes + len > BYTES_MAX {
            break;
        }
        count += 1;
        bytes += len;
        if len < size {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(answers: &[(u8, usize)], together: bool) -> Vec<Vec<(u8, usize)>> {
        let (mut order, mut bundles) = (vec![9_u64], vec![7..8, 8..9]);
        arrange(answers, |client| u32::from(*client), together, &mut order, &mut bundles);
        bundles.into_iter().map(|range| order[range].iter().map(|place| answers[*place as usize]).collect()).collect()
    }

    #[test]
    fn answers_of_one_client_and_size_leave_together_and_a_shorter_one_last() {
        let answers = [(1, 90), (2, 95), (1, 95), (1, 50), (1, 95), (2, 50)];
        assert_eq!(arranged(&answers, true), [vec![(1, 95), (1, 95), (1, 90)], vec![(1, 50)], vec![(2, 95), (2, 50)]]);
        assert_eq!(arranged(&answers, false), answers.map(|one| vec![one]));
        assert_eq!(arranged(&[(3, 9)], true), [[(3, 9)]]);
        assert!(arranged(&[], true).is_empty());
    }

    #[test]
    fn no_more_leave_together_than_the_system_takes() {
        let sizes = |answers: &[(u8, usize)]| arranged(answers, true).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[(1, 40); 70]), [64, 6]);
        assert_eq!(sizes(&[(1, 1232); 60]), [48, 12]);
        assert_eq!(sizes(&[(1, 30), (1, 0), (1, 0)]), [1, 1, 1]);
    }
}
