//! A server that does what a test says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// How a question came, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) message: Message,
    pub(crate) from: SocketAddr,
    pub(crate) tcp: bool,
}

/// Listens on a UDP and a TCP port of the same number until it is dropped.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

/// Gives the messages to be sent, in this order; over TCP only the first counts.
type Script = Arc<dyn Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync>;

// === impl Upstream ===

impl Upstream {
    /// Follows the script for everything but the question with which the server under test looks for loops: that is
    /// answered as a resolver would.
    pub(crate) async fn start(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::start_raw(move |asked| match is_look(&asked.message) {
            true => vec![answer(asked, |message| message.metadata.response_code = ResponseCode::NXDomain)],
            false => script(asked),
        })
        .await
    }

    /// Answers looks while this is false, and nothing else.
    pub(crate) async fn silenced_by(silenced: Arc<AtomicBool>) -> Self {
        Self::start_raw(move |asked| match is_look(&asked.message) && !silenced.load(Ordering::Relaxed) {
            true => vec![answer(asked, |message| message.metadata.response_code = ResponseCode::NXDomain)],
            false => Vec::new(),
        })
        .await
    }

    /// Follows the script for everything.
    pub(crate) async fn start_raw(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let (addr, asked, script) = (udp.local_addr().unwrap(), Arc::default(), Arc::new(script) as Script);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&asked), Arc::clone(&script)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&asked), script));
        Self { addr, asked, _tasks: tasks }
    }

    /// Answers every question with this address.
    pub(crate) async fn with_address(address: [u8; 4]) -> Self {
        Self::start(move |asked| vec![answer(asked, |message| add_addresses(message, &[address]))]).await
    }

    /// What it was asked for clients, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| !is_look(&asked.message)).cloned().collect()
    }
}

/// The answer to a question, in small letters and with one change.
pub(crate) fn answer(asked: &Asked, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = asked.message.clone().into_response();
    message.metadata.recursion_available = true;
    message.edns = asked.message.edns.as_ref().map(|_| hickory_proto::op::Edns::new());
    for query in &mut message.queries {
        let name = query.name().to_lowercase();
        query.set_name(name);
    }
    change(&mut message);
    message.to_vec().unwrap()
}

pub(crate) fn add_addresses(message: &mut Message, addresses: &[[u8; 4]]) {
    let name = message.queries[0].name().clone();
    let record = |address: &[u8; 4]| Record::from_rdata(name.clone(), 86_400, RData::A(A((*address).into())));
    message.answers.extend(addresses.iter().map(record));
}

pub(crate) fn is_look(message: &Message) -> bool {
    message
        .queries
        .first()
        .is_some_and(|query| query.name().to_ascii().to_ascii_lowercase().ends_with(".rollcall-loop-check."))
}

async fn serve_udp(socket: UdpSocket, seen: Arc<Mutex<Vec<Asked>>>, script: Script) {
    let mut bytes = [0; 4096];
    loop {
        let (len, from) = socket.recv_from(&mut bytes).await.unwrap();
        let asked = Asked { message: Message::from_vec(&bytes[..len]).unwrap(), from, tcp: false };
        seen.lock().unwrap().push(asked.clone());
        for message in script(&asked) {
            socket.send_to(&message, from).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, seen: Arc<Mutex<Vec<Asked>>>, script: Script) {
    loop {
        let (stream, from) = listener.accept().await.unwrap();
        let message = read(stream, from, Arc::clone(&seen), Arc::clone(&script));
        drop(tokio::spawn(message));
    }
}

async fn read(mut stream: TcpStream, from: SocketAddr, seen: Arc<Mutex<Vec<Asked>>>, script: Script) {
    let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut bytes).await.unwrap();
    let asked = Asked { message: Message::from_vec(&bytes).unwrap(), from, tcp: true };
    seen.lock().unwrap().push(asked.clone());
    if let Some(message) = script(&asked).first() {
        stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat()).await.unwrap();
    }
}
