//! One call: a session between the two halves of the stream.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures::{
    future::{self, BoxFuture, FutureExt as _},
    stream,
};
use tokio::{
    pin, select,
    sync::{OwnedSemaphorePermit, watch},
};
use tokio_stream::StreamExt;
use tonic::Status;

use super::{
    Snapshots,
    budget::{Claim, Room},
    clients::Entry,
    metrics::{Nack, Open, Refusal},
    readers::counted_as,
};
use crate::{
    cache::Snapshot,
    framed::Parcel,
    proto::discovery::Node,
    random,
    resource::ResourceType,
    stream::{Front, Heard, Outgoing, Serves, Variant},
    view::{Client, Scope, View, Views},
};

/// One stream: its session between the two halves of the call. Polled by the transport when it can write, so there is
/// neither a task nor a buffer per stream.
pub(super) struct Call<F, R> {
    pub(super) front: F,
    pub(super) how: (Variant, Serves),
    pub(super) requests: R,
    pub(super) snapshots: Snapshots,
    pub(super) views: Views,
    pub(super) view: View,
    pub(super) scope: Scope,
    /// Ready when the stream has to end: with a status if its client is to know why.
    pub(super) until: BoxFuture<'static, Option<Status>>,
    pub(super) open: Open,
    pub(super) claim: Claim,
    pub(super) entry: Entry,
    /// Of responses by type (none where the type is not served), until they are known to be read.
    pub(super) leaving: Vec<(Option<ResourceType>, Room)>,
    pub(super) _permit: OwnedSemaphorePermit,
}

// === impl Call ===

