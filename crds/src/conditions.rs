//! Types and reasons of the conditions in a registration's status, after the Kubernetes API conventions: every type is
//! set from the first write on, `True` is the good state, `Ready` is the summary.

/// The spec could be used as it stands. `False` names what was left out; all else goes on.
pub const ACCEPTED: &str = "Accepted";
/// EndpointSlices with the endpoints stand in the Service of the same name.
pub const PUBLISHED: &str = "Published";
/// Every endpoint can be called.
pub const READY: &str = "Ready";

/// All types, in the order in which they are written.
pub const ALL: [&str; 3] = [ACCEPTED, PUBLISHED, READY];

/// Values of `status` in a condition.
pub mod status {
    /// It holds.
    pub const TRUE: &str = "True";
    /// It does not.
    pub const FALSE: &str = "False";
    /// Not known yet.
    pub const UNKNOWN: &str = "Unknown";
}

/// Reasons of [`ACCEPTED`](super::ACCEPTED).
pub mod accepted {
    /// True: everything in the spec is in use.
    pub const ACCEPTED: &str = "Accepted";
    /// An address that other nodes cannot or must not call: loopback, link-local, or in a forbidden range.
    pub const ADDRESS_NOT_ALLOWED: &str = "AddressNotAllowed";
    /// A check or an endpoint names a port that is not in `spec.ports`, or the Service has no port of that name.
    pub const UNKNOWN_PORT: &str = "UnknownPort";
    /// Another object claims the same address for this service and goes first.
    pub const ADDRESS_CONFLICT: &str = "AddressConflict";
    /// None of an endpoint's addresses is of a family that the Service has.
    pub const FAMILY_MISMATCH: &str = "FamilyMismatch";
    /// A value, such as a protocol or a kind of check, that this version of Rollcall does not know.
    pub const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
    /// This version of Rollcall cannot read the object: it was written under another schema.
    pub const UNREADABLE: &str = "Unreadable";
    /// The DNS name of an endpoint has no address, or none yet.
    pub const UNRESOLVED: &str = "Unresolved";
    /// An endpoint has been Critical for longer than `deregisterAfter`.
    pub const DEREGISTERED: &str = "Deregistered";
    /// Several of these; the message names each.
    pub const SEVERAL: &str = "Several";
}

/// Reasons of [`PUBLISHED`](super::PUBLISHED).
pub mod published {
    /// True: the EndpointSlices are written.
    pub const PUBLISHED: &str = "Published";
    /// False: there is no Service of this name. DNS, streams and the catalog have the endpoints all the same.
    pub const NO_SERVICE: &str = "NoService";
    /// Unknown: not written yet.
    pub const PENDING: &str = "Pending";
    /// False: no endpoint was accepted.
    pub const NOTHING_TO_PUBLISH: &str = "NothingToPublish";
    /// False: the Service is of a type that takes no EndpointSlices (ExternalName).
    pub const SERVICE_HAS_NO_ENDPOINTS: &str = "ServiceHasNoEndpoints";
    /// False: the API server refused the write; the message has its words.
    pub const WRITE_FAILED: &str = "WriteFailed";
}

/// Reasons of [`READY`](super::READY).
pub mod ready {
    /// True: every endpoint can be called.
    pub const ALL_PASSING: &str = "AllPassing";
    /// False: some endpoints cannot be called.
    pub const SOME_FAILING: &str = "SomeFailing";
    /// False: no endpoint can be called.
    pub const NONE_CALLABLE: &str = "NoneCallable";
    /// False: the whole registration is in maintenance.
    pub const MAINTENANCE: &str = "Maintenance";
    /// False: nothing in the spec could be used; see Accepted.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// False: callers of the Service get none of the endpoints; see Published.
    pub const NOT_PUBLISHED: &str = "NotPublished";
    /// False: some endpoints left together, and a guard keeps them callable.
    pub const HELD: &str = "Held";
    /// Unknown: no check has decided yet.
    pub const PENDING: &str = "Pending";
}

/// Of a `DiscoveryPolicy`: it decides something. `False` says why it does not.
pub const IN_FORCE: &str = "InForce";

/// Reasons of [`IN_FORCE`].
pub mod in_force {
    /// True: it decides for the services that are listed.
    pub const IN_FORCE: &str = "InForce";
    /// True: it has machines in maintenance, and says nothing else.
    pub const MAINTENANCE: &str = "Maintenance";
    /// False: an older policy has the same target.
    pub const CONFLICT: &str = "Conflict";
    /// False: there is no service that it is for.
    pub const NO_SERVICE: &str = "NoService";
    /// False: nearer policies decide all of it.
    pub const OVERRIDDEN: &str = "Overridden";
}
