//! One variant of the protocol, as a transport sees it.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use bytes::Bytes;
use prost::Message;

use super::{Heard, Limits, Serves, Session, SessionError};
use crate::{proto::discovery::Node, view::Resources};

/// The messages of a variant around a [`Session`].
pub trait Front: Deref<Target = Session> + DerefMut + Send + 'static {
    /// What clients say.
    type Request: Message + Default + 'static;
    /// What they are told.
    type Response: Message + Default + 'static;

    /// A stream of these types on which nothing was said yet.
    fn of(limits: Limits, serves: Serves) -> Self;

    /// Who asks, where a request says so.
    fn node(request: &Self::Request) -> Option<&Node>;

    /// What for, and for how many names.
    fn asks_for(request: &Self::Request) -> (&str, usize);

    /// Takes a request in. What it asks for comes from [`next_response`](Self::next_response).
    ///
    /// # Errors
    /// When the request is malformed or beyond the limits. The stream should end with that error.
    fn on_request(&mut self, request: &Self::Request, resources: &impl Resources) -> Result<Heard, SessionError>;

    /// The next response to write, or none until something changes or is heard.
    fn next_outgoing(&mut self, resources: &impl Resources) -> Option<Outgoing<Self::Response>>;

    /// The same as one message.
    fn next_response(&mut self, resources: &impl Resources) -> Option<Self::Response> {
        self.next_outgoing(resources).map(Self::whole)
    }

    /// A response with its resources in it.
    fn whole(outgoing: Outgoing<Self::Response>) -> Self::Response;

    /// What is in a response.
    fn content(outgoing: &Outgoing<Self::Response>) -> Content<'_>;
}

/// A response, and apart from it its resources: many streams are told the same ones.
#[derive(Clone, Debug)]
pub struct Outgoing<R> {
    /// All but the resources.
    pub response: R,
    /// Encoded, as the variant has them.
    pub resources: Arc<[Bytes]>,
}

/// What a response carries, to count.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Its type.
    pub type_url: &'a str,
    /// How many resources.
    pub resources: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How many names are told to be gone, or not to be there.
    pub removed: usize,
}

// === impl Outgoing ===

impl<R> Outgoing<R> {
    pub(crate) fn content<'a>(&self, type_url: &'a str, removed: usize) -> Content<'a> {
        let bytes = self.resources.iter().map(Bytes::len).sum();
        Content { type_url, resources: self.resources.len(), bytes, removed }
    }
}
