//! TokenReview and SubjectAccessReview: whose token it is, and what they may do. Nothing is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::asked::{Asked, Verb};

/// The tokens that are good, and the rights that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct People {
    /// User and groups by token.
    pub(crate) tokens: BTreeMap<String, (String, Vec<String>)>,
    pub(crate) grants: BTreeSet<Grant>,
}

/// A right that was given: user, verb, resource with its subresource, namespace.
pub(crate) type Grant = (String, String, String, String);

// === impl People ===

impl People {
    /// The answer to a review; `None` when it is none.
    pub(crate) fn review(&self, asked: &Asked) -> Option<Value> {
        let review = (asked.verb == Verb::Create).then_some(&*asked.resource)?;
        let status = match review {
            "tokenreviews" => self.whose(&asked.body["spec"]),
            "subjectaccessreviews" => self.may(&asked.body["spec"]),
            _ => return None,
        };
        let mut answer = asked.body.clone();
        answer["status"] = status;
        Some(answer)
    }

    fn whose(&self, spec: &Value) -> Value {
        match self.tokens.get(spec["token"].as_str().unwrap_or_default()) {
            Some((user, groups)) => json!({
                "authenticated": true,
                "user": { "username": user, "uid": format!("uid-of-{user}"), "groups": groups },
                "audiences": spec["audiences"],
            }),
            None => json!({ "authenticated": false, "error": "invalid bearer token" }),
        }
    }

    fn may(&self, spec: &Value) -> Value {
        let attributes = &spec["resourceAttributes"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = match &*text(&attributes["subresource"]) {
            "" => text(&attributes["resource"]),
            subresource => format!("{}/{subresource}", text(&attributes["resource"])),
        };
        let grant = |namespace: String| {
            self.grants.contains(&(text(&spec["user"]), text(&attributes["verb"]), resource.clone(), namespace))
        };
        json!({ "allowed": grant(text(&attributes["namespace"])) || grant(String::new()) })
    }
}
