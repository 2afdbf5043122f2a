//! Whatever a client does that keeps to the protocol: nothing is lost, doubled or turned around, no window is overrun on either
//! side, each wakeup comes, and nothing is held in the end.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

mod client;
mod server;

use self::{client::Client, server::Server};

/// What is done with a request, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Said back piece by piece, with trailers.
    Echo,
    /// Read whole, by another task, and then said back.
    Elsewhere,
    /// Answered at once, and the body is not read.
    AtOnce,
    /// Neither read nor answered.
    Never,
}

/// One thing that happens. Streams are picked among those that are open, and bytes are as many as windows allow.
#[derive(Clone, Debug)]
enum Act {
    Open(Mode),
    Data {
        pick: usize,
        bytes: usize,
        padding: u8,
        last: bool,
    },
    Trailers(usize),
    Reset(usize),
    Room {
        pick: usize,
        more: u32,
    },
    RoomForAll(u32),
    Window(u32),
    Ping,
    ShutDown,
    /// So many bytes come through to the server, and so many back.
    Pass(usize, usize),
    /// The other task goes on.
    Elsewhere,
}

const MODES: [Mode; 4] = [Mode::Echo, Mode::Elsewhere, Mode::AtOnce, Mode::Never];

fn limits() -> Limits {
    Limits { streams_max: 5, connection_window_bytes: 100_000, ..Limits::default() }
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = || prop_oneof![Just(0), 1..100_usize, 1..70_000_usize];
    let data = (0..8_usize, bytes(), prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], prop::bool::weighted(0.2));
    prop_oneof![
        3 => prop::sample::select(&MODES[..]).prop_map(Act::Open),
        6 => data.prop_map(|(pick, bytes, padding, last)| Act::Data { pick, bytes, padding, last }),
        1 => (0..8_usize).prop_map(Act::Trailers),
        1 => (0..8_usize).prop_map(Act::Reset),
        2 => (0..8_usize, 1..60_000_u32).prop_map(|(pick, more)| Act::Room { pick, more }),
        3 => (1..60_000_u32).prop_map(Act::RoomForAll),
        1 => prop_oneof![Just(0), 1..100_000_u32].prop_map(Act::Window),
        1 => Just(Act::Ping),
        1 => prop::bool::weighted(0.03).prop_map(|down| if down { Act::ShutDown } else { Act::Ping }),
        6 => (bytes(), bytes()).prop_map(|(there, back)| Act::Pass(there, back)),
        2 => Just(Act::Elsewhere),
    ]
}

/// The byte of a body at a place: it says of which stream it is, and where.
fn byte(stream: u32, at: usize) -> u8 {
    at.wrapping_mul(31).wrapping_add(at >> 8).wrapping_add(stream as usize).to_le_bytes()[0]
}

fn plays(acts: Vec<Act>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (mut client, mut server) = (Client::new(), Server::new(limits()));
        for act in acts {
            match act {
                Act::ShutDown => server.shut_down(),
                Act::Elsewhere => server.read_elsewhere(),
                Act::Pass(there, back) => {
                    server.hear(client.takes(there));
                    client.hear(&server.says(back));
                }
                act => client.act(act),
            }
            server.runs_if_woken();
        }
        finish(&mut client, &mut server);
    });
}

/// All that was begun is brought to an end, which takes a bounded number of steps.
fn finish(client: &mut Client, server: &mut Server) {
    for step in 0..2_000 {
        client.goes_on(step);
        server.hear(client.takes(usize::MAX));
        server.runs_if_woken();
        server.read_elsewhere();
        server.runs_if_woken();
        client.hear(&server.says(usize::MAX));
        server.runs_if_woken();
        if server.is_over() && server.is_quiet() {
            assert!(client.has_all() || !client.was_told(), "it ended before its streams: {client:?}");
            return;
        }
        if client.is_done() && client.takes(0).is_empty() && server.is_quiet() {
            server.holds_nothing(client);
            return;
        }
    }
    panic!("it does not end: {client:?} {server:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_client_is_served(acts in vec(act(), 0..120)) {
        plays(acts);
    }
}
