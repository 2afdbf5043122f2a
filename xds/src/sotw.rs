//! The server's side of one stream of the state-of-the-world variant, as a state machine without I/O or clock: what proxyless
//! gRPC speaks, and Envoy by default.
//!
//! Windows, order, warming and bounds are those of [`delta`](crate::delta), and are written once, in
//! [`stream`](crate::stream). What differs:
//!
//! - Each request bears all names. One that answers another response than the last of its type is out of date and ignored.
//! - A response for Listeners or Clusters bears all that the client wants, so that what is missing is no more. It is never
//!   split. Other types are sent as they change, and split below the 4 MiB that gRPC clients accept.
//! - What does not exist is told by `resource_errors`, once, to clients that read it (cncf/xds TP3). The protocol has no other
//!   word for it: others wait until it is there, or for their timeout.
//! - What a client holds when it comes back is not told with names, so it is sent again.
//! - Resources travel plain: a wrapper around them would say nothing that clients need, and not all read it.

use std::ops::{Deref, DerefMut};

use tonic::Code;

use crate::{
    proto::discovery::{DiscoveryRequest, DiscoveryResponse, Node, ResourceError, ResourceName, Status},
    resource::ResourceType,
    stream::{
        self, Heard, Limits, Serves, SessionError, Variant,
        ask::Ask,
        front::{Content, Front, Outgoing},
    },
    view::Resources,
};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// One stream.
#[derive(Debug)]
pub struct Session(stream::Session);

// === impl Session ===

impl Front for Session {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn of(limits: Limits, serves: Serves) -> Self {
        Self(stream::Session::of(Variant::StateOfTheWorld, limits, serves))
    }

    fn node(request: &DiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn asks_for(request: &DiscoveryRequest) -> (&str, usize) {
        (&request.type_url, request.resource_names.len())
    }

    fn on_request(&mut self, request: &DiscoveryRequest, resources: &impl Resources) -> Result<Heard, SessionError> {
        let ask = Ask {
            node: request.node.as_ref(),
            type_url: &request.type_url,
            subscribe: &request.resource_names,
            unsubscribe: &[],
            known: &[],
            has_taken: !request.version_info.is_empty(),
            nonce: &request.response_nonce,
            error: request.error_detail.as_ref(),
            variant: Variant::StateOfTheWorld,
        };
        self.0.on_ask(ask, resources)
    }

    fn next_outgoing(&mut self, resources: &impl Resources) -> Option<Outgoing<DiscoveryResponse>> {
        let answer = self.0.next_answer(resources)?;
        let absent = answer.push.removed.iter().filter(|_| self.0.reads_errors());
        let response = DiscoveryResponse {
            version_info: answer.push.version.map(|version| version.to_string()).unwrap_or_default(),
            resources: Vec::new(),
            resource_errors: absent.map(|name| error(answer.ty, name, resources)).collect(),
            type_url: answer.type_url,
            nonce: answer.nonce.to_string(),
        };
        Some(Outgoing { response, resources: answer.push.resources })
    }

    fn whole(outgoing: Outgoing<DiscoveryResponse>) -> DiscoveryResponse {
        DiscoveryResponse { resources: outgoing.resources.to_vec(), ..outgoing.response }
    }

    fn content(outgoing: &Outgoing<DiscoveryResponse>) -> Content<'_> {
        outgoing.content(&outgoing.response.type_url, outgoing.response.resource_errors.len())
    }
}

/// Why there is nothing of that name.
fn error(ty: Option<ResourceType>, name: &str, resources: &impl Resources) -> ResourceError {
    let words = match ty {
        Some(ty) => resources.why_absent(ty, name),
        None => "resources of this type are not served here".to_owned(),
    };
    ResourceError {
        resource_name: Some(ResourceName { name: name.to_owned() }),
        error_detail: Some(Status { code: Code::NotFound.into(), message: words }),
    }
}

impl Deref for Session {
    type Target = stream::Session;

    fn deref(&self) -> &stream::Session {
        &self.0
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut stream::Session {
        &mut self.0
    }
}
