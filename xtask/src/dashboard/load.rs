//! Clients of DNS: some hundred queries a second, more and fewer in waves.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use rollcall_e2e::clock;

/// Clients, until dropped.
#[derive(Debug)]
pub(super) struct Load {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is asked: of ten questions eight have an answer in the cluster, one is for no service, one for the world outside.
const QUESTIONS: [(&str, RecordType); 10] = [
    ("payments.shop.svc.cluster.local.", RecordType::A),
    ("web.shop.svc.cluster.local.", RecordType::A),
    ("search.shop.svc.cluster.local.", RecordType::A),
    ("payments.shop.svc.cluster.local.", RecordType::AAAA),
    ("_http._tcp.search.shop.svc.cluster.local.", RecordType::SRV),
    ("web.shop.svc.cluster.local.", RecordType::A),
    ("kubernetes.default.svc.cluster.local.", RecordType::A),
    ("search.shop.svc.cluster.local.", RecordType::A),
    ("web.shop.svc.cluster.local.shop.svc.cluster.local.", RecordType::A),
    ("www.example.com.", RecordType::A),
];
const TICK: Duration = Duration::from_millis(10);
const MEAN_PER_TICK: f64 = 4.0;
const WAVE_S: f64 = 75.0;

// === impl Load ===

impl Load {
    /// Starts asking these servers in turn.
    pub(super) fn start(servers: Vec<SocketAddr>) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("opening a UDP socket")?;
        socket.set_nonblocking(true)?;
        let questions = QUESTIONS.iter().map(|(name, kind)| question(name, *kind)).collect::<Result<Vec<_>>>()?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || ask(&socket, &servers, &questions, &end));
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn question(name: &str, kind: RecordType) -> Result<Vec<u8>> {
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name)?, kind));
    Ok(message.to_vec()?)
}

/// Nobody waits for answers: what counts is what the servers measure.
fn ask(socket: &UdpSocket, servers: &[SocketAddr], questions: &[Vec<u8>], ended: &AtomicBool) {
    let (start, mut owed, mut number) = (clock::now(), 0.0, 0_usize);
    let mut buffer = [0; 4096];
    while !ended.load(Ordering::Relaxed) {
        let phase = start.elapsed().as_secs_f64() / WAVE_S * std::f64::consts::TAU;
        owed += MEAN_PER_TICK * (1.0 + 0.35 * phase.sin() + 0.1 * (phase * 5.3).sin());
        while owed >= 1.0 {
            owed -= 1.0;
            number += 1;
            // Two of three go to the first server.
            let server = servers[usize::from(number % 3 == 0) % servers.len()];
            let _ = socket.send_to(&questions[number % questions.len()], server);
        }
        while socket.recv_from(&mut buffer).is_ok() {}
        clock::pause(TICK);
    }
}
