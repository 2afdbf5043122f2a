use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::Metrics;
use crate::zone::{Settings, ZoneWriter};

fn start() -> (DuplexStream, CancellationToken, JoinHandle<io::Result<()>>) {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, name_servers: Vec::new() });
    writer.sync("cluster.local", 1).unwrap();
    let responder = Responder::new(Arc::clone(writer.zone()), Arc::default());
    let (client, server) = tokio::io::duplex(1 << 16);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(connection(server, responder, shutdown.clone()));
    (client, shutdown, task)
}

fn query(id: u16) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(Name::from_ascii("cluster.local.").unwrap(), RecordType::SOA));
    let bytes = message.to_vec().unwrap();
    [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()
}

async fn answer_id(client: &mut DuplexStream) -> u16 {
    let len = client.read_u16().await.unwrap();
    let mut bytes = vec![0; usize::from(len)];
    client.read_exact(&mut bytes).await.unwrap();
    let message = Message::from_vec(&bytes).unwrap();
    assert_eq!(message.answers.len(), 1);
    message.metadata.id
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order_though_the_last_is_not_whole() {
    let (mut client, _shutdown, _task) = start();
    let last = query(3);
    client.write_all(&[query(1), query(2), last[..9].to_vec()].concat()).await.unwrap();
    assert_eq!((answer_id(&mut client).await, answer_id(&mut client).await), (1, 2));
    client.write_all(&last[9..]).await.unwrap();
    assert_eq!(answer_id(&mut client).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_idles_or_dribbles_is_closed() {
    for begun in [&[][..], &[0], &[0, 40, 1, 2, 3]] {
        let (mut client, _shutdown, task) = start();
        client.write_all(begun).await.unwrap();
        let begin = tokio::time::Instant::now();
        task.await.unwrap().unwrap();
        assert_eq!(begin.elapsed(), IDLE_TIMEOUT);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_not_a_query_ends_the_connection() {
    let (mut client, _shutdown, task) = start();
    client.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_answers_what_was_received_and_ends() {
    let (mut client, shutdown, task) = start();
    client.write_all(&[query(1), query(2)].concat()).await.unwrap();
    assert_eq!(answer_id(&mut client).await, 1);
    shutdown.cancel();
    assert_eq!(answer_id(&mut client).await, 2);
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let metrics = Arc::<Metrics>::default();
    let writer = ZoneWriter::new(Settings { ttl: 5, name_servers: Vec::new() });
    let responder = Responder::new(Arc::clone(writer.zone()), Arc::clone(&metrics));
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(listener, responder, shutdown.clone()));
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        open.push(tokio::net::TcpStream::connect(addr).await.unwrap());
    }
    let mut refused = tokio::net::TcpStream::connect(addr).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(metrics.drops(Transport::Tcp, DropReason::TooManyConnections), 1);
    shutdown.cancel();
    tokio::time::timeout(IDLE_TIMEOUT, server).await.expect("idle connections do not hold up the end").unwrap();
}
