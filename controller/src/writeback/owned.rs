//! Which EndpointSlices are ours, and what of them is.
//!
//! A label can be taken away by anybody who may edit the slice. A slice of ours is known by its label or, without it, by
//! the shape of its name together with our name among its managed fields, so that it neither counts as somebody else's
//! statement about the endpoints that it was written for, nor stays unrepaired.

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use super::apply::FIELD_MANAGER;
use super::slices::{MANAGED_BY, MANAGED_BY_LABEL};

/// Whether we wrote a slice.
pub fn is_ours(slice: &EndpointSlice) -> bool {
    let meta = &slice.metadata;
    let label = meta.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY_LABEL));
    let labelled = label.is_some_and(|manager| manager == MANAGED_BY);
    labelled || (service_of(meta).is_some() && ours(meta).is_some())
}

/// The Service that a slice of ours was written for, by its name: `SERVICE-rollcall-HASH-INDEX`.
pub fn service_of(meta: &ObjectMeta) -> Option<&str> {
    let (service, rest) = meta.name.as_deref()?.rsplit_once("-rollcall-")?;
    let (hash, index) = rest.split_once('-')?;
    let is_hash = hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_index = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    (!service.is_empty() && is_hash && is_index).then_some(service)
}

/// The labels of a slice that are of our making, by its managed fields; `None` where those do not tell.
pub fn labels(meta: &ObjectMeta) -> Option<BTreeSet<String>> {
    let fields = &ours(meta)?.fields_v1.as_ref()?.0;
    let labels = fields.get("f:metadata").and_then(|meta| meta.get("f:labels")).and_then(|labels| labels.as_object());
    let keys = labels.map(|labels| labels.keys().filter_map(|key| key.strip_prefix("f:")).map(str::to_owned).collect());
    Some(keys.unwrap_or_default())
}

fn ours(meta: &ObjectMeta) -> Option<&ManagedFieldsEntry> {
    let mut entries = meta.managed_fields.iter().flatten();
    entries.find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(name: &str, manager: &str) -> EndpointSlice {
        let fields = json!({ "f:metadata": { "f:labels": { "f:a": {} } } });
        let managed =
            json!([{ "manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields }]);
        let metadata = json!({ "name": name, "labels": { "a": "1", "theirs": "2" }, "managedFields": managed });
        serde_json::from_value(json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": [] }))
            .expect("a slice")
    }

    #[test]
    fn a_slice_of_ours_is_known_without_its_label() {
        assert!(is_ours(&slice("web-rollcall-0a1b2c3d-0", "rollcall")));
        assert!(!is_ours(&slice("web-rollcall-0a1b2c3d-0", "kubectl")), "anybody may choose a name");
        assert!(!is_ours(&slice("web-x7kqp", "rollcall")));
        assert_eq!(service_of(&slice("a-rollcall-b-rollcall-0a1b2c3d-12", "").metadata), Some("a-rollcall-b"));
    }

    #[test]
    fn labels_of_others_are_none_of_ours() {
        let own = labels(&slice("web-rollcall-0a1b2c3d-0", "rollcall").metadata).expect("told");
        assert_eq!(own.into_iter().collect::<Vec<_>>(), ["a"]);
    }
}
