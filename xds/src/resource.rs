//! What travels on a stream: a named, versioned resource whose bytes are made once and shared by every stream.

use std::sync::Arc;

use bytes::Bytes;
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint},
};

use crate::proto::discovery;

mod kind;
mod version;

#[cfg(test)]
mod tests;

pub use self::{
    kind::{PerType, ResourceType},
    version::Version,
};

/// One resource, ready for the wire. A clone shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Unique within its type. A Cluster and its Endpoints bear the same name (see [`crate::delta`]).
    pub name: Arc<str>,
    /// Hash of the content.
    pub version: Version,
    /// An encoded `envoy.service.discovery.v3.Resource`: version, name and the content as `google.protobuf.Any`.
    pub wire: Bytes,
    /// Of what it is about, for those who choose by them. Not a part of it, and not told to anybody.
    pub labels: Option<Labels>,
}

/// Keys and values.
pub type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// Field `resource` of `envoy.service.discovery.v3.Resource`.
const WRAPPER_RESOURCE: u32 = 2;

// === impl Resource ===

impl Resource {
    /// Encodes `message` as a resource of type `ty`.
    ///
    /// Equal content must be equal bytes, or replicas disagree about versions: a message with a protobuf `map` of more
    /// than one entry has no fixed encoding in prost (maps are hash maps). Encode such a body yourself, with sorted keys,
    /// and use [`Resource::from_body`].
    pub fn new(ty: ResourceType, name: impl Into<Arc<str>>, message: &impl Message) -> Self {
        Self::from_body(ty, name, message.encode_to_vec())
    }

    /// Wraps an encoded body of type `ty`.
    pub fn from_body(ty: ResourceType, name: impl Into<Arc<str>>, body: impl Into<Bytes>) -> Self {
        Self::from_parts(ty, name.into(), body.into(), Bytes::new())
    }

    /// The same resource with something said about it beside its content: an encoded `envoy.config.core.v3.Metadata`. It is
    /// part of the version, so that clients are told when it changes.
    pub fn with_metadata(self, ty: ResourceType, metadata: impl Into<Bytes>) -> Self {
        let body = self.body();
        Self::from_parts(ty, self.name, body, metadata.into())
    }

    fn from_parts(ty: ResourceType, name: Arc<str>, body: Bytes, metadata: Bytes) -> Self {
        let version = match metadata.is_empty() {
            true => Version::of(&body),
            false => Version::of(&[&body[..], &metadata[..]].concat()),
        };
        let wire = discovery::Resource {
            version: version.to_string(),
            name: name.to_string(),
            resource: Some(discovery::Any { type_url: ty.body_url().to_owned(), value: body }),
            metadata,
        };
        Self { name, version, wire: wire.encode_to_vec().into(), labels: None }
    }

    /// The same resource, about something that has these labels.
    #[must_use]
    pub fn with_labels(self, labels: Labels) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// The content as an encoded `google.protobuf.Any`, without name and version around it: a part of [`Self::wire`], not a
    /// copy.
    pub fn any(&self) -> Bytes {
        let mut rest = self.wire.clone();
        while let Ok((field, WireType::LengthDelimited)) = decode_key(&mut rest) {
            let Ok(len) = decode_varint(&mut rest) else { break };
            let Ok(len) = usize::try_from(len) else { break };
            if len > rest.len() {
                break;
            }
            let value = rest.split_to(len);
            if field == WRAPPER_RESOURCE {
                return value;
            }
        }
        Bytes::new()
    }

    /// The encoded body: a part of [`Self::wire`], not a copy.
    pub fn body(&self) -> Bytes {
        let wrapper = discovery::Resource::decode(self.wire.clone());
        wrapper.ok().and_then(|wrapper| wrapper.resource).map_or_else(Bytes::new, |any| any.value)
    }
}
