//! One DNS question over UDP, for a machine that has no DNS client.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

/// The answer's data, sorted; the response code when there is none.
pub(super) fn resolve(server: SocketAddr, name: &str, kind: RecordType) -> Result<String> {
    let mut question = Message::new(1, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii(name)?, kind));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send(&question.to_vec()?)?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).with_context(|| format!("no answer from {server}"))?;
    let answer = Message::from_vec(&buffer[..length])?;
    let mut data: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    data.sort();
    Ok(match answer.metadata.response_code {
        ResponseCode::NoError if data.is_empty() => "no records of this type".into(),
        ResponseCode::NoError => data.join(", "),
        code => code.to_string(),
    })
}
