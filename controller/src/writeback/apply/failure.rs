//! Why a write was not made, and which of the reasons it is: by that it is told, and tried again.

use std::fmt;

use kube::core::Status;

use crate::kubernetes::denial::{self, Denial};
use crate::kubernetes::kube_error;

/// Why a write was not made.
#[derive(Debug)]
pub enum Failure {
    /// This replica does not lead, or not for long enough.
    NotLeading,
    /// No answer in time. It may have been made: the watch will tell.
    Timeout,
    /// The API server refused it, or could not be reached.
    Kube(kube::Error),
}

// === impl Failure ===

impl Failure {
    /// Whether it is one that trying does not heal: the object is refused as it is. Who asks, how often and in what turn
    /// is another matter, and so is a server that has a fault of its own.
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| {
            let own = (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 409 | 429);
            // etcd says so, and the API server passes it on as a fault of its own.
            own || status.message.contains("request is too large")
        })
    }

    /// Whether the namespace is in deletion, or gone.
    pub fn is_ending(&self) -> bool {
        self.own_status().is_some_and(|status| {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let told = causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating");
            let ending = told || status.message.contains("because it is being terminated");
            let gone = status.message.starts_with("namespaces \"") && status.message.ends_with("\" not found");
            (status.code == 403 && ending) || (status.code == 404 && gone)
        })
    }

    /// Whether the object is gone that was to be changed: its watch is about to tell.
    pub fn is_gone(&self) -> bool {
        let gone = |status: &Status| status.code == 404 && status.message.ends_with("\" not found");
        !self.is_ending() && self.own_status().is_some_and(gone)
    }

    /// Whether the API server has no such kind: its CRD is not there.
    pub fn is_unserved(&self) -> bool {
        let unserved = "the server could not find the requested resource";
        self.own_status().is_some_and(|status| status.code == 404 && status.message.starts_with(unserved))
    }

    /// Whether there is no quota left for the object, whatever is in it (`exceeded quota: NAME`, `status unknown for quota:
    /// NAME`).
    pub fn is_quota(&self) -> bool {
        self.own_status().is_some_and(|status| status.code == 403 && status.message.contains("quota: "))
    }

    /// Whether we may not write such objects there.
    pub fn is_denial(&self) -> bool {
        match self {
            Self::Kube(error) => Denial::of(error).is_some(),
            Self::NotLeading | Self::Timeout => false,
        }
    }

    /// The word for it in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotLeading => "not_leading",
            Self::Timeout => "timeout",
            Self::Kube(kube::Error::Api(status)) if status.code == 409 => "conflict",
            Self::Kube(kube::Error::Api(_)) => "refused",
            Self::Kube(_) => "unreachable",
        }
    }

    fn status(&self) -> Option<&Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            Self::NotLeading | Self::Timeout | Self::Kube(_) => None,
        }
    }

    /// What the API server itself says. A webhook or a policy says what it likes, and could speak of quotas as well.
    fn own_status(&self) -> Option<&Status> {
        self.status().filter(|status| !denial::is_admission(&status.message))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeading => f.write_str("this replica does not lead"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Kube(error) => f.write_str(&kube_error::words(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a refusal is taken for.
    fn taken_for(code: u16, message: &str) -> &'static str {
        let failure = Failure::Kube(kube::Error::Api(Box::new(Status::failure(message, "").with_code(code))));
        let found = [
            (failure.is_ending(), "ending"),
            (failure.is_gone(), "gone"),
            (failure.is_unserved(), "unserved"),
            (failure.is_quota(), "quota"),
            (failure.is_denial(), "denial"),
        ];
        let found: Vec<_> = found.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
        assert!(found.len() <= 1, "{message}: {found:?}");
        match (found.first(), failure.is_refusal()) {
            (Some(found), true) => found,
            (Some(found), false) => panic!("{message}: {found}, and tried again at once"),
            (None, true) => "refused",
            (None, false) => "failed",
        }
    }

    #[test]
    fn each_refusal_is_taken_for_what_it_is_and_a_webhook_cannot_pass_for_the_server() {
        const TERMINATING: &str = "unable to create new content in namespace shop because it is being terminated";
        const DENIED: &str = "User \"u\" cannot patch resource \"endpointslices\" in API group \"discovery.k8s.io\" in the \
                              namespace \"shop\"";
        let webhook = |said: &str| format!("admission webhook \"policy.example.com\" denied the request: {said}");
        let policy = |said: &str| {
            format!("x \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {said}")
        };
        let own = |said: &str| format!("endpointslices.discovery.k8s.io \"a\" is forbidden: {said}");
        for (code, message, expected) in [
            (403, own(TERMINATING), "ending"),
            (404, "namespaces \"shop\" not found".into(), "ending"),
            (404, "serviceregistrations.rollcall.dev \"vms\" not found".into(), "gone"),
            (
                404,
                "the server could not find the requested resource (patch catalogentries.rollcall.dev a)".into(),
                "unserved",
            ),
            (403, own("exceeded quota: objects, requested: count/x=1, used: count/x=3, limited: count/x=3"), "quota"),
            (403, own("status unknown for quota: objects, resources: count/x"), "quota"),
            (403, own(DENIED), "denial"),
            (422, "CatalogEntry.rollcall.dev \"a\" is invalid: callable: Too long".into(), "refused"),
            (413, "Request entity too large: limit is 3145728".into(), "refused"),
            (500, "etcdserver: request is too large".into(), "refused"),
            (400, "admission webhook \"w\" attempted to modify the object, which is not supported".into(), "refused"),
            (500, "Internal error occurred: failed calling webhook \"w\": connection refused".into(), "failed"),
            (503, "the server is currently unable to handle the request".into(), "failed"),
            (504, "Timeout: request did not complete within requested timeout".into(), "failed"),
            (429, "the server has received too many requests".into(), "failed"),
            (401, "Unauthorized".into(), "failed"),
            (409, "the object has been modified".into(), "failed"),
        ] {
            assert_eq!(taken_for(code, &message), expected, "{message}");
        }
        for said in
            [TERMINATING, &*own(TERMINATING), DENIED, &*own(DENIED), "exceeded quota: mine", "x \"a\" not found"]
        {
            for (code, message) in
                [(403, webhook(said)), (404, webhook(said)), (403, policy(said)), (422, policy(said))]
            {
                assert_eq!(taken_for(code, &message), "refused", "{message}");
            }
        }
    }
}
