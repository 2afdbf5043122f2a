//! What may go wrong with a request.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asked::Asked;

/// What a rule does to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It is refused and changes nothing.
    Refused(Refusal),
    /// It never arrives: the connection breaks.
    RequestLost,
    /// It is carried out, and the connection breaks before the answer.
    AnswerLost,
    /// It is never answered, and changes nothing.
    Silent,
    /// It is carried out after a while.
    Late(Duration),
}

/// An answer that is no success, as the API server words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The word for machines: `Conflict`.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// `details.causes[].reason`, where the server gives one.
    pub cause: Option<&'static str>,
}

// === impl Refusal ===

impl Refusal {
    /// Any other.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), cause: None }
    }

    /// There is no such object.
    pub fn not_found(asked: &Asked) -> Self {
        let message = format!("{} {:?} not found", qualified(asked), asked.name);
        Self::new(404, "NotFound", message)
    }

    /// There is one already.
    pub fn exists(asked: &Asked) -> Self {
        let message = format!("{} {:?} already exists", qualified(asked), asked.name);
        Self::new(409, "AlreadyExists", message)
    }

    /// Somebody wrote in between.
    pub fn conflict(asked: &Asked) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the \
             latest version and try again",
            qualified(asked),
            asked.name
        );
        Self::new(409, "Conflict", message)
    }

    /// Nobody gave the right to do this.
    pub fn forbidden(asked: &Asked) -> Self {
        let subresource = if asked.subresource.is_empty() { String::new() } else { format!("/{}", asked.subresource) };
        let place = match &*asked.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let message = format!(
            "{} is forbidden: User \"system:serviceaccount:rollcall-system:rollcall\" cannot {} resource \"{}{subresource}\" \
             in API group {:?} {place}",
            qualified(asked),
            asked.verb,
            asked.resource,
            asked.group()
        );
        Self::new(403, "Forbidden", message)
    }

    /// The namespace is being deleted: nothing new is taken.
    pub fn namespace_terminating(asked: &Asked) -> Self {
        let message = format!(
            "{} {:?} is forbidden: unable to create new content in namespace {} because it is being terminated",
            qualified(asked),
            asked.name,
            asked.namespace
        );
        Self { cause: Some("NamespaceTerminating"), ..Self::new(403, "Forbidden", message) }
    }

    /// A quota is used up.
    pub fn quota(asked: &Asked) -> Self {
        let kind = match asked.group() {
            "" => asked.resource.clone(),
            group => format!("{}.{group}", asked.resource),
        };
        let message = format!(
            "{} {:?} is forbidden: exceeded quota: objects, requested: count/{kind}=1, used: count/{kind}=3, limited: \
             count/{kind}=3",
            qualified(asked),
            asked.name
        );
        Self::new(403, "Forbidden", message)
    }

    /// An admission webhook says no.
    pub fn webhook(said: &str) -> Self {
        Self::new(403, "Forbidden", format!("admission webhook \"policy.example.com\" denied the request: {said}"))
    }

    /// The object does not fit its schema.
    pub fn invalid(asked: &Asked, said: &str) -> Self {
        Self::new(422, "Invalid", format!("{} {:?} is invalid: {said}", qualified(asked), asked.name))
    }

    /// The object is larger than etcd takes.
    pub fn too_large() -> Self {
        Self::new(413, "RequestEntityTooLarge", "etcdserver: request is too large")
    }

    /// The version of a watch or of a page is not known any more.
    pub fn expired() -> Self {
        Self::new(410, "Expired", "The resourceVersion for the provided watch is too old.")
    }

    /// There is no such API.
    pub fn not_served() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// Others have used up the server.
    pub fn overloaded() -> Self {
        Self::new(
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        )
    }

    /// As the server writes it.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": self.reason, "message": self.message, "code": self.code,
        });
        if let Some(cause) = self.cause {
            status["details"] = json!({ "causes": [{ "reason": cause, "message": self.message }] });
        }
        status
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// `endpointslices.discovery.k8s.io`.
fn qualified(asked: &Asked) -> String {
    match asked.group() {
        "" => asked.resource.clone(),
        group => format!("{}.{group}", asked.resource),
    }
}
