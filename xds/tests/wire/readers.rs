//! Who reads has to say who they are, if somebody judges; and connections that grow old.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};
use rollcall_xds::{
    cache::Snapshot,
    proto::discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    resource::ResourceType::Service,
    server::{Judges, Limits, Reader, Readers, Refusal, Server, Showing},
    tls::Incoming,
    view::Scope,
};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
};
use tonic::{Code, Request, Status, Streaming};

use crate::{Replica, catalog, resource, soon};

/// Streams last as long as somebody may write.
type Writer = watch::Sender<Option<Arc<Snapshot>>>;

/// Knows one token, until it is told otherwise.
#[derive(Default)]
struct One {
    known: Mutex<Option<oneshot::Sender<()>>>,
}

impl Judges for One {
    fn judge(&self, showing: Showing) -> BoxFuture<'_, Result<Reader, Status>> {
        let known = showing.authorization.as_deref() == Some("Bearer good");
        async move {
            if !known {
                return Err(Status::unauthenticated("this token is nobody's"));
            }
            let (sender, revoked) = oneshot::channel();
            *self.known.lock().expect("not poisoned") = Some(sender);
            let until = async move {
                _ = revoked.await;
                Status::permission_denied("no longer")
            };
            Ok(Reader { name: "till".into(), scope: Scope::All, until: until.boxed() })
        }
        .boxed()
    }

    fn judge_onlooker(&self, _showing: Showing) -> BoxFuture<'_, Result<Scope, Status>> {
        std::future::ready(Err(Status::permission_denied("nobody may"))).boxed()
    }
}

async fn replica(limits: Limits, readers: Option<Readers>) -> (Replica, Writer) {
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "1"));
    sender.send_replace(Some(cache.publish()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = |metrics| {
        let server = Server::new(sender.subscribe(), limits, metrics);
        readers.into_iter().fold(server, Server::read_by)
    };
    let replica = Replica::serve(listener, server, Incoming::plain);
    (replica, sender)
}

async fn read(replica: &Replica, token: Option<&str>) -> Result<Streaming<DeltaDiscoveryResponse>, Status> {
    let mut client = AggregatedDiscoveryServiceClient::connect(replica.uri()).await.expect("it listens");
    let ask = DeltaDiscoveryRequest { type_url: Service.type_url().to_owned(), ..DeltaDiscoveryRequest::default() };
    let asks = futures::StreamExt::chain(tokio_stream::once(ask), futures::stream::pending());
    let mut request = Request::new(asks);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a text"));
    }
    Ok(soon(client.delta_aggregated_resources(request)).await?.into_inner())
}

#[tokio::test]
async fn a_reader_is_let_in_by_what_it_shows_and_goes_when_that_counts_no_longer() {
    let one = Arc::new(One::default());
    let (replica, _writer) = replica(Limits::default(), Some(Readers(one.clone()))).await;
    for token in [None, Some("bad")] {
        let said = read(&replica, token).await.expect_err("nobody's");
        assert_eq!((said.code(), said.message()), (Code::Unauthenticated, "this token is nobody's"), "{token:?}");
    }
    let refused = |reason| replica.metrics.refused_requests(reason);
    assert_eq!((refused(Refusal::Unauthenticated), replica.metrics.streams_open()), (2, 0));
    let mut stream = read(&replica, Some("good")).await.expect("known");
    let first = soon(stream.message()).await.expect("no error").expect("the catalog");
    assert_eq!(first.resources.len(), 1);
    assert_eq!(replica.server.clients().list()[0].identity, "till");
    drop(one.known.lock().expect("not poisoned").take());
    let said = soon(stream.message()).await.expect_err("it ends");
    assert_eq!((said.code(), said.message()), (Code::PermissionDenied, "no longer"));
    assert_eq!(refused(Refusal::Forbidden), 1);
    replica.stop().await;
}

#[tokio::test]
async fn an_old_stream_ends_without_an_error_and_its_client_may_come_again() {
    let age = Some(Duration::from_millis(200));
    let (replica, _writer) = replica(Limits { connection_age: age, ..Limits::default() }, None).await;
    for _ in 0..2 {
        let mut stream = read(&replica, None).await.expect("let in");
        let mut responses = 0;
        while let Some(response) = soon(stream.message()).await.expect("no error") {
            responses += response.resources.len();
        }
        assert_eq!(responses, 1, "and nothing is lost");
    }
    replica.stop().await;
}
