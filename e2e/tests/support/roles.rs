//! The roles of the controller as they stand in the API server, right by right, and how to take one away.

use std::fmt;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::{Kubectl, clock, install};
use serde_json::{Value, json};

use super::BOUND;
use super::api::NAMESPACE;

/// The controller, to RBAC.
pub(crate) const ACCOUNT: &str = "system:serviceaccount:rollcall-system:rollcall-controller";
/// The DNS server.
pub(crate) const DNS_ACCOUNT: &str = "system:serviceaccount:rollcall-system:rollcall-dns";

const NAME: &str = "rollcall-controller";

/// Where a right comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The ClusterRole: it holds everywhere.
    Cluster,
    /// The Role in the controller's own namespace.
    Own,
}

/// One verb on one resource, by one rule of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) role: Role,
    rule: usize,
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    /// The object that it is bound to, if it is.
    pub(crate) name: Option<String>,
}

// === impl Role ===

impl Role {
    fn args(self) -> Vec<&'static str> {
        match self {
            Self::Cluster => vec!["clusterrole", NAME],
            Self::Own => vec!["role", NAME, "-n", install::NAMESPACE],
        }
    }

    /// A namespace in which it holds.
    fn namespace(self) -> &'static str {
        match self {
            Self::Cluster => NAMESPACE,
            Self::Own => install::NAMESPACE,
        }
    }

    /// Its rules, as they stand.
    pub(crate) fn rules(self, kubectl: &Kubectl) -> Result<Value> {
        Ok(kubectl.get(&self.args())?["rules"].take())
    }

    fn replace(self, kubectl: &Kubectl, rules: &Value) -> Result<()> {
        let patch = json!({"rules": rules}).to_string();
        kubectl.run(&[&["patch"], self.args().as_slice(), &["--type", "merge", "--patch", &patch]].concat()).map(drop)
    }
}

/// Every right of both roles.
pub(crate) fn all(kubectl: &Kubectl) -> Result<Vec<Right>> {
    let mut rights = Vec::new();
    for role in [Role::Cluster, Role::Own] {
        let rules = role.rules(kubectl)?;
        for (rule, said) in rules.as_array().context("a role without rules")?.iter().enumerate() {
            rights.extend(of_rule(role, rule, said));
        }
    }
    Ok(rights)
}

fn words(value: &Value) -> impl Iterator<Item = String> {
    value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned))
}

fn of_rule(role: Role, rule: usize, said: &Value) -> Vec<Right> {
    let names: Vec<Option<String>> = match words(&said["resourceNames"]).collect::<Vec<_>>() {
        names if names.is_empty() => vec![None],
        names => names.into_iter().map(Some).collect(),
    };
    let mut rights = Vec::new();
    for group in words(&said["apiGroups"]) {
        for resource in words(&said["resources"]) {
            for verb in words(&said["verbs"]) {
                let right = |name: &Option<String>| Right {
                    role,
                    rule,
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                };
                rights.extend(names.iter().map(right));
            }
        }
    }
    rights
}

// === impl Right ===

impl Right {
    /// What the controller is to say when it does not have it.
    pub(crate) fn complaint(&self) -> Result<String> {
        let doing = match self.verb.as_str() {
            "get" => "reading",
            "list" => "listing",
            "watch" => "watching",
            "create" => "creating",
            "update" => "updating",
            "patch" => "patching",
            "delete" => "deleting",
            other => anyhow::bail!("no word for {other}"),
        };
        Ok(format!("{doing} {}", self.resource))
    }

    /// Whether a text complains that this right is missing, and says whose it is.
    pub(crate) fn is_missed_in(&self, text: &str) -> Result<bool> {
        let complaint = format!("{} ", self.complaint()?);
        Ok(text.lines().any(|line| {
            line.split_once(&complaint).is_some_and(|(_, rest)| {
                rest.contains(&format!("is forbidden to ServiceAccount {}/{NAME}", install::NAMESPACE))
            })
        }))
    }

    /// The question whether `account` has it in `namespace`; in the one where it holds if none is given.
    pub(crate) fn question(&self, account: &str, namespace: Option<&str>) -> Value {
        let namespace = namespace.unwrap_or_else(|| self.role.namespace());
        question(account, &self.verb, &self.group, &self.resource, self.name.as_deref(), namespace)
    }

    /// Whether the ClusterRole gives what this rule of the own namespace gives.
    pub(crate) fn is_covered_by(&self, rights: &[Self]) -> bool {
        let same =
            |other: &Self| (&other.verb, &other.group, &other.resource) == (&self.verb, &self.group, &self.resource);
        self.role == Role::Own
            && rights.iter().any(|other| other.role == Role::Cluster && other.name.is_none() && same(other))
    }

