//! The connections that one listener may have open, and which one goes when a further one comes: the one that idles
//! longest (RFC 7766 §6.2.3), so that nobody keeps all others out by opening connections and holding them.
//!
//! A connection that waits for another server takes no seat: it cannot do anything about that, and how many wait is
//! bounded where questions are forwarded. One client has at most a multiple of the seats that are free or idle, so that
//! connections whose answers it does not read leave seats for others.

use std::net::IpAddr;
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
    client: IpAddr,
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
    /// None: every connection has a query under way, or those of this client have.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No query since then.
    Idle(Instant),
    /// A query is answered, or its answer sent.
    Busy,
    /// Another server is waited for.
    Waiting,
    /// Another connection has the seat.
    Closing,
}

/// So many busy connections a client may have for each seat that is not busy.
const CLIENT: usize = 4;

// === impl Seats ===

impl Seats {
    /// So many seats, all of them free.
    pub fn new(max: usize) -> Self {
        Self { taken: Vec::new(), max: max.max(1) }
    }

    /// A seat for a connection that came now.
    pub fn admit(&mut self, client: IpAddr, now: Instant) -> Admission {
        let client = client.to_canonical();
        if self.taken.len() < self.max / 2 {
            return Admission::Free(self.seat(client, now));
        }
        self.taken.retain(|seat| seat.strong_count() > 0);
        let mut idle: Vec<(Instant, Arc<Seat>)> = Vec::new();
        let (mut busy, mut busy_of_client) = (0, 0);
        for seat in self.taken.iter().filter_map(Weak::upgrade) {
            match seat.current() {
                State::Idle(since) => idle.push((since, seat)),
                State::Busy => {
                    busy += 1;
                    busy_of_client += usize::from(seat.client == client);
                }
                State::Waiting | State::Closing => {}
            }
        }
        let open = self.max.saturating_sub(busy);
        if open == 0 || (busy_of_client > 0 && busy_of_client >= open.saturating_mul(CLIENT)) {
            return Admission::Full;
        }
        // Several may have come back from waiting since the last time.
        let mut surplus = (busy + idle.len() + 1).saturating_sub(self.max);
        let one_goes = surplus > 0;
        idle.sort_unstable_by_key(|(since, _)| *since);
        for (_, seat) in idle {
            if surplus == 0 {
                break;
            }
            // A query may have come meanwhile.
            surplus -= usize::from(seat.close());
        }
        match (one_goes, surplus) {
            (false, _) => Admission::Free(self.seat(client, now)),
            (true, 0) => Admission::InPlaceOfAnother(self.seat(client, now)),
            (true, _) => Admission::Full,
        }
    }

    fn seat(&mut self, client: IpAddr, now: Instant) -> Arc<Seat> {
        let state = Mutex::new(State::Idle(now));
        let seat = Arc::new(Seat { client, state, closing: CancellationToken::new() });
        self.taken.push(Arc::downgrade(&seat));
        seat
    }
}

// === impl Seat ===

impl Seat {
    /// Queries have come. One that came too late is answered all the same, and the connection closed then.
    pub fn begin(&self) {
        self.become_unless_closing(State::Busy);
    }

    /// All that is left is what other servers are to say.
    pub fn wait(&self) {
        self.become_unless_closing(State::Waiting);
    }

    /// All queries that have come are answered.
    pub fn end(&self, now: Instant) {
        self.become_unless_closing(State::Idle(now));
    }

    /// Waits for the connection to be one that is closed.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    fn become_unless_closing(&self, state: State) {
        let mut held = self.state();
        if *held != State::Closing {
            *held = state;
        }
    }

    fn current(&self) -> State {
        *self.state()
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

    fn client(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn free(seats: &mut Seats, n: u8, now: Instant) -> Arc<Seat> {
        match seats.admit(client(n), now) {
            Admission::Free(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_one_that_idles_longest_goes_and_a_query_under_way_is_never_cut() {
        let (mut seats, begin) = (Seats::new(3), Instant::now());
        let t = |seconds| begin + Duration::from_secs(seconds);
        let [first, second, third] = [0, 1, 2].map(|n| free(&mut seats, n, t(n.into())));
        first.begin();
        first.end(t(3));
        third.begin();
        let Admission::InPlaceOfAnother(fourth) = seats.admit(client(4), t(4)) else {
            panic!("the second idles longest")
        };
        second.closed().await;
        first.begin();
        fourth.begin();
        assert!(matches!(seats.admit(client(5), t(5)), Admission::Full));
        third.end(t(6));
        assert!(matches!(seats.admit(client(5), t(7)), Admission::InPlaceOfAnother(_)));
        third.closed().await;
    }

    #[tokio::test]
    async fn who_waits_for_another_server_shuts_nobody_out() {
        let (mut seats, now) = (Seats::new(4), Instant::now());
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let seat = free(&mut seats, 1, now);
                seat.wait();
                seat
            })
            .collect();
        let other = free(&mut seats, 2, now);
        // They come back, and all but as many as there are seats for go when the next one comes.
        waiting.iter().for_each(|seat| seat.end(now));
        other.begin();
        assert!(matches!(seats.admit(client(3), now), Admission::InPlaceOfAnother(_)));
        let closed = waiting.iter().filter(|seat| seat.current() == State::Closing).count();
        assert_eq!(closed, 18, "two stay, beside the other and the one that came");
    }

    #[tokio::test]
    async fn a_client_that_reads_no_answers_leaves_seats_for_others() {
        let (mut seats, now) = (Seats::new(50), Instant::now());
        let mut stuck = Vec::new();
        while let Admission::Free(seat) = seats.admit(client(1), now) {
            seat.begin();
            stuck.push(seat);
        }
        assert!((30..50).contains(&stuck.len()), "{}", stuck.len());
        free(&mut seats, 2, now);
    }

    #[tokio::test]
    async fn the_seat_of_a_connection_that_ended_is_free() {
        let mut seats = Seats::new(2);
        let now = Instant::now();
        let _stays = free(&mut seats, 1, now);
        for _ in 0..5 {
            drop(free(&mut seats, 1, now));
        }
    }
}
