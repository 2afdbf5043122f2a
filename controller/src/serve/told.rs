//! What other replicas are told when they ask: who reads this one's stream.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, iter};
use rollcall_xds::proto::rollcall::v1::peers_server::{Peers, PeersServer};
use rollcall_xds::proto::rollcall::v1::{StreamsReply, StreamsRequest};
use rollcall_xds::server::{BetweenReplicas, Clients, REPLICA_KEY};
use tonic::{Request, Response, Status};

use super::streams;

/// Tells replicas, and nobody else.
#[derive(Clone)]
pub struct Told {
    between: Option<BetweenReplicas>,
    clients: Arc<Clients>,
}

/// A part is ended when it has so many bytes: below what any reader of gRPC takes.
const PART_BYTES: usize = 256 << 10;

// === impl Told ===

impl Told {
    /// About these clients; without `between` this replica is alone and tells nobody.
    pub fn new(between: Option<BetweenReplicas>, clients: Arc<Clients>) -> Self {
        Self { between, clients }
    }

    /// The tonic service, to add to a router.
    pub fn into_service(self) -> PeersServer<Self> {
        PeersServer::new(self)
    }
}

#[tonic::async_trait]
impl Peers for Told {
    type StreamsStream = BoxStream<'static, Result<StreamsReply, Status>>;

    async fn streams(&self, request: Request<StreamsRequest>) -> Result<Response<Self::StreamsStream>, Status> {
        let proof = request.metadata().get(REPLICA_KEY).and_then(|proof| proof.to_str().ok());
        let proved = self.between.as_ref().zip(proof).is_some_and(|(between, proof)| (between.proves)(proof));
        if !proved {
            return Err(Status::unauthenticated("only replicas that this one knows are told who reads its stream"));
        }
        let here = self.clients.list();
        let all = here.iter().map(|client| Bytes::from(streams::stream(client).to_string()));
        Ok(Response::new(iter(parts(all)).map(Ok).boxed()))
    }
}

fn parts(all: impl Iterator<Item = Bytes>) -> Vec<StreamsReply> {
    let (mut parts, mut room) = (Vec::new(), 0);
    for one in all {
        if one.len() > room {
            parts.push(StreamsReply::default());
            room = PART_BYTES;
        }
        room = room.saturating_sub(one.len());
        if let Some(part) = parts.last_mut() {
            part.streams.push(one);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_and_lose_nothing() {
        let all = (0..2_000_u32).map(|at| Bytes::from(vec![b'x'; 300 + (at % 7) as usize]));
        let parts = parts(all.clone());
        assert!(parts.len() > 1);
        for part in &parts {
            assert!(part.streams.iter().map(Bytes::len).sum::<usize>() <= PART_BYTES);
        }
        assert!(parts.into_iter().flat_map(|part| part.streams).eq(all));
    }
}
