//! `create`, `update`, `patch`, `delete`.

use serde_json::{Value, json};

use crate::apply;
use crate::asked::{Asked, Verb};
use crate::fault::Refusal;
use crate::store::{Place, Store, version_of};

/// Carries out a write. `patch` is the kind of a patch: its content type.
pub(crate) fn write(store: &mut Store, asked: &Asked, patch: Option<&str>) -> Result<(u16, Value), Refusal> {
    let asked = &pruned(store, asked);
    let place = Place::of(asked);
    let stands = store.objects.get(&place).cloned();
    match (asked.verb, stands) {
        (Verb::Create, Some(_)) => Err(Refusal::exists(asked)),
        (Verb::Create, None) => Ok((201, store.put(&place, asked.body.clone()))),
        (Verb::Patch, stands) if patch.is_some_and(|patch| patch.starts_with("application/apply-patch")) => {
            apply(store, asked, &place, stands)
        }
        (_, None) => Err(Refusal::not_found(asked)),
        (Verb::Update, Some(stands)) => {
            guard(asked, &asked.body, &stands)?;
            Ok((200, store.put(&place, parted(asked, &stands, asked.body.clone()))))
        }
        (Verb::Patch, Some(stands)) => {
            guard(asked, &asked.body, &stands)?;
            let mut object = stands.clone();
            merge(&mut object, &asked.body);
            Ok((200, store.put(&place, parted(asked, &stands, object))))
        }
        (Verb::Delete, Some(stands)) => {
            let preconditions = &asked.body["preconditions"];
            for field in ["resourceVersion", "uid"] {
                let wanted = preconditions[field].as_str();
                if wanted.is_some_and(|wanted| stands["metadata"][field].as_str() != Some(wanted)) {
                    return Err(Refusal::conflict(asked));
                }
            }
            Ok((200, store.remove(&place).unwrap_or(stands)))
        }
        (Verb::Get | Verb::List | Verb::Watch, Some(stands)) => Ok((200, stands)),
    }
}

/// The same without the fields that its schema does not know.
fn pruned(store: &Store, asked: &Asked) -> Asked {
    let mut pruned = asked.clone();
    for (_, field) in store.unknown.iter().filter(|(resource, _)| *resource == asked.resource) {
        let Some((parent, name)) = field.rsplit_once('/') else { continue };
        if let Some(Value::Object(fields)) = pruned.body.pointer_mut(parent) {
            fields.remove(name);
        }
    }
    pruned
}

/// Server-side apply, by force, as everyone who owns the fields does it.
fn apply(store: &mut Store, asked: &Asked, place: &Place, stands: Option<Value>) -> Result<(u16, Value), Refusal> {
    let manager = asked.param("fieldManager").unwrap_or_default();
    if manager.is_empty() {
        return Err(Refusal::invalid(asked, "fieldManager: Required value: is required for apply patch"));
    }
    let created = stands.is_none();
    let stands = match stands {
        Some(stands) => {
            guard(asked, &asked.body, &stands)?;
            stands
        }
        // There is nothing at that version.
        None if version_of(&asked.body).is_some() => return Err(Refusal::conflict(asked)),
        None if !asked.subresource.is_empty() => return Err(Refusal::not_found(asked)),
        None => json!({ "apiVersion": asked.body["apiVersion"], "kind": asked.body["kind"], "metadata": {} }),
    };
    let mut config = asked.body.clone();
    if let Some(meta) = config["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
    }
    let key = (place.clone(), manager.to_owned(), asked.subresource.clone());
    let before = store.applied.get(&key).cloned().unwrap_or(Value::Null);
    let mut object = stands.clone();
    apply::apply(&mut object, &before, &config);
    apply::note_manager(&mut object, manager, &asked.api_version, &asked.subresource, &config);
    let written = store.put(place, if created { object } else { parted(asked, &stands, object) });
    store.applied.insert(key, config);
    Ok((if created { 201 } else { 200 }, written))
}

/// A write over a version that does not stand is a conflict.
fn guard(asked: &Asked, sent: &Value, stands: &Value) -> Result<(), Refusal> {
    match version_of(sent) {
        Some(version) if version_of(stands) != Some(version) => Err(Refusal::conflict(asked)),
        _ => Ok(()),
    }
}

/// A write of the status changes the status alone; any other leaves the status of the kinds that have one as it is.
fn parted(asked: &Asked, stands: &Value, object: Value) -> Value {
    let mut parted = if asked.subresource == "status" { stands.clone() } else { object.clone() };
    if asked.subresource == "status" {
        parted["status"] = object["status"].clone();
        parted["metadata"]["managedFields"] = object["metadata"]["managedFields"].clone();
    } else if asked.group().contains('.') {
        parted["status"] = stands["status"].clone();
    }
    apply::without_nulls(&mut parted);
    parted
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(target) = target.as_object_mut() {
                target.remove(key);
            }
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}
