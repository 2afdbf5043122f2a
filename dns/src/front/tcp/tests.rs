//! Tests: the TCP front (RFC 7766).

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::Metrics;
use crate::zone::{Settings, ZoneWriter};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const SEATS: usize = 20;

fn responder() -> Responder {
    let mut writer = ZoneWriter::new(Settings { ttl: 5, ..Settings::default() });
    writer.sync("cluster.local", 1).unwrap();
    Responder::new(Arc::clone(writer.zone()), Arc::<Metrics>::default())
}

fn start() -> (DuplexStream, CancellationToken, JoinHandle<io::Result<()>>) {
    let responder = responder();
    let (client, server) = tokio::io::duplex(1 << 16);
    let shutdown = CancellationToken::new();
    let (seat, stop) = (seat(), shutdown.clone());
    let task = tokio::spawn(async move { connection(server, CLIENT, responder, &seat, stop).await });
    (client, shutdown, task)
}

fn seat() -> Arc<Seat> {
    match Seats::new(1).admit(CLIENT, Instant::now()) {
        Admission::Free(seat) => seat,
        other => panic!("{other:?}"),
    }
}

fn query(id: u16) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(Name::from_ascii("cluster.local.").unwrap(), RecordType::SOA));
    let bytes = message.to_vec().unwrap();
    [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()
}

async fn answer_id(client: &mut (impl AsyncRead + Unpin)) -> u16 {
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

#[tokio::test(start_paused = true)]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let (mut client, shutdown, task) = start();
    client.write_all(&query(1)).await.unwrap();
    assert_eq!(answer_id(&mut client).await, 1);
    let begin = Instant::now();
    shutdown.cancel();
    task.await.unwrap().unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO, "of the paused clock");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_loses_its_seat_is_closed_at_once_though_a_query_has_begun_to_come() {
    let mut seats = Seats::new(1);
    let Admission::Free(seat) = seats.admit(CLIENT, Instant::now()) else { panic!("a free seat") };
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let task =
        tokio::spawn(async move { connection(server, CLIENT, responder(), &seat, CancellationToken::new()).await });
    client.write_all(&query(1)).await.unwrap();
    assert_eq!(answer_id(&mut client).await, 1);
    client.write_all(&query(2)[..9]).await.unwrap();
    let begin = Instant::now();
    let other = loop {
        match seats.admit(CLIENT, Instant::now()) {
            Admission::InPlaceOfAnother(other) => break other,
            Admission::Full => tokio::task::yield_now().await, // the answer was read before its end was noted
            Admission::Free(_) => panic!("the seat is taken"),
        }
    };
    task.await.unwrap().unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(begin.elapsed(), Duration::ZERO, "of the paused clock");
    drop(other);
}

#[tokio::test]
async fn for_a_connection_beyond_the_limit_the_one_that_idles_longest_is_closed_and_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (responder, shutdown) = (responder(), CancellationToken::new());
    let metrics = Arc::clone(&responder.metrics);
    let server = tokio::spawn(serve(listener, None, responder, SEATS, shutdown.clone()));
    let mut open = Vec::new();
    for id in 1..=SEATS as u16 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        if id == 1 || id == SEATS as u16 {
            stream.write_all(&query(id)).await.unwrap();
            assert_eq!(answer_id(&mut stream).await, id);
        }
        open.push(stream);
    }
    // All are accepted, since the last one is; the first was idle longest, and now it is the second.
    open[0].write_all(&query(7)).await.unwrap();
    assert_eq!(answer_id(&mut open[0]).await, 7);
    let mut further = TcpStream::connect(addr).await.unwrap();
    further.write_all(&query(8)).await.unwrap();
    assert_eq!(answer_id(&mut further).await, 8);
    assert_eq!(open[1].read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
    assert_eq!(metrics.drops(Transport::Tcp, DropReason::TooManyConnections), 1);
    open[0].write_all(&query(9)).await.unwrap();
    assert_eq!(answer_id(&mut open[0]).await, 9);
    shutdown.cancel();
    server.await.unwrap();
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Whatever arrives, however it is cut: the connection ends when the client does, and each answer is whole.
    #[test]
    fn hostile_streams_end_and_their_answers_are_whole(chunks in proptest::collection::vec(chunk(), 0..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut client, _shutdown, task) = start();
            for chunk in chunks {
                // The server may have hung up on nonsense before.
                if client.write_all(&chunk).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(client.shutdown().await);
            let mut answers = Vec::new();
            client.read_to_end(&mut answers).await.unwrap();
            drop(task.await.unwrap());
            let mut rest = &answers[..];
            while let Some((len, after)) = rest.split_first_chunk() {
                let len = usize::from(u16::from_be_bytes(*len));
                Message::from_vec(&after[..len]).unwrap();
                rest = &after[len..];
            }
            assert!(rest.is_empty());
        });
    }
}

/// A query, a part of one, or anything.
fn chunk() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    prop_oneof![
        any::<u16>().prop_map(query),
        (any::<u16>(), 0..40_usize).prop_map(|(id, len)| query(id).into_iter().take(len).collect()),
        proptest::collection::vec(any::<u8>(), 0..300),
    ]
}
