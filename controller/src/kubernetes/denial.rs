//! What the API server forbids: which right is missing, whose it would be, and how to give it.

use std::fmt;

/// A request that was refused because nobody gave the right to make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    user: String,
    /// Of RBAC: `list`, `patch`.
    pub verb: String,
    /// In the plural, with its subresource: `pods`, `serviceregistrations/status`.
    pub resource: String,
    namespace: Option<String>,
    /// What the authorizer added, such as a binding whose role does not exist.
    why: Option<String>,
}

// === impl Denial ===

impl Denial {
    /// The missing right, when that is why a request failed. Other refusals with the same status (a namespace that is
    /// being deleted, an admission policy, a quota) are none.
    pub fn of(error: &kube::Error) -> Option<Self> {
        match error {
            kube::Error::Api(status) if status.code == 403 => Self::parse(&status.message),
            _ => None,
        }
    }

    /// Reads the sentence that the API server writes (`forbiddenMessage` in its `responsewriters`).
    fn parse(message: &str) -> Option<Self> {
        if is_admission(message) {
            return None;
        }
        let (user, rest) = message.split_once("User \"")?.1.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (_group, rest) = rest.split_once('"')?;
        let (namespace, rest) = match rest.split_once("in the namespace \"").and_then(|(_, rest)| rest.split_once('"'))
        {
            Some((namespace, rest)) => (Some(namespace.to_owned()), rest),
            None => (None, rest.strip_prefix(" at the cluster scope").unwrap_or(rest)),
        };
        let why = rest.strip_prefix(": ").map(str::to_owned);
        Some(Self { user: user.to_owned(), verb: verb.to_owned(), resource: resource.to_owned(), namespace, why })
    }

    fn doing(&self) -> &str {
        match self.verb.as_str() {
            "get" => "reading",
            "list" => "listing",
            "watch" => "watching",
            "create" => "creating",
            "update" => "updating",
            "patch" => "patching",
            "delete" => "deleting",
            other => other,
        }
    }

    fn account(&self) -> String {
        match self.user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':')) {
            Some((namespace, name)) => format!("ServiceAccount {namespace}/{name}"),
            None => format!("user {}", self.user),
        }
    }

    /// What can be done without the right, for those that are not essential.
    fn way_around(&self) -> &'static str {
        match self.resource.as_str() {
            "nodes" => ", or do without nodes by --node-zones=false",
            "servicecidrs" => ", or do without them by --service-cidrs=false and give --reserved-cidr",
            "leases" => ", or do without the heartbeats of Leases by --lease-beats=false",
            _ => "",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doing, resource, account) = (self.doing(), &self.resource, self.account());
        match &self.namespace {
            Some(namespace) => write!(
                f,
                "{doing} {resource} in namespace {namespace} is forbidden to {account}: neither a ClusterRole nor a Role in \
                 {namespace} allows it"
            )?,
            None => write!(
                f,
                "{doing} {resource} at the cluster scope is forbidden to {account}: no ClusterRole allows it"
            )?,
        }
        if let Some(why) = &self.why {
            write!(f, " ({why})")?;
        }
        f.write_str("; run helm upgrade with rbac.create=true, or apply the rules of manifests/rbac.yaml")?;
        f.write_str(self.way_around())
    }
}

/// Whether these are the words of an admission webhook or policy, and not of the API server: they may be any.
pub fn is_admission(message: &str) -> bool {
    message.contains(" denied the request")
        || message.contains(" denied request")
        || message.starts_with("admission webhook ")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, "Forbidden").with_code(code)))
    }

    #[test]
    fn a_missing_right_says_which_whose_and_what_to_do() {
        let said = "pods is forbidden: User \"system:serviceaccount:rollcall-system:rollcall-controller\" cannot list \
                    resource \"pods\" in API group \"\" in the namespace \"shop\"";
        let denial = Denial::of(&refused(403, said)).expect("a missing right");
        assert_eq!((denial.verb.as_str(), denial.resource.as_str()), ("list", "pods"));
        assert_eq!(
            denial.to_string(),
            "listing pods in namespace shop is forbidden to ServiceAccount rollcall-system/rollcall-controller: neither a \
             ClusterRole nor a Role in shop allows it; run helm upgrade with rbac.create=true, or apply the rules of \
             manifests/rbac.yaml"
        );
    }

    #[test]
    fn the_cluster_scope_subresources_and_the_authorizers_own_words_are_kept() {
        let said = "nodes is forbidden: User \"admin\" cannot watch resource \"nodes\" in API group \"\" at the cluster scope: \
                    RBAC: clusterrole.rbac.authorization.k8s.io \"x\" not found";
        let words = Denial::of(&refused(403, said)).expect("a missing right").to_string();
        assert!(words.starts_with("watching nodes at the cluster scope is forbidden to user admin"), "{words}");
        assert!(words.contains("(RBAC: clusterrole.rbac.authorization.k8s.io \"x\" not found)"), "{words}");
        assert!(words.ends_with("--node-zones=false"), "{words}");
        let said = "x \"y\" is forbidden: User \"u\" cannot patch resource \"serviceregistrations/status\" in API group \
                    \"rollcall.dev\" in the namespace \"shop\"";
        assert_eq!(Denial::of(&refused(403, said)).expect("a missing right").resource, "serviceregistrations/status");
    }

    #[test]
    fn other_refusals_are_no_missing_right() {
        let ending = "events \"a\" is forbidden: unable to create new content in namespace shop because it is being \
                      terminated";
        assert_eq!(Denial::of(&refused(403, ending)), None);
        assert_eq!(Denial::of(&refused(404, "User \"u\" cannot list resource \"pods\" in API group \"\"")), None);
    }
}