impl<F: Front, R> Call<F, R>
where
    R: futures::Stream<Item = Result<F::Request, Status>> + Send + Unpin + 'static,
{
    /// Responses until the client leaves, the server drains, or the client asks for something it may not.
    pub(super) fn into_parcels(self) -> impl futures::Stream<Item = Result<Parcel, Status>> + Send + 'static {
        // In a box: a block that awaits has room twice for what it is given.
        stream::unfold(Some(Box::new(self)), |this| async move {
            let mut this = this?;
            match this.next().await? {
                Ok(parcel) => Some((Ok(parcel), Some(this))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<Parcel, Status>> {
        loop {
            let response = self.next_outgoing();
            if let Err(status) = self.claim() {
                return Some(Err(status));
            }
            if let Some(response) = response {
                return self.leave(response).await;
            }
            let may_send = self.front.may_send();
            // In this order: a client that asks without end may not keep its stream open by that, and with each request what is
            // newer is looked at, so that it need not be waited for, in a list of all streams, when there is one.
            select! {
                biased;
                why = &mut self.until => return Some(Err(self.given_up(why?))),
                () = self.entry.asked() => self.asked()?,
                request = self.requests.next() => {
                    self.on_snapshot();
                    if let Err(status) = self.on_request(request?) {
                        return Some(Err(status));
                    }
                }
                changed = newer(&mut self.snapshots, may_send) => {
                    changed.ok()?; // the writer is gone: the process ends
                    self.on_snapshot();
                }
            }
        }
    }

    /// Says what it holds; nothing when it is to end.
    fn asked(&self) -> Option<()> {
        (!self.entry.is_to_end()).then(|| self.entry.answer(&self.front, &self.view))
    }

    /// Who reads may do so no longer.
    fn given_up(&self, status: Status) -> Status {
        self.open.0.refused_request(counted_as(&status));
        self.ended(status)
    }

    /// Sends a response as soon as there is room for it. Who does not read, and so answers nothing, keeps the room of its own
    /// address. That the transport asks for more says nothing: it does so before it has sent what it has.
    async fn leave(&mut self, outgoing: Outgoing<F::Response>) -> Option<Result<Parcel, Status>> {
        let ty = ResourceType::from_type_url(F::content(&outgoing).type_url);
        let parcel = Parcel::with(&outgoing.response, Arc::clone(&outgoing.resources));
        let room = Arc::clone(self.claim.peer()).room_to_leave(parcel.left());
        pin!(room);
        let room = loop {
            select! {
                biased;
                () = self.entry.asked() => self.asked()?,
                room = &mut room => break room,
            }
        };
        let Some(room) = room else {
            self.open.0.refused_request(Refusal::Unread);
            let address = self.claim.peer().address();
            return Some(Err(self.ended(Status::resource_exhausted(format!(
                "there is no room for this answer, since those before it are not read: by other streams of {address}, or by \
                 other clients; read them, or try another replica"
            )))));
        };
        self.leaving.push((ty, room));
        let content = F::content(&outgoing);
        self.open.0.push(content);
        self.entry.sent(ty, content.bytes, &self.front);
        Some(Ok(parcel))
    }

    fn on_request(&mut self, request: Result<F::Request, Status>) -> Result<(), Status> {
        let request = request?;
        let (type_url, names) = F::asks_for(&request);
        let ty = self.type_of(type_url);
        self.has_read(ty);
        if let Some(node) = F::node(&request).filter(|_| self.front.is_new()) {
            self.entry.meets(node);
            self.view = view(&self.views, (node, &self.scope), self.how, Arc::clone(self.view.snapshot()));
        }
        let heard = self.front.on_request(&request, &self.view);
        let heard = heard.map_err(|error| self.ended(Status::new(error.code(), error.to_string())))?;
        self.claim()?;
        match ty {
            _ if heard == Heard::Unserved => self.unserved(type_url, names),
            Some(ty) => self.heard(ty, heard),
            None => {}
        }
        Ok(())
    }

    /// On a stream of one type it need not be said.
    fn type_of(&self, type_url: &str) -> Option<ResourceType> {
        match self.how.1 {
            Serves::Only(ty) => Some(ty),
            Serves::Catalog | Serves::Replicas | Serves::Clusters => ResourceType::from_type_url(type_url),
        }
    }

    /// The client has answered all that it was sent of a type.
    fn has_read(&mut self, ty: Option<ResourceType>) {
        self.leaving.retain(|(its, _)| *its != ty);
        if self.leaving.is_empty() {
            self.leaving = Vec::new(); // most streams are idle most of the time
        }
    }

    /// Counts what is held for the client's sake; the stream ends when that is too much.
    fn claim(&mut self) -> Result<(), Status> {
        self.claim.set(self.front.asked_bytes()).map_err(|status| {
            self.open.0.refused_request(Refusal::Memory);
            self.ended(status)
        })
    }

    /// The stream ends because of what was asked.
    fn ended(&self, status: Status) -> Status {
        let metrics = &self.open.0;
        metrics.failed();
        if let Some(unsaid) = metrics.rates.ended.admit() {
            tracing::warn!(node = ?self.node(), error = ?status.message(), unsaid, "discovery stream ended");
        }
        status
    }

    fn heard(&self, ty: ResourceType, heard: Heard) {
        let metrics = &self.open.0;
        metrics.types()[ty].requests.fetch_add(1, Relaxed);
        match heard {
            Heard::Nothing | Heard::Unserved => {}
            Heard::Ack(_) => {
                metrics.types()[ty].acks.fetch_add(1, Relaxed);
                self.entry.answered(ty, None);
            }
            Heard::Nack(rejection) => {
                self.entry.answered(ty, Some(&rejection.message));
                let (node, nonce, code) = (self.node(), rejection.nonce, rejection.code);
                if let Some(unsaid) = metrics.rates.rejected.admit() {
                    let message = excerpt(&rejection.message);
                    tracing::warn!(?node, %ty, %nonce, code, ?message, unsaid, "rejected");
                }
                metrics.nack(ty, Nack { node_id: self.front.node_id().to_owned(), message: rejection.message });
            }
        }
    }

    fn unserved(&self, type_url: &str, names: usize) {
        let metrics = &self.open.0;
        metrics.unserved_request();
        if let Some(unsaid) = metrics.rates.unserved.admit() {
            let (node, type_url) = (self.node(), excerpt(type_url));
            tracing::warn!(?node, ?type_url, names, unsaid, "client asks for a resource type that is not served here");
        }
    }

    /// For the log, where foreign words are written as Debug does: in quotes, with line breaks and the like escaped.
    fn node(&self) -> &str {
        excerpt(self.front.node_id())
    }

    /// The next response, and counts what was merged into it.
    fn next_outgoing(&mut self) -> Option<Outgoing<F::Response>> {
        let before = *self.front.coalesced();
        let outgoing = self.front.next_outgoing(&self.view);
        for (ty, coalesced) in self.front.coalesced().iter().filter(|(ty, coalesced)| **coalesced > before[*ty]) {
            self.open.0.types()[ty].coalesced.fetch_add(coalesced - before[ty], Relaxed);
        }
        outgoing
    }

    /// Looks at what there is now from here on.
    fn on_snapshot(&mut self) {
        if let Some(snapshot) = self.snapshots.borrow_and_update().clone() {
            self.view.turn_to(snapshot);
        }
    }
}

/// Ready when there is something newer. Who may be sent nothing before they have answered need not be woken for it: they look
/// when they have, and now and then, so that they keep nothing old in memory.
async fn newer(snapshots: &mut Snapshots, may_send: bool) -> Result<(), watch::error::RecvError> {
    const NOW_AND_THEN: Duration = Duration::from_secs(1);
    if !may_send {
        tokio::time::sleep(NOW_AND_THEN).await;
    }
    snapshots.changed().await
}

/// What a client sees that says this of itself.
pub(super) fn view(
    views: &Views,
    (node, may_see): (&Node, &Scope),
    (variant, serves): (Variant, Serves),
    snapshot: Arc<Snapshot>,
) -> View {
    views.of(&Client { node, may_see, variant, serves }, snapshot)
}

/// When a stream has to end: when its reader is to, or at some time in the second half of twice its age.
pub(super) fn until(reader: BoxFuture<'static, Status>, age: Option<Duration>) -> BoxFuture<'static, Option<Status>> {
    let aged = age.map_or_else(
        || future::pending().boxed(),
        |age| tokio::time::sleep(age.mul_f64(1.0 + random::fraction())).boxed(),
    );
    future::select(reader, aged)
        .map(|first| match first {
            future::Either::Left((status, _)) => Some(status),
            future::Either::Right(_) => None,
        })
        .boxed()
}

/// The beginning of what somebody else wrote.
fn excerpt(words: &str) -> &str {
    const CHARS: usize = 256;
    words.char_indices().nth(CHARS).map_or(words, |(end, _)| &words[..end])
}
