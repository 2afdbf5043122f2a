//! ExternalName Services: whether what they name is a name.

use std::sync::Arc;

use super::Rank;
use super::offers::Order;
use crate::input::{Fault, Origin, OriginKind, Problem, ServiceFacts, ServiceKind};
use crate::model::{Name, ServiceKey};
use crate::service::{Excluded, Why};

/// The greatest length of a label and of a name without its last dot (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 253;

/// The alias of a Service that DNS cannot tell, as something that is kept out. The API server takes labels of any length.
pub(super) fn unusable(key: &ServiceKey, facts: &ServiceFacts) -> Option<(Order, Excluded)> {
    let ServiceKind::ExternalName(target) = &facts.kind else { return None };
    let fault = fault(target)?;
    let origin = Arc::new(Origin::here(OriginKind::Service, Name::clone(&key.namespace), Name::clone(&key.name)));
    let words = format!("spec.externalName {fault}, so callers are told nothing; give the DNS name of what is meant");
    let problem = Problem { fault: Fault::UnsupportedValue, words: words.into() };
    let excluded = Excluded {
        name: Name::clone(target),
        endpoint: None,
        origin: Arc::clone(&origin),
        why: Why::Unusable(problem),
    };
    Some((Order { rank: Rank { created: 0, origin }, position: 0 }, excluded))
}

fn fault(target: &str) -> Option<String> {
    if target.is_empty() {
        return Some("is empty".to_owned());
    }
    if target.len() > NAME_MAX {
        return Some(format!("has {} characters, which is more than the {NAME_MAX} of a DNS name", target.len()));
    }
    target.split('.').find_map(|label| match label.len() {
        0 => Some("has an empty label (two dots in a row)".to_owned()),
        1..=LABEL_MAX => None,
        length => Some(format!("has a label of {length} characters, which is more than the {LABEL_MAX} of DNS")),
    })
}
