//! `get` and `list`.

use serde_json::{Value, json};

use crate::asked::Asked;
use crate::fault::Refusal;
use crate::store::{Place, Store, list_meta};

pub(crate) fn get(store: &Store, asked: &Asked) -> Result<(u16, Value), Refusal> {
    let object = store.objects.get(&Place::of(asked)).cloned();
    object.map(|object| (200, object)).ok_or_else(|| Refusal::not_found(asked))
}

/// A list, or a page of it. A page goes on after the object at which the one before it ended, at the version of the first
/// page: what has changed since is not in it twice, as the watch from that version tells it.
pub(crate) fn list(store: &Store, asked: &Asked) -> Result<(u16, Value), Refusal> {
    let (version, after) = match asked.param("continue").filter(|token| !token.is_empty()) {
        Some(token) => page(token).filter(|(version, _)| *version >= store.compacted).ok_or_else(Refusal::expired)?,
        None => (store.version, None),
    };
    let limit =
        asked.param("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let later =
        |place: &Place| after.as_ref().is_none_or(|after| (&place.namespace, &place.name) > (&after.0, &after.1));
    let all =
        store.objects.iter().filter(|(place, object)| place.is_in(asked) && later(place) && selected(asked, object));
    let mut items: Vec<_> = all.take(limit.saturating_add(1)).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more).map(|(place, _)| format!("{version}:{}:{}", place.namespace, place.name));
    let items: Vec<_> = items.into_iter().map(|(_, object)| object.clone()).collect();
    let kind = items
        .first()
        .and_then(|item| item["kind"].as_str())
        .map_or_else(|| "List".to_owned(), |kind| format!("{kind}List"));
    let list =
        json!({ "apiVersion": asked.api_version, "kind": kind, "metadata": list_meta(version, last), "items": items });
    Ok((200, list))
}

/// Whether a label selector of `key=value` terms, and a field selector of the name, let an object through.
pub(crate) fn selected(asked: &Asked, object: &Value) -> bool {
    let terms = |name: &str| {
        asked
            .param(name)
            .unwrap_or_default()
            .split(',')
            .filter(|term| !term.is_empty())
            .map(|term| {
                let (key, value) = term.split_once('=').unwrap_or((term, ""));
                (key.to_owned(), value.trim_start_matches('=').to_owned())
            })
            .collect::<Vec<_>>()
    };
    let labels = &object["metadata"]["labels"];
    terms("labelSelector").iter().all(|(key, value)| labels[key].as_str() == Some(value))
        && terms("fieldSelector")
            .iter()
            .all(|(key, value)| key != "metadata.name" || object["metadata"]["name"].as_str() == Some(value))
}

type Page = (u64, Option<(String, String)>);

fn page(token: &str) -> Option<Page> {
    let mut parts = token.splitn(3, ':');
    let version = parts.next()?.parse().ok()?;
    Some((version, Some((parts.next()?.to_owned(), parts.next()?.to_owned()))))
}
