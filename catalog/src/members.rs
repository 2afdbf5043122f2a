//! The endpoints of a service, in buckets that successive versions of the service share.

use std::sync::Arc;

use crate::bucket;
use crate::digest::{Digest, Version};
use crate::model::EndpointId;
use crate::service::{Counts, Member};

/// The endpoints of a service, sorted by identity and cut into [`bucket::count`] buckets. What one changed endpoint
/// does not touch is shared with the version before.
#[derive(Clone, Debug, Default)]
pub struct Members {
    buckets: Box<[Arc<Bucket>]>,
    len: usize,
}

/// One bucket of a service: the same cut as on the stream and in EndpointSlices.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Sorted by identity.
    pub members: Box<[Member]>,
    /// Version of what callers are given of them.
    pub version: Version,
    /// Version of all that can be told of them: also reasons and origins.
    pub story: Version,
    /// How many, by health.
    pub counts: Counts,
}

// === impl Members ===

impl Members {
    /// Of members in any order, each of its own identity.
    pub fn new(mut members: Vec<Member>) -> Self {
        members.sort_by_key(|member| member.id);
        let (len, count) = (members.len(), bucket::count(members.len()));
        if count == 1 {
            return Self { buckets: [Arc::new(Bucket::new(members))].into(), len };
        }
        let mut rest = members.into_iter().peekable();
        let mut cut = |index| {
            let mut bucket = Vec::with_capacity(bucket::TARGET.min(len));
            while let Some(member) = rest.next_if(|member| bucket::index(member.id, count) == index) {
                bucket.push(member);
            }
            Arc::new(Bucket::new(bucket))
        };
        Self { buckets: (0..count).map(&mut cut).collect(), len }
    }

    /// With some members taken out and others put in. Only their buckets are made anew, unless the count changes.
    pub(crate) fn with(&self, mut out: Vec<EndpointId>, mut put: Vec<Member>) -> Self {
        out.sort_unstable();
        put.sort_by_key(|member| member.id);
        let stays = |member: &&Member| out.binary_search(&member.id).is_err();
        let old = bucket::count(self.len);
        let mut touched: Vec<_> = match old {
            0 => Vec::new(),
            _ => out.iter().chain(put.iter().map(|member| &member.id)).map(|id| bucket::index(*id, old)).collect(),
        };
        touched.sort_unstable();
        touched.dedup();
        let left: usize = touched
            .iter()
            .map(|at| self.buckets[*at].members.len() - self.buckets[*at].members.iter().filter(stays).count())
            .sum();
        let len = self.len - left + put.len();
        if bucket::count(len) != old {
            return Self::new(self.iter().filter(stays).cloned().chain(put).collect());
        }
        let mut buckets = self.buckets.clone();
        let mut put = put.into_iter().peekable();
        for at in touched {
            let mut members: Vec<_> = buckets[at].members.iter().filter(stays).cloned().collect();
            while let Some(member) = put.next_if(|member| bucket::index(member.id, old) == at) {
                members.push(member);
            }
            members.sort_by_key(|member| member.id);
            buckets[at] = Arc::new(Bucket::new(members));
        }
        Self { buckets, len }
    }

    /// The member of that identity.
    pub fn get(&self, id: EndpointId) -> Option<&Member> {
        let bucket = self.buckets.get(bucket::index(id, self.buckets.len().max(1)))?;
        bucket.members.binary_search_by_key(&id, |member| member.id).ok().map(|at| &bucket.members[at])
    }

    /// Those that are ready here and not in `after`, with what they are there. What the two share is not looked at.
    pub(crate) fn left<'a>(&'a self, after: &'a Self) -> impl Iterator<Item = (&'a Member, Option<&'a Member>)> {
        let alike = self.buckets.len() == after.buckets.len();
        let differs = move |(at, bucket): &(usize, &Arc<Bucket>)| !alike || !Arc::ptr_eq(bucket, &after.buckets[*at]);
        let members = self.buckets.iter().enumerate().filter(differs).flat_map(|(_, bucket)| bucket.members.iter());
        members
            .filter(|member| member.conditions.ready)
            .map(move |member| (member, after.get(member.id)))
            .filter(|(_, now)| !now.is_some_and(|now| now.conditions.ready))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Each, sorted by identity.
    pub fn iter(&self) -> Iter<'_> {
        Iter { buckets: self.buckets.iter(), members: [].iter() }
    }

    /// Each bucket, those that are empty included: their number is the bucket count.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = &Arc<Bucket>> {
        self.buckets.iter()
    }

    /// How many, by health.
    pub fn counts(&self) -> Counts {
        self.buckets.iter().fold(Counts::default(), |sum, bucket| sum.with(bucket.counts, usize::wrapping_add))
    }
}

impl<'a> IntoIterator for &'a Members {
    type Item = &'a Member;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromIterator<Member> for Members {
    fn from_iter<T: IntoIterator<Item = Member>>(members: T) -> Self {
        Self::new(members.into_iter().collect())
    }
}

impl<const N: usize> From<[Member; N]> for Members {
    fn from(members: [Member; N]) -> Self {
        members.into_iter().collect()
    }
}

/// The n-th by identity; meant for tests.
impl std::ops::Index<usize> for Members {
    type Output = Member;

    fn index(&self, at: usize) -> &Member {
        self.iter().nth(at).unwrap_or_else(|| panic!("member {at} of {}", self.len))
    }
}

/// The members of a service, sorted by identity.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    buckets: std::slice::Iter<'a, Arc<Bucket>>,
    members: std::slice::Iter<'a, Member>,
}

// === impl Iter ===

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Member;

    fn next(&mut self) -> Option<&'a Member> {
        loop {
            if let Some(member) = self.members.next() {
                return Some(member);
            }
            self.members = self.buckets.next()?.members.iter();
        }
    }
}

// === impl Bucket ===

impl Bucket {
    fn new(members: Vec<Member>) -> Self {
        let mut digest = Digest::default();
        let mut counts = Counts::default();
        for member in &members {
            member.digest(&mut digest);
            counts.count(member);
        }
        let version = digest.finish();
        for member in &members {
            member.digest_story(&mut digest);
        }
        // Exactly as large as it has to be: an allocator may leave what is shrunk where it is.
        let mut exact = Vec::with_capacity(members.len());
        exact.extend(members);
        Self { members: exact.into(), version, story: digest.finish(), counts }
    }
}

#[cfg(test)]
mod tests;
