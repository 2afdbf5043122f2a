//! What the death of a server costs those who ask it: with its sockets held by another process, and without.
//!
//! `cargo bench --workspace --bench killed` kills a server five times under a steady load, while no controller can be
//! reached and the snapshot has 100,000 endpoints, and prints the queries that were lost, the longest time without an answer,
//! and how long a start takes. All on loopback.
#![allow(clippy::unwrap_used, reason = "a bench may stop on any fault")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use rustix::process::{Pid, Signal, kill_process};
use support::SERVICES;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout};

/// Queries in a second.
const RATE: u64 = 1_000;
const DEATHS: u32 = 5;
/// Between two deaths: longer than what counts as a death right after the start, which costs a wait.
const REST: Duration = Duration::from_secs(11);
/// Of whoever asks: what waited comes at once, to one socket here, where it would come to many.
const ANSWERS_BYTES: usize = 1 << 22;
/// What is not answered within it is lost.
const LOST: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("catalog");
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    write_snapshot(&snapshot, free).await;
    println!("{DEATHS} deaths under {RATE} queries/s, {} endpoints, no controller", SERVICES * support::EACH);
    for (what, held) in [("sockets held", true), ("one process", false)] {
        let mut server = start(held, &snapshot, "http://127.0.0.1:1", free);
        let begin = Instant::now();
        answered(free).await;
        let took = begin.elapsed();
        let load = tokio::spawn(load(free, u64::from(DEATHS + 1) * REST.as_secs() * RATE));
        for _ in 0..DEATHS {
            sleep(REST).await;
            if held {
                kill_process(child_of(&server).unwrap(), Signal::KILL).unwrap();
            } else {
                server.kill().unwrap();
                server.wait().unwrap();
                server = start(false, &snapshot, "http://127.0.0.1:1", free);
            }
        }
        let (lost, silence) = load.await.unwrap();
        println!(
            "{what}: {lost} queries lost, longest time without an answer {silence:?}, answers {took:?} after a start"
        );
        kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
        server.wait().unwrap();
    }
}

fn start(held: bool, snapshot: &Path, catalog: &str, at: SocketAddr) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rollcall-dns"))
        .args(held.then_some("--hold-sockets"))
        .args([format!("--catalog={catalog}"), format!("--snapshot={}", snapshot.display()), format!("--listen={at}")])
        .args(["--http-listen=127.0.0.1:0", "--lame-duck=0s", "--log-level=off"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn child_of(holder: &Child) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", holder.id())).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

/// Has a server write a snapshot of a catalog.
async fn write_snapshot(path: &Path, at: SocketAddr) {
    let snapshots = watch::Sender::new(Some(support::filled().publish()));
    let (url, serving) = support::serve(&snapshots).await;
    let mut server = start(false, path, &url, at);
    while !path.exists() {
        sleep(Duration::from_millis(50)).await;
    }
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    server.wait().unwrap();
    serving.abort();
}

fn query(id: u16) -> Vec<u8> {
    let name = Name::from_ascii(support::name(u32::from(id) % SERVICES)).unwrap();
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().unwrap()
}

async fn answered(at: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(at).await.unwrap();
    let mut answer = [0; 2048];
    loop {
        drop(socket.send(&query(1)).await);
        match timeout(Duration::from_millis(5), socket.recv(&mut answer)).await {
            // SERVFAIL comes before the snapshot is read.
            Ok(Ok(_)) if answer[3] & 0x0f == 0 => return,
            _ => sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Sends so many queries at the rate: how many were lost, and the longest time without an answer.
async fn load(at: SocketAddr, count: u64) -> (u64, Duration) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket2::SockRef::from(&socket).set_recv_buffer_size(ANSWERS_BYTES).unwrap();
    let mut turns = interval(Duration::from_secs(1) / RATE as u32);
    let mut waiting = BTreeMap::<u16, Instant>::new();
    let (mut lost, mut last, mut silence, mut sent) = (0, Instant::now(), Duration::ZERO, 0);
    let mut answer = [0; 2048];
    while sent < count || !waiting.is_empty() {
        tokio::select! {
            biased;
            received = socket.recv_from(&mut answer) => if received.is_ok() && answer[3] & 0x0f == 0 {
                silence = silence.max(last.elapsed());
                last = Instant::now();
                waiting.remove(&u16::from_be_bytes([answer[0], answer[1]]));
            },
            _ = turns.tick() => {
                if sent < count {
                    let id = (sent % 60_000) as u16;
                    lost += u64::from(waiting.insert(id, Instant::now()).is_some());
                    drop(socket.send_to(&query(id), at).await);
                    sent += 1;
                }
                let before = waiting.len();
                waiting.retain(|_, begin| begin.elapsed() < LOST);
                lost += (before - waiting.len()) as u64;
            }
        }
    }
    (lost, silence)
}
