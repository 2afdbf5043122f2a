//! The stream of a DNS server that lets itself be asked: beside that of the catalog, whose clients cannot answer, on the same port and
//! with the same token.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use rollcall_health::probe::Prober;
use rollcall_xds::client::{Config, Dialer};
use rollcall_xds::proto::rollcall::v1::agent_reply::Reply;
use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::agents_client::AgentsClient;
use rollcall_xds::proto::rollcall::v1::hello::Lookout;
use rollcall_xds::proto::rollcall::v1::{AgentReport, Hello, Posted};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Streaming};
use tracing::{info, warn};

use crate::answers::{Answers, RUNNING_MAX};

/// A token is no longer than this.
const TOKEN_BYTES_MAX: u64 = 64 << 10;
/// Between attempts, at the least and at the most, both by chance.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A stream that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// Answers what is asked of the DNS server of `node`, as long as it is polled. Servers, their authority and the token are those of
/// `config`.
pub async fn run<P: Prober>(config: Config, node: String, prober: impl Fn() -> P) {
    let mut failures = 0_u32;
    let mut turn = (fraction() * config.servers.len() as f64) as usize;
    loop {
        let further = config.further.borrow().clone();
        let servers: Vec<_> = config.servers.iter().chain(&further).collect();
        let Some(server) = servers.get(turn % servers.len().max(1)) else { return };
        let began = Instant::now();
        let words = match Dialer::new(&config, server) {
            // A token is said over TLS alone.
            Ok(_) if config.token_file.is_some() && !server.starts_with("https:") => {
                "the server is reached without TLS, so it cannot be shown who asks".to_owned()
            }
            Ok(dialer) => attend(&config, &dialer, &node, Answers::new(prober())).await,
            Err(error) => error.to_string(),
        };
        turn += 1;
        failures = if began.elapsed() >= GOOD { 1 } else { failures.saturating_add(1) };
        let wait = PAUSE_MIN.saturating_mul(1 << failures.min(5)).min(PAUSE_MAX).mul_f64(fraction());
        warn!(%server, reason = words, ?wait, "not to be asked as a vantage point; DNS is answered all the same");
        sleep(PAUSE_MIN + wait).await;
    }
}

/// Chance, in 0..1: each state of this kind has keys of its own.
fn fraction() -> f64 {
    (RandomState::new().build_hasher().finish() >> 11) as f64 / (1_u64 << 53) as f64
}

/// One stream from dial to end; why it ended.
async fn attend<P: Prober>(config: &Config, dialer: &Dialer, node: &str, mut answers: Answers<P>) -> String {
    let (reports, outgoing) = mpsc::channel(RUNNING_MAX);
    let hello = Hello {
        machine: node.to_owned(),
        agent_id: config.node_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: 1,
        instances: Vec::new(),
        lookout: Lookout::DnsServer.into(),
    };
    if reports.try_send(AgentReport { report: Some(Report::Hello(hello)) }).is_err() {
        return "nothing can be said".to_owned();
    }
    let mut replies = match timeout(config.connect_timeout, open(config, dialer, outgoing)).await {
        Ok(Ok(replies)) => replies,
        Ok(Err(words)) => return words,
        Err(_) => return format!("no answer within {:?}", config.connect_timeout),
    };
    loop {
        let found = tokio::select! {
            reply = replies.message() => match reply.map(|reply| reply.map(|reply| reply.reply)) {
                Ok(Some(Some(Reply::Probe(probe)))) => answers.begin(probe),
                Ok(Some(Some(Reply::Posted(Posted { is_asked: true, .. })))) => {
                    info!(node, "policies may name this node as a vantage point");
                    None
                }
                Ok(Some(Some(Reply::Posted(posted)))) => {
                    warn!(node, reason = posted.words, "no policy can name this node as a vantage point");
                    None
                }
                Ok(Some(Some(Reply::Leaving(leaving)))) => return leaving.words,
                Ok(Some(_)) => None,
                Ok(None) => return "the controller ended the stream".to_owned(),
                Err(status) => return status.message().to_owned(),
            },
            found = answers.next() => Some(found),
        };
        if let Some(found) = found
            && reports.send(AgentReport { report: Some(Report::Found(found)) }).await.is_err()
        {
            return "the controller stopped reading".to_owned();
        }
    }
}

async fn open(
    config: &Config,
    dialer: &Dialer,
    reports: mpsc::Receiver<AgentReport>,
) -> Result<Streaming<rollcall_xds::proto::rollcall::v1::AgentReply>, String> {
    let token = token(config.token_file.as_ref()).await?;
    let said = |words: String| dialer.said().unwrap_or(words);
    let channel = dialer.connect().await.map_err(|error| said(error.to_string()))?;
    let mut request = Request::new(ReceiverStream::new(reports));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token);
    }
    let replies = AgentsClient::new(channel).attend(request).await;
    Ok(replies.map_err(|status| said(status.message().to_owned()))?.into_inner())
}

/// As it is now: kubelet replaces it before it expires.
async fn token(file: Option<&PathBuf>) -> Result<Option<MetadataValue<Ascii>>, String> {
    let Some(file) = file else { return Ok(None) };
    let name = file.display();
    let unread = |error: std::io::Error| format!("the token {name} cannot be read: {error}");
    if tokio::fs::metadata(file).await.map_err(unread)?.len() > TOKEN_BYTES_MAX {
        return Err(format!("the token {name} has more bytes than any token"));
    }
    let text = tokio::fs::read_to_string(file).await.map_err(unread)?;
    let value = format!("Bearer {}", text.trim()).parse::<MetadataValue<Ascii>>();
    let mut value = value.map_err(|_| format!("the token {name} has letters that no token has"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
