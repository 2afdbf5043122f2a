//! A request, as rules see it and tests read it afterwards.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use serde_json::Value;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is wanted.
    pub verb: Verb,
    /// In which API: `v1`, `discovery.k8s.io/v1`.
    pub api_version: String,
    /// Which kind, in the plural: `services`.
    pub resource: String,
    /// Where; empty for the whole cluster.
    pub namespace: String,
    /// Of which object; empty for lists. Of a creation, the name in the body.
    pub name: String,
    /// `status`, or empty.
    pub subresource: String,
    /// The query.
    pub params: BTreeMap<String, String>,
    /// What was sent; `null` without a body.
    pub body: Value,
    /// Method and path, as they were sent.
    pub line: String,
}

/// What a request wants, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// Several, or a page of them.
    List,
    /// What happens to them from a version on.
    Watch,
    /// A new object.
    Create,
    /// The whole of an object anew.
    Update,
    /// A part of it: server-side apply, or a merge patch.
    Patch,
    /// Its end.
    Delete,
}

// === impl Asked ===

impl Asked {
    /// Reads a request; `None` when its path is none of the API.
    pub(crate) fn read(method: &Method, uri: &http::Uri, body: Value) -> Option<Self> {
        let params: BTreeMap<_, _> = uri.query().into_iter().flat_map(|query| query.split('&')).map(pair).collect();
        let mut path = uri.path().trim_matches('/').split('/');
        let api_version = match path.next()? {
            "api" => path.next()?.to_owned(),
            "apis" => format!("{}/{}", path.next()?, path.next()?),
            _ => return None,
        };
        let rest: Vec<_> = path.collect();
        let (namespace, rest) = match &*rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, "", ""),
            [resource, name] => (*resource, *name, ""),
            [resource, name, subresource] => (*resource, *name, *subresource),
            _ => return None,
        };
        let watches = params.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
        let verb = match (method.as_str(), name.is_empty()) {
            ("GET", true) if watches => Verb::Watch,
            ("GET", true) => Verb::List,
            ("GET", false) => Verb::Get,
            ("POST", _) => Verb::Create,
            ("PUT", _) => Verb::Update,
            ("PATCH", _) => Verb::Patch,
            ("DELETE", _) => Verb::Delete,
            _ => return None,
        };
        let named = body["metadata"]["name"].as_str().unwrap_or_default();
        let name = if verb == Verb::Create { named } else { name };
        Some(Self {
            verb,
            api_version,
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            params,
            line: format!("{method} {}", uri.path()),
            body,
        })
    }

    /// A parameter of the query.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match self.verb {
            Verb::Get | Verb::List | Verb::Watch => false,
            Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => true,
        }
    }

    /// The group of its API; empty for the core.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

// === impl Verb ===

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        })
    }
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (decoded(key), decoded(value))
}

/// Percent-decoding, of what kube encodes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = &tail[2..];
            }
            (b'+', ..) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
