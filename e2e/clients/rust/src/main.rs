//! Calls xds targets by tonic-xds. The README one folder up has the contract that all callers share.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::uri::PathAndQuery;
use serde_json::json;
use tonic::client::Grpc;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tonic_xds::{XdsChannelBuilder, XdsChannelConfig, XdsChannelGrpc, XdsUri};

const METHOD: &str = "/rollcall.e2e.Who/Answers";
const DEADLINE: Duration = Duration::from_secs(3);

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let pause = Duration::from_millis(arguments.next().ok_or("usage: client INTERVAL-MS NAME=TARGET...")?.parse()?);
    let local = tokio::task::LocalSet::new();
    for given in arguments {
        let (name, target) = given.split_once('=').ok_or_else(|| format!("{given} is not NAME=TARGET"))?;
        let channel = XdsChannelBuilder::new(XdsChannelConfig::new(XdsUri::parse(target)?)).build_grpc_channel()?;
        local.spawn_local(call_for_ever(name.to_owned(), channel, pause));
    }
    local.await;
    Ok(())
}

async fn call_for_ever(name: String, channel: XdsChannelGrpc, pause: Duration) {
    let mut client = Grpc::new(channel);
    loop {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let begun = Instant::now();
        let outcome = match tokio::time::timeout(DEADLINE, once(&mut client)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        };
        let mut line = json!({"target": name, "at": at as u64, "took": begun.elapsed().as_millis() as u64});
        match outcome {
            Ok(backend) => line["backend"] = backend.into(),
            Err(status) => line["error"] = format!("{:?}: {}", status.code(), status.message()).into(),
        }
        println!("{line}");
        tokio::time::sleep(pause).await;
    }
}

/// `google.protobuf.Empty` and `StringValue` are `()` and `String` in prost.
async fn once(client: &mut Grpc<XdsChannelGrpc>) -> Result<String, Status> {
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<(), String>::default();
    let answer = client.unary(Request::new(()), PathAndQuery::from_static(METHOD), codec).await?;
    Ok(answer.into_inner())
}
