//! The API server's audit log: who asked it for what, and whether it was allowed.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::components::{file, flag};
use crate::install::NAMESPACE;

/// One request of a ServiceAccount of Rollcall.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// As RBAC names it: `list`, `patch`.
    pub verb: String,
    /// API group, empty for the core.
    pub group: String,
    /// In the plural, with its subresource.
    pub resource: String,
    /// Empty for all namespaces and for kinds that are in none.
    pub namespace: String,
    /// Empty for lists.
    pub name: String,
    /// Of HTTP.
    pub status: u64,
}

const POLICY: &str = "audit-policy.json";
const LOG: &str = "audit.log";

/// The flags of an API server that records, with the policy that they name. Nothing is buffered, so that what was
/// answered is in the log.
pub(super) fn flags(folder: &Path) -> Result<Vec<String>> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "userGroups": [format!("system:serviceaccounts:{NAMESPACE}")]},
            {"level": "None"},
        ],
    });
    let path = folder.join(POLICY);
    std::fs::write(&path, policy.to_string()).with_context(|| format!("writing {}", path.display()))?;
    Ok(vec![
        file("audit-policy-file", folder, POLICY),
        file("audit-log-path", folder, LOG),
        flag("audit-log-mode", "blocking"),
    ])
}

/// What was asked up to now of the control plane in `folder`. A watch is there from when it was accepted.
pub fn read(folder: &Path) -> Result<Vec<Request>> {
    let path = folder.join(LOG);
    let log = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    // The last line may be half written.
    let events = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(events.filter_map(|event: Value| request(&event)).collect())
}

/// Requests for no resource, such as `/version`, are left out.
fn request(event: &Value) -> Option<Request> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = event.get("objectRef")?;
    let resource = match object["subresource"].as_str() {
        Some(sub) => format!("{}/{sub}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    Some(Request {
        user: text(&event["user"]["username"]),
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        status: event["responseStatus"]["code"].as_u64()?,
    })
}

// === impl Request ===

impl Request {
    /// The verbs that RBAC was asked for. A server-side apply that makes an object needs `create` beside `patch`.
    pub fn verbs(&self) -> Vec<&str> {
        match (self.verb.as_str(), self.status) {
            ("patch", 201) => vec!["patch", "create"],
            (verb, _) => vec![verb],
        }
    }

    /// Whether it was refused for want of a right.
    pub fn is_forbidden(&self) -> bool {
        self.status == 403
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, verb, group, resource, namespace, name, status } = self;
        write!(f, "{user}: {verb} {resource}.{group} {namespace}/{name}: {status}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_side_apply_that_makes_an_object_is_a_create_too() {
        let event = json!({
            "verb": "patch",
            "user": {"username": "u"},
            "objectRef": {"apiGroup": "rollcall.dev", "resource": "serviceregistrations", "subresource": "status", "namespace": "shop", "name": "a"},
            "responseStatus": {"code": 201},
        });
        let request = request(&event).expect("a request for a resource");
        assert_eq!(request.verbs(), ["patch", "create"]);
        assert_eq!(request.to_string(), "u: patch serviceregistrations/status.rollcall.dev shop/a: 201");
        assert_eq!(super::request(&json!({"verb": "get", "responseStatus": {"code": 200}})), None);
    }
}
