//! The connections that one listener may have open, and which one goes when a further one comes: the one that idles
//! longest (RFC 7766 §6.2.3), so that nobody keeps all others out by opening connections and holding them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The seats of one listener.
#[derive(Debug)]
pub struct Seats {
    taken: Vec<Weak<Seat>>,
    max: usize,
}

/// The seat of one connection, which has it until it is dropped.
#[derive(Debug)]
pub struct Seat {
    state: Mutex<State>,
    closing: CancellationToken,
}

/// Whether there was a seat.
#[derive(Debug)]
pub enum Admission {
    /// A free one.
    Free(Arc<Seat>),
    /// That of a connection which is closed for it.
    InPlaceOfAnother(Arc<Seat>),
    /// None: every connection has a query under way.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No query since then.
    Idle(Instant),
    /// A query is under way.
    Busy,
    /// Another connection has the seat.
    Closing,
}

// === impl Seats ===

impl Seats {
    /// So many seats, all of them free.
    pub fn new(max: usize) -> Self {
        Self { taken: Vec::new(), max }
    }

    /// A seat for a connection that came now.
    pub fn admit(&mut self, now: Instant) -> Admission {
        if self.taken.len() < self.max {
            return Admission::Free(self.seat(now));
        }
        self.taken.retain(|seat| seat.strong_count() > 0);
        if self.taken.len() < self.max {
            return Admission::Free(self.seat(now));
        }
        match self.vacate() {
            Some(place) => {
                self.taken.swap_remove(place);
                Admission::InPlaceOfAnother(self.seat(now))
            }
            None => Admission::Full,
        }
    }

    fn seat(&mut self, now: Instant) -> Arc<Seat> {
        let seat = Arc::new(Seat { state: Mutex::new(State::Idle(now)), closing: CancellationToken::new() });
        self.taken.push(Arc::downgrade(&seat));
        seat
    }

    /// Closes the connection that idles longest. Where it was.
    fn vacate(&self) -> Option<usize> {
        let mut idle: Vec<_> = self
            .taken
            .iter()
            .enumerate()
            .filter_map(|(place, seat)| {
                let seat = seat.upgrade()?;
                Some((seat.idle_since()?, place, seat))
            })
            .collect();
        idle.sort_unstable_by_key(|(since, place, _)| (*since, *place));
        // A query may have come meanwhile.
        idle.into_iter().find_map(|(_, place, seat)| seat.close().then_some(place))
    }
}

// === impl Seat ===

impl Seat {
    /// A query has come. False when the connection is to be closed instead.
    pub fn begin(&self) -> bool {
        let mut state = self.state();
        if *state == State::Closing {
            return false;
        }
        *state = State::Busy;
        true
    }

    /// All queries that have come are answered.
    pub fn end(&self, now: Instant) {
        let mut state = self.state();
        if *state == State::Busy {
            *state = State::Idle(now);
        }
    }

    /// Waits for the connection to be one that is closed.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    fn idle_since(&self) -> Option<Instant> {
        match *self.state() {
            State::Idle(since) => Some(since),
            State::Busy | State::Closing => None,
        }
    }

    fn close(&self) -> bool {
        let mut state = self.state();
        let idle = matches!(*state, State::Idle(_));
        if idle {
            *state = State::Closing;
            self.closing.cancel();
        }
        idle
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn free(seats: &mut Seats, now: Instant) -> Arc<Seat> {
        match seats.admit(now) {
            Admission::Free(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_one_that_idles_longest_goes_and_a_query_under_way_is_never_cut() {
        let (mut seats, begin) = (Seats::new(3), Instant::now());
        let t = |seconds| begin + Duration::from_secs(seconds);
        let [first, second, third] = [0, 1, 2].map(|n| free(&mut seats, t(n)));
        assert!(first.begin());
        first.end(t(3));
        assert!(third.begin());
        let Admission::InPlaceOfAnother(fourth) = seats.admit(t(4)) else { panic!("the second idles longest") };
        second.closed().await;
        assert!(!second.begin(), "its query comes too late");
        assert!(first.begin() && fourth.begin());
        assert!(matches!(seats.admit(t(5)), Admission::Full));
        third.end(t(6));
        assert!(matches!(seats.admit(t(7)), Admission::InPlaceOfAnother(_)));
        assert!(!third.begin() && first.begin() && fourth.begin());
    }

    #[tokio::test]
    async fn the_seat_of_a_connection_that_ended_is_free() {
        let mut seats = Seats::new(2);
        let now = Instant::now();
        let _stays = free(&mut seats, now);
        for _ in 0..5 {
            drop(free(&mut seats, now));
        }
    }
}
