//! Why a stream has to end.

/// Why a stream has to end. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// ADS carries all types on one stream, so each request must name its own.
    #[error("the request has no type_url; on an aggregated stream every request names its resource type")]
    NoType,
    /// A stream of one type is asked for another.
    #[error(
        "this method serves {own}, and was asked for {said}; use the method of that type, or the aggregated stream"
    )]
    OtherType {
        /// What was asked for.
        said: String,
        /// What the stream is for.
        own: &'static str,
    },
    /// A type URL or resource name is longer than any that exists.
    #[error("{what} {text:?}… has {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// "type_url", "resource name" or "version".
        what: &'static str,
        /// How it begins.
        text: String,
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// What a client says that it holds is no list of names and versions.
    #[error("initial_resource_versions has an entry that is no name and version")]
    NoVersion,
    /// One request names too many resources.
    #[error("the request for {type_url} names {count} resources, the limit is {limit}; subscribe in several requests")]
    RequestTooLarge {
        /// The type.
        type_url: String,
        /// How many it names.
        count: usize,
        /// How many it may.
        limit: usize,
    },
    /// The stream is subscribed to too many names.
    #[error("the stream is subscribed to {count} names, the limit is {limit}; subscribe to fewer, or to \"*\"")]
    TooManyNames {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The stream asked for too much that does not exist, or does not read the answers.
    #[error(
        "the stream asked for names that do not exist, or has not read answers, of {bytes} bytes, the limit is {limit}; ask for what exists, or for \"*\""
    )]
    TooManyBytes {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The stream asked for too many types that do not exist here.
    #[error("the stream asked for more than {limit} resource types that this server does not serve, last {type_url}")]
    TooManyTypes {
        /// The last one.
        type_url: String,
        /// How many there may be.
        limit: usize,
    },
}

// === impl SessionError ===

impl SessionError {
    /// The gRPC status of a stream that ends with this error.
    pub fn code(&self) -> tonic::Code {
        match self {
            Self::NoType | Self::OtherType { .. } | Self::TooLong { .. } | Self::NoVersion => {
                tonic::Code::InvalidArgument
            }
            Self::RequestTooLarge { .. }
            | Self::TooManyNames { .. }
            | Self::TooManyBytes { .. }
            | Self::TooManyTypes { .. } => tonic::Code::ResourceExhausted,
        }
    }
}
