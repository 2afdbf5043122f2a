use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures::stream;
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, watch},
};
use tokio_stream::StreamExt;
use tonic::Status;

use super::{
    Snapshots,
    observer::{Nack, Open},
};
use crate::{
    cache::Snapshot,
    delta::{Heard, Session},
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    resource::ResourceType,
};

/// One stream: its session between the two halves of the call. Polled by the transport when it can write, so there is
/// neither a task nor a buffer per stream.
pub(super) struct Stream<R> {
    pub(super) session: Session,
    pub(super) requests: R,
    pub(super) snapshots: Snapshots,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) draining: watch::Receiver<bool>,
    pub(super) open: Open,
    pub(super) _permit: OwnedSemaphorePermit,
}

// === impl Stream ===

impl<R> Stream<R>
where
    R: futures::Stream<Item = Result<DeltaDiscoveryRequest, Status>> + Send + Unpin + 'static,
{
    /// Responses until the client leaves, the server drains, or the client asks for something it may not.
    pub(super) fn into_responses(
        self,
    ) -> impl futures::Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send + 'static {
        stream::unfold(Some(self), |this| async move {
            let mut this = this?;
            match this.next().await? {
                Ok(response) => Some((Ok(response), Some(this))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<DeltaDiscoveryResponse, Status>> {
        loop {
            if let Some(response) = self.session.next_response(&self.snapshot) {
                self.open.0.push(&response);
                return Some(Ok(response));
            }
            select! {
                request = self.requests.next() => {
                    if let Err(status) = self.on_request(request?) {
                        return Some(Err(status));
                    }
                }
                changed = self.snapshots.changed() => {
                    changed.ok()?; // the writer is gone: the process ends
                    self.on_snapshot();
                }
                () = drained(&mut self.draining) => return None,
            }
        }
    }

    fn on_request(&mut self, request: Result<DeltaDiscoveryRequest, Status>) -> Result<(), Status> {
        let request = request?;
        let observer = &self.open.0;
        let heard = self.session.on_request(&request, &self.snapshot).map_err(|error| {
            observer.failed();
            tracing::warn!(node = self.session.node_id(), %error, "discovery stream ended");
            Status::new(error.code(), error.to_string())
        })?;
        let Some(ty) = ResourceType::from_type_url(&request.type_url) else {
            if heard == Heard::Unserved {
                observer.unserved_request();
                tracing::warn!(
                    node = self.session.node_id(),
                    type_url = request.type_url,
                    names = request.resource_names_subscribe.len(),
                    "client asks for a resource type that is not served here"
                );
            }
            return Ok(());
        };
        observer.types()[ty].requests.fetch_add(1, Relaxed);
        match heard {
            Heard::Nothing | Heard::Unserved => {}
            Heard::Ack(_) => _ = observer.types()[ty].acks.fetch_add(1, Relaxed),
            Heard::Nack(rejection) => {
                let (node_id, message) = (self.session.node_id().to_owned(), rejection.message);
                tracing::warn!(node = node_id, %ty, nonce = %rejection.nonce, code = rejection.code, message, "rejected");
                observer.nack(ty, Nack { node_id, message });
            }
        }
        Ok(())
    }

    fn on_snapshot(&mut self) {
        let Some(snapshot) = self.snapshots.borrow_and_update().clone() else { return };
        self.snapshot = snapshot;
        let before = *self.session.coalesced();
        self.session.on_snapshot(&self.snapshot);
        for (ty, coalesced) in self.session.coalesced().iter() {
            self.open.0.types()[ty].coalesced.fetch_add(coalesced - before[ty], Relaxed);
        }
    }
}

async fn drained(draining: &mut watch::Receiver<bool>) {
    _ = draining.wait_for(|draining| *draining).await;
}
