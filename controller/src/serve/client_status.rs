//! Client status (CSDS): what each client of the stream holds, has taken and has refused, for `grpcdebug` and the like.
//!
//! Each stream is asked for what it holds; nothing is kept for it meanwhile. An answer stays below what gRPC clients read:
//! whoever wants to see more of many clients asks for some of them by `node_matchers`.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::admin::v3::{ClientResourceStatus, UpdateFailureState};
use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::envoy::service::status::v3::client_config::GenericXdsConfig;
use envoy_types::pb::envoy::service::status::v3::client_status_discovery_service_server::{
    ClientStatusDiscoveryService, ClientStatusDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::status::v3::{
    ClientConfig, ClientStatusRequest, ClientStatusResponse, ConfigStatus,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{NodeMatcher, StringMatcher, string_matcher::MatchPattern};
use envoy_types::pb::google::protobuf::{Any, Struct, Timestamp, Value, value};
use futures::stream::{BoxStream, StreamExt};
use prost::Message as _;
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::{Clients, Description, Readers, Showing};
use rollcall_xds::stream::{Holding, Standing, Variant};
use rollcall_xds::view::Scope;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::lens::Lens;
use crate::time::clock::Clock;

/// Answers who asks what clients hold. Clones share its bound.
#[derive(Clone)]
pub struct ClientStatus(Arc<Shared>);

struct Shared {
    clients: Arc<Clients>,
    readers: Option<Readers>,
    lens: Lens,
    answering: Semaphore,
}

/// What whoever asks may see, and wants to.
struct Look {
    matchers: Vec<NodeMatcher>,
    /// Of what resources say.
    scope: Scope,
    contents: bool,
    now: Timestamp,
}

/// Questions that are answered at a time. Each looks at every stream.
const ANSWERS_MAX: usize = 2;

/// Resources that an answer is made of, at most.
const RESOURCES_MAX: usize = 100_000;

/// Largest answer in bytes, below the 4 MiB that gRPC clients read.
const BYTES_MAX: usize = 7 << 19;

// === impl ClientStatus ===

impl ClientStatus {
    /// About these clients, for whom `readers` let see them; without, for everybody.
    pub fn new(domain: &str, clients: Arc<Clients>, readers: Option<Readers>) -> Self {
        let answering = Semaphore::new(ANSWERS_MAX);
        Self(Arc::new(Shared { clients, readers, lens: Lens::new(domain), answering }))
    }

    /// The tonic service, to add to a router.
    pub fn into_service(self) -> ClientStatusDiscoveryServiceServer<Self> {
        ClientStatusDiscoveryServiceServer::new(self)
    }

    /// What of resources they may see who show this.
    async fn scope(&self, showing: Showing) -> Result<Scope, Status> {
        match &self.0.readers {
            Some(Readers(readers)) => readers.judge_onlooker(showing).await,
            None => Ok(Scope::All),
        }
    }

    async fn answer(&self, request: ClientStatusRequest, scope: Scope) -> Result<ClientStatusResponse, Status> {
        let Ok(_turn) = self.0.answering.acquire().await else { return Err(Status::unavailable("it is ending")) };
        let contents = !request.exclude_resource_contents;
        let look = Look {
            matchers: request.node_matchers,
            scope,
            contents,
            now: Timestamp { seconds: Clock::wall_s(), nanos: 0 },
        };
        check(&look.matchers)?;
        let told = self.0.clients.holdings(|client| look.wants(client), RESOURCES_MAX).await;
        let (mut response, mut room) = (ClientStatusResponse::default(), BYTES_MAX);
        for (client, holdings) in told {
            let config = look.config(&client, holdings.unwrap_or_default(), &self.0.lens, &mut room);
            response.config.push(config);
            if room == 0 {
                break;
            }
        }
        Ok(response)
    }
}

impl std::fmt::Debug for ClientStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientStatus").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl ClientStatusDiscoveryService for ClientStatus {
    type StreamClientStatusStream = BoxStream<'static, Result<ClientStatusResponse, Status>>;

    async fn stream_client_status(
        &self,
        request: Request<Streaming<ClientStatusRequest>>,
    ) -> Result<Response<Self::StreamClientStatusStream>, Status> {
        let showing = Showing::of(&request);
        self.scope(showing.clone()).await?;
        let (this, requests) = (self.clone(), request.into_inner());
        let answers = requests.then(move |asked| {
            let (this, showing) = (this.clone(), showing.clone());
            // The right is looked at each time: such a stream may be open for long.
            async move { this.answer(asked?, this.scope(showing).await?).await }
        });
        // Ends with the first refusal.
        let until_refused = answers.scan(false, |refused, answer| {
            let over = std::mem::replace(refused, answer.is_err());
            std::future::ready((!over).then_some(answer))
        });
        Ok(Response::new(until_refused.boxed()))
    }

    async fn fetch_client_status(
        &self,
        request: Request<ClientStatusRequest>,
    ) -> Result<Response<ClientStatusResponse>, Status> {
        let scope = self.scope(Showing::of(&request)).await?;
        Ok(Response::new(self.answer(request.into_inner(), scope).await?))
    }
}

/// Only what can be answered: a matcher that is not understood would silently match everything or nothing.
fn check(matchers: &[NodeMatcher]) -> Result<(), Status> {
    for matcher in matchers {
        let by_id = matcher.node_id.as_ref().and_then(|id| id.match_pattern.as_ref());
        let plain = !matches!(by_id, Some(MatchPattern::SafeRegex(_) | MatchPattern::Custom(_)));
        if !plain || !matcher.node_metadatas.is_empty() {
            return Err(Status::invalid_argument(
                "clients are told apart by node_id alone: exact, prefix, suffix or contains",
            ));
        }
    }
    Ok(())
}

// === impl Look ===

impl Look {
    /// Any of the matchers; without one, everybody.
    fn wants(&self, client: &Description) -> bool {
        let matches = |matcher: &NodeMatcher| matcher.node_id.as_ref().is_none_or(|id| text_matches(id, &client.node));
        self.matchers.is_empty() || self.matchers.iter().any(matches)
    }

    /// A client, with as many of its resources as there is room for.
    fn config(&self, client: &Description, mut held: Vec<Holding>, lens: &Lens, room: &mut usize) -> ClientConfig {
        held.sort_unstable_by(|a, b| (a.ty, &a.name).cmp(&(b.ty, &b.name)));
        let mut config =
            ClientConfig { node: Some(node(client)), client_scope: client.node.clone(), ..ClientConfig::default() };
        *room = room.saturating_sub(config.encoded_len());
        for holding in held {
            let sees = speaks_of_envoys(holding.ty) && lens.is_within(&self.scope, holding.ty, &holding.name);
            let one = self.resource(client, holding, self.contents && sees);
            let bytes = one.encoded_len() + 8; // with its key and length
            if bytes > *room {
                *room = 0;
                break;
            }
            *room -= bytes;
            config.generic_xds_configs.push(one);
        }
        config
    }

    fn resource(&self, client: &Description, holding: Holding, with_content: bool) -> GenericXdsConfig {
        let of_type = client.types.iter().find(|of| of.ty == holding.ty);
        let refused = of_type.and_then(|of| of.nack.as_ref()).filter(|_| holding.standing == Standing::Refused);
        let content = holding.content.filter(|_| with_content);
        let (config_status, client_status) = match holding.standing {
            Standing::Taken => (ConfigStatus::Synced, ClientResourceStatus::Acked),
            Standing::Unanswered => (ConfigStatus::Stale, ClientResourceStatus::Unknown),
            Standing::Refused => (ConfigStatus::Error, ClientResourceStatus::Nacked),
            Standing::Waiting if holding.version.is_some() => (ConfigStatus::Stale, ClientResourceStatus::Acked),
            Standing::Waiting => (ConfigStatus::NotSent, ClientResourceStatus::Requested),
        };
        GenericXdsConfig {
            type_url: holding.ty.type_url().to_owned(),
            name: holding.name.to_string(),
            version_info: holding.version.map(|version| version.to_string()).unwrap_or_default(),
            xds_config: content.and_then(|any| Any::decode(any).ok()),
            last_updated: of_type.and_then(|of| of.sent).map(|ago| self.ago(ago)),
            config_status: config_status.into(),
            client_status: client_status.into(),
            error_state: refused.map(|(ago, words)| UpdateFailureState {
                last_update_attempt: Some(self.ago(*ago)),
                details: words.clone(),
                ..UpdateFailureState::default()
            }),
            is_static_resource: false,
        }
    }

    fn ago(&self, ago: Duration) -> Timestamp {
        let seconds = i64::try_from(ago.as_secs()).unwrap_or_default();
        Timestamp { seconds: self.now.seconds - seconds, nanos: 0 }
    }
}

/// Whether whoever asks can read what such a resource says.
fn speaks_of_envoys(ty: ResourceType) -> bool {
    matches!(ty, ResourceType::Listener | ResourceType::Route | ResourceType::Cluster | ResourceType::Endpoints)
}

/// Who it is: as it says, and as it proved.
fn node(client: &Description) -> Node {
    let text = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
    let variant = match client.variant {
        Variant::Delta => "delta",
        Variant::StateOfTheWorld => "state-of-the-world",
    };
    let about = [
        ("rollcall.dev/address", client.address.to_string()),
        ("rollcall.dev/identity", client.identity.clone()),
        ("rollcall.dev/variant", variant.to_owned()),
    ];
    let about = about.into_iter().filter(|(_, said)| !said.is_empty());
    Node {
        id: client.node.clone(),
        user_agent_name: client.agent.clone(),
        locality: Some(Locality { region: client.region.clone(), zone: client.zone.clone(), ..Locality::default() }),
        metadata: Some(Struct { fields: about.map(|(key, said)| (key.to_owned(), text(&said))).collect() }),
        ..Node::default()
    }
}

fn text_matches(matcher: &StringMatcher, text: &str) -> bool {
    let fold = |text: &str| if matcher.ignore_case { text.to_lowercase() } else { text.to_owned() };
    let text = fold(text);
    match &matcher.match_pattern {
        Some(MatchPattern::Exact(wanted)) => text == fold(wanted),
        Some(MatchPattern::Prefix(wanted)) => text.starts_with(&fold(wanted)),
        Some(MatchPattern::Suffix(wanted)) => text.ends_with(&fold(wanted)),
        Some(MatchPattern::Contains(wanted)) => text.contains(&fold(wanted)),
        Some(MatchPattern::SafeRegex(_) | MatchPattern::Custom(_)) => false, // refused before
        None => true,
    }
}

#[cfg(test)]
mod tests;
