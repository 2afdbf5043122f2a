//! What is asked of all replicas at once: a short connection to each, on which both ends prove themselves as on their streams.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use rollcall_catalog::model::Name;
use rollcall_xds::client::{Config, Dialer};
use rollcall_xds::proto::rollcall::v1::StreamsRequest;
use rollcall_xds::proto::rollcall::v1::peers_client::PeersClient;
use rollcall_xds::server::REPLICA_KEY;
use tokio::sync::watch;
use tonic::{Code, Request, Status};

use super::dial::Way;
use super::proof::Proofs;
use super::roster::Roster;

/// Those who can be asked. Clones are the same.
#[derive(Clone, Debug)]
pub struct Peers {
    roster: Roster,
    ways: watch::Receiver<BTreeMap<Name, Way>>,
    proof: String,
}

/// What each of the others says, or why it does not.
pub type Said = Vec<(Name, Result<Vec<Bytes>, String>)>;

/// For all that one says. People wait for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Streams that are taken of one, at most: what is there is bounded by its own limit.
const STREAMS_MAX: usize = 1 << 17;

// === impl Peers ===

impl Peers {
    /// Those of whom the Leases tell, by these ways; `proofs` says to them who asks.
    pub(super) fn new(roster: Roster, ways: watch::Receiver<BTreeMap<Name, Way>>, proofs: &Proofs) -> Self {
        Self { roster, ways, proof: proofs.shown() }
    }

    /// Of one that has none.
    pub(super) fn nobody(roster: Roster) -> Self {
        Self { roster, ways: watch::channel(BTreeMap::new()).1, proof: String::new() }
    }

    /// Who reads the streams of the others that live, each as JSON; by name of the replica.
    pub async fn streams(&self) -> Said {
        let me = self.roster.mine();
        let ways = self.ways.borrow().clone();
        let live = self.roster.live();
        let asked = live.iter().filter(|name| **name != me).map(|name| {
            let (name, way) = (Name::clone(name), ways.get(name).cloned());
            async {
                let said = match way {
                    Some(way) => self.streams_of(way).await,
                    None => Err("it has no address that it could be asked at".to_owned()),
                };
                (name, said)
            }
        });
        join_all(asked).await
    }

    async fn streams_of(&self, way: Way) -> Result<Vec<Bytes>, String> {
        let asked = tokio::time::timeout(PATIENCE, self.ask(way)).await;
        asked.unwrap_or_else(|_| Err(format!("it did not answer within {} s", PATIENCE.as_secs())))
    }

    async fn ask(&self, Way { uri, pins }: Way) -> Result<Vec<Bytes>, String> {
        let config = Config {
            pins: Some(pins),
            connect_timeout: PATIENCE,
            ..Config::new(vec![uri.clone()], self.roster.mine().to_string())
        };
        let dialer = Dialer::new(&config, &uri).map_err(|error| error.to_string())?;
        let connected = dialer.connect().await;
        let channel = connected.map_err(|error| dialer.said().unwrap_or_else(|| error.to_string()))?;
        let mut client = PeersClient::new(channel).max_decoding_message_size(Config::MESSAGE_BYTES_MAX);
        let mut request = Request::new(StreamsRequest {});
        let proof =
            self.proof.parse().map_err(|_| "the identity of this replica is no text for metadata".to_owned())?;
        request.metadata_mut().insert(REPLICA_KEY, proof);
        let mut parts = client.streams(request).await.map_err(|status| words(&status))?.into_inner();
        let mut streams = Vec::new();
        while let Some(part) = parts.message().await.map_err(|status| words(&status))? {
            streams.extend(part.streams);
            if streams.len() > STREAMS_MAX {
                return Err(format!("it tells of more than {STREAMS_MAX} streams"));
            }
        }
        Ok(streams)
    }
}

fn words(status: &Status) -> String {
    match status.code() {
        Code::Unimplemented => "it runs an earlier release, which tells nobody".to_owned(),
        _ => status.message().to_owned(),
    }
}
