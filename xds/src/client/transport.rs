//! One stream after the other.

use std::{future::Future, pin::pin, sync::Arc};

use prost::Message as _;
use tokio::{
    select,
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_stream::StreamExt as _;
use tonic::metadata::MetadataMap;

use super::{
    Config, ConfigError, Credential, Event, Names,
    backoff::Backoff,
    call::{self, Answers},
    dial::Dialer,
    pace::Pace,
    rounds::Rounds,
    state::State,
};
use crate::{proto::discovery::DeltaDiscoveryRequest, random, server::NAME_KEY};

/// Requests that may wait for the transport. A server that does not read its acknowledgements is not read either.
const REQUESTS_MAX: usize = 64;

/// Keeps `sink` in step with the catalog until `shutdown` is ready.
///
/// Servers are tried in turn, the next one after each failure, with jittered exponential backoff. The sink is called on
/// this task: it should be quick.
///
/// # Errors
/// When the configuration cannot be used; nothing is tried then.
pub async fn run(
    mut config: Config,
    mut sink: impl FnMut(Event) -> Result<(), String> + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ConfigError> {
    let known = std::mem::take(&mut config.known);
    let rounds = Rounds::new(&config)?;
    let mut names = config.names.clone();
    let state = State::new(config.node_id.clone(), config.types.clone(), &names.borrow_and_update());
    let mut state = state.with_known(known).with_at_most(config.remembered_max);
    let mut backoff = Backoff::new(config.backoff_min, config.backoff_max);
    let mut shutdown = pin!(shutdown);
    for (server, dialer) in rounds {
        let server = &*server;
        let reason = select! {
            reason = follow(&config, server, &dialer, &mut state, &mut names, &mut backoff, &mut sink) => reason,
            () = &mut shutdown => break,
        };
        let retry_in = backoff.next(random::fraction());
        tracing::info!(server, reason, ?retry_in, "catalog stream ended");
        ignore(sink(Event::Disconnected { reason, retry_in }));
        select! {
            () = sleep(retry_in) => {}
            () = &mut shutdown => break,
        }
    }
    Ok(())
}

/// One stream from dial to end. Returns why it ended.
async fn follow(
    config: &Config,
    server: &str,
    dialer: &Dialer,
    state: &mut State,
    names: &mut watch::Receiver<Names>,
    backoff: &mut Backoff,
    sink: &mut (impl FnMut(Event) -> Result<(), String> + Send),
) -> String {
    let (requests, outgoing) = mpsc::channel(REQUESTS_MAX);
    state.on_names(&names.borrow_and_update()); // said by the first requests
    for request in state.hello() {
        // There is room: types are few. A closed channel shows as the end of the stream below.
        ignore(requests.try_send(request));
    }
    let mut answers = match timeout(config.connect_timeout, open(config, dialer, outgoing)).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(reason)) => return reason,
        Err(_) => return format!("no answer within {:?}", config.connect_timeout),
    };
    tracing::info!(server, "catalog stream is open");
    ignore(sink(Event::Connected { server: Arc::from(server) }));
    let mut proved = pin!(sleep(config.backoff_max));
    let mut lived = false;
    let (mut pace, began) = (config.bytes_per_second.map(Pace::new), Instant::now());
    loop {
        let response = select! {
            answer = answers.next() => answer,
            () = changed(names) => {
                let more = state.on_names(&names.borrow_and_update());
                match say(&requests, more).await {
                    Ok(()) => continue,
                    Err(reason) => return reason,
                }
            }
            () = &mut proved, if !lived => {
                lived = true;
                backoff.reset();
                continue;
            }
        };
        let response = match response {
            Some(Ok(response)) => response,
            None => return "the server ended the stream".to_owned(),
            Some(Err(status)) => return describe(&status),
        };
        backoff.reset();
        let answer = state.on_response(&response, |update| sink(Event::Update(update)));
        if let Some(error) = &answer.error_detail {
            tracing::warn!(server, type_url = answer.type_url, error = error.message, "response rejected");
        }
        if let Err(reason) = say(&requests, [answer]).await {
            return reason;
        }
        if let Some(pace) = &mut pace {
            sleep(pace.came(response.encoded_len(), began.elapsed())).await;
        }
    }
}

async fn say(
    requests: &mpsc::Sender<DeltaDiscoveryRequest>,
    all: impl IntoIterator<Item = DeltaDiscoveryRequest>,
) -> Result<(), String> {
    for request in all {
        requests.send(request).await.map_err(|_| "the server stopped reading".to_owned())?;
    }
    Ok(())
}

/// Ready when other names are wanted; never when they cannot change any more.
async fn changed(names: &mut watch::Receiver<Names>) {
    if names.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn open(
    config: &Config,
    dialer: &Dialer,
    requests: mpsc::Receiver<DeltaDiscoveryRequest>,
) -> Result<Answers, String> {
    // Nobody on the way is to read it.
    let token = if dialer.is_private() { config.token().await? } else { None };
    let channel = dialer.connect().await.map_err(|error| dialer.said().unwrap_or_else(|| chain(&error)))?;
    let mut metadata = MetadataMap::new();
    if let Some(Credential { key, value }) = &config.credential {
        let value = value.parse().map_err(|_| format!("the credential {key} is no text that metadata can carry"))?;
        metadata.insert(*key, value);
    }
    if let Ok(name) = config.node_id.parse() {
        metadata.insert(NAME_KEY, name);
    }
    if let Some(token) = token {
        metadata.insert("authorization", token);
    }
    let answers = call::open(channel, metadata, requests).await;
    answers.map_err(|status| dialer.said().unwrap_or_else(|| describe(&status)))
}

fn describe(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// An error with its causes, which tonic's own text leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn ignore<T, E>(_: Result<T, E>) {}
