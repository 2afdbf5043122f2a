//! Whether a request is one that can be answered.

use crate::{
    proto::discovery::DeltaDiscoveryRequest,
    stream::{Limits, SessionError},
};

/// Holds a request to the limits, before anything of it is kept.
pub(super) fn check(limits: &Limits, request: &DeltaDiscoveryRequest) -> Result<(), SessionError> {
    let names = || request.resource_names_subscribe.iter().chain(&request.resource_names_unsubscribe);
    let (type_url, known) = (&request.type_url, &request.initial_resource_versions);
    if type_url.is_empty() {
        return Err(SessionError::NoType);
    }
    limits.check_text("type_url", type_url)?;
    limits.check_names(type_url, names().count())?;
    limits.check_versions(type_url, known.len())?;
    names().chain(known.keys()).try_for_each(|name| limits.check_text("resource name", name))?;
    known.values().try_for_each(|version| limits.check_text("version", version))
}
