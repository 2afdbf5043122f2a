//! Messages of gRPC, framed by hand: a stream that is idle holds no buffer.
//!
//! tonic's codec keeps two buffers for each stream for as long as it lives, of 8 KiB and more; where ten thousand streams wait,
//! that is most of what they cost.

use std::future::Future;

use futures::Stream;
use prost::Message;
use tonic::{Request, Status, body::Body, codegen::http, metadata::GRPC_CONTENT_TYPE};

mod messages;
mod responses;

pub use self::{
    messages::{Limit, Messages},
    responses::{Parcel, Responses},
};

/// Whether a message is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(crate) const HEAD_BYTES: usize = 5;

/// A call whose halves are both streams: `begin` is given what its client says, as it comes, and says what it is told.
pub async fn call<M, S, B>(
    request: http::Request<Body>,
    limit: Limit,
    begin: impl FnOnce(Request<Messages<M>>) -> B,
) -> http::Response<Body>
where
    M: Message + Default,
    S: Stream<Item = Result<Parcel, Status>> + Send + Unpin + 'static,
    B: Future<Output = Result<S, Status>>,
{
    if let Err(status) = is_plain(&request) {
        return status.into_http();
    }
    let request = request.map(|body| Messages::of(body, limit));
    match begin(Request::from_http(request)).await {
        Ok(parcels) => {
            let mut response = http::Response::new(Body::new(Responses::of(parcels)));
            response.headers_mut().insert(http::header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
            response
        }
        Err(status) => status.into_http(),
    }
}

/// Refuses requests that are compressed, in the words of the protocol (gRPC, "Compression"): what we accept goes with them.
fn is_plain(request: &http::Request<Body>) -> Result<(), Status> {
    match request.headers().get("grpc-encoding") {
        Some(encoding) if encoding != "identity" => {
            let mut status =
                Status::unimplemented(format!("requests may not be compressed; this one is: {encoding:?}"));
            status
                .metadata_mut()
                .insert("grpc-accept-encoding", tonic::metadata::MetadataValue::from_static("identity"));
            Err(status)
        }
        Some(_) | None => Ok(()),
    }
}
