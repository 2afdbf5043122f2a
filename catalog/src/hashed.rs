//! Maps and sets whose hash takes a third of SipHash's time: a merge looks up several for each endpoint. It is seeded at random in each
//! process, so that nobody who writes objects can choose names that fall together.

use foldhash::fast::RandomState;

/// A map in no order.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A set in no order.
pub(crate) type HashSet<T> = std::collections::HashSet<T, RandomState>;
