//! The call that a stream is. What is answered is read by hand: an idle stream holds no buffer of what it was told at its
//! beginning (see [`crate::framed`]).

use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Code, Status,
    body::Body,
    codec::{Codec as _, EncodeBody},
    codegen::{Service as _, StdError, http},
    metadata::{GRPC_CONTENT_TYPE, MetadataMap},
    transport::Channel,
};

use super::Config;
use crate::{
    codec::Codec,
    framed::{Limit, Messages},
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};

/// What a server answers.
pub(super) type Answers = Messages<DeltaDiscoveryResponse>;

const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// The largest response, in the words of who reads it.
const LIMIT: Limit = Limit { bytes: Config::MESSAGE_BYTES_MAX, remedy: "a server splits what is larger" };

/// Opens a stream over `channel`, on which `requests` are said.
pub(super) async fn open(
    mut channel: Channel,
    metadata: MetadataMap,
    requests: mpsc::Receiver<DeltaDiscoveryRequest>,
) -> Result<Answers, Status> {
    let encoder = Codec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default().encoder();
    let body = EncodeBody::new_client(encoder, ReceiverStream::new(requests).map(Ok), None, None);
    let mut request = http::Request::new(Body::new(body));
    (*request.method_mut(), *request.version_mut()) = (http::Method::POST, http::Version::HTTP_2);
    *request.uri_mut() = http::Uri::from_static(METHOD);
    *request.headers_mut() = metadata.into_headers();
    request.headers_mut().insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    request.headers_mut().insert(http::header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
    poll_fn(|cx| channel.poll_ready(cx)).await.map_err(failed)?;
    let response = channel.call(request).await.map_err(failed)?;
    match (Status::from_header_map(response.headers()), response.status()) {
        (Some(status), _) if status.code() != Code::Ok => Err(status),
        (None, status) if status != http::StatusCode::OK => {
            Err(Status::unavailable(format!("what answers there is no catalog: HTTP status {status}")))
        }
        _ => Ok(Messages::of(response.into_body(), LIMIT)),
    }
}

fn failed(error: impl Into<StdError>) -> Status {
    Status::from_error(error.into())
}