    /// Does something while the rule does not give it. Should another rule give it too, this fails: one is too many.
    pub(crate) fn without<T>(&self, kubectl: &Kubectl, body: impl FnOnce() -> Result<T>) -> Result<T> {
        without(kubectl, std::slice::from_ref(self), body)
    }
}

/// Does something while the rules of one role do not give any of these rights.
pub(crate) fn without<T>(kubectl: &Kubectl, rights: &[Right], body: impl FnOnce() -> Result<T>) -> Result<T> {
    let role = rights.first().context("no right to take away")?.role;
    ensure!(rights.iter().all(|right| right.role == role), "rights of several roles: {rights:?}");
    let whole = role.rules(kubectl)?;
    role.replace(kubectl, &less(&whole, rights))?;
    let outcome = await_held(kubectl, rights, false).and_then(|()| body());
    role.replace(kubectl, &whole)?;
    await_held(kubectl, rights, true)?;
    outcome
}

/// The authorizer learns of a changed role by a watch, a moment later.
fn await_held(kubectl: &Kubectl, rights: &[Right], held: bool) -> Result<()> {
    let named: Vec<_> = rights.iter().map(ToString::to_string).collect();
    let what = format!("{named:?} to be {}", if held { "back" } else { "gone" });
    let questions: Vec<_> = rights.iter().map(|right| right.question(ACCOUNT, None)).collect();
    clock::wait_until(&what, BOUND, || {
        Ok(answers(kubectl, &questions)?.iter().all(|answer| *answer == held).then_some(()))
    })
}

/// The rules without these rights: their rules fall apart into one for each resource.
fn less(rules: &Value, rights: &[Right]) -> Value {
    let mut less = Vec::new();
    for (index, rule) in rules.as_array().into_iter().flatten().enumerate() {
        let of_it: Vec<_> = rights.iter().filter(|right| right.rule == index).collect();
        if of_it.is_empty() {
            less.push(rule.clone());
            continue;
        }
        for resource in words(&rule["resources"]) {
            let is_taken = |verb: &String| of_it.iter().any(|right| right.resource == resource && right.verb == *verb);
            let verbs: Vec<_> = words(&rule["verbs"]).filter(|verb| !is_taken(verb)).collect();
            let mut part = rule.clone();
            part["resources"] = json!([resource]);
            part["verbs"] = json!(verbs);
            // A rule without verbs is refused.
            less.extend((!verbs.is_empty()).then_some(part));
        }
    }
    json!(less)
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        match &self.name {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

/// The question whether somebody may do something.
pub(crate) fn question(
    account: &str,
    verb: &str,
    group: &str,
    resource: &str,
    name: Option<&str>,
    namespace: &str,
) -> Value {
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "subresource": sub, "name": name, "namespace": namespace,
        }},
    })
}

/// What the API server answers to questions, all at once: kubectl's `auth can-i` would cost a process for each.
pub(crate) fn answers(kubectl: &Kubectl, questions: &[Value]) -> Result<Vec<bool>> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": questions}).to_string();
    let output = kubectl.run_with_input(&["create", "-f", "-", "-o", "json"], &list)?;
    let mut answers = Vec::new();
    for document in serde_json::Deserializer::from_str(&output).into_iter::<Value>() {
        let document = document.context("kubectl create gave no JSON")?;
        // One object, or a list of them.
        let items = document["items"].as_array().cloned().unwrap_or_else(|| vec![document]);
        answers.extend(items.iter().map(|item| item["status"]["allowed"] == true));
    }
    ensure!(answers.len() == questions.len(), "{} answers to {} questions", answers.len(), questions.len());
    Ok(answers)
}

/// A ServiceAccount whose Roles give it, in each of `namespaces` and in the controller's own, what the controller's
/// roles give, and nothing of the whole cluster.
pub(crate) fn scoped_account(kubectl: &Kubectl, account: &str, namespaces: &[&str]) -> Result<()> {
    let namespaced = |rule: &&Value| {
        let mut resources = words(&rule["resources"]);
        resources.all(|resource| resource != "nodes" && resource != "servicecidrs")
    };
    let of_cluster: Vec<Value> =
        Role::Cluster.rules(kubectl)?.as_array().into_iter().flatten().filter(namespaced).cloned().collect();
    ensure!(!of_cluster.is_empty(), "the ClusterRole has no rule about namespaced kinds");
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": install::NAMESPACE},
    })];
    let mut give = |namespace: &str, rules: &Value| {
        let metadata = json!({"name": account, "namespace": namespace});
        let group = "rbac.authorization.k8s.io";
        objects.push(
            json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata.clone(), "rules": rules}),
        );
        objects.push(json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": install::NAMESPACE}],
        }));
    };
    for namespace in namespaces {
        give(namespace, &json!(of_cluster));
    }
    give(install::NAMESPACE, &Role::Own.rules(kubectl)?);
    kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).map(drop)
}
