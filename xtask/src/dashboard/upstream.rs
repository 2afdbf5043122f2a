//! A name server of the world outside: every name has an address, after some milliseconds.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use rollcall_e2e::{clock, net};

/// Starts it. It ends with this process.
pub(super) fn start() -> Result<SocketAddr> {
    let address = net::free_loopback()?;
    let socket = UdpSocket::bind(address).with_context(|| format!("listening on {address}"))?;
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut number = 0_u64;
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            number += 1;
            // 1 to 7 ms, in no order that shows.
            clock::pause(Duration::from_millis(1 + number * 31 % 7));
            if let Some(answer) = answer(&buffer[..length]) {
                // Who does not wait for it is not told.
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    Ok(address)
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
    let mut message = Message::from_vec(query).ok()?;
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message.additionals.clear();
    let name = message.queries.first()?.name().clone();
    message.add_answer(Record::from_rdata(name, 60, RData::A(A(ADDRESS))));
    message.to_vec().ok()
}
