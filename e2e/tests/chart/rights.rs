//! RBAC: cluster-wide, in named namespaces, and not at all.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::rendered::{NAMESPACE, Rendered, render, render_named};

/// `verb resource` of all rules of a role, with the object's name if it is bound to one.
fn rights(role: &Value) -> Vec<String> {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for (verb, resource) in words(&rule["verbs"])
            .iter()
            .flat_map(|verb| words(&rule["resources"]).into_iter().map(move |resource| (verb, resource)))
        {
            let name = words(&rule["resourceNames"]).join(",");
            rights.push(format!("{verb} {resource} {name}").trim_end().to_owned());
        }
    }
    rights
}

fn all(rendered: &Rendered) -> Vec<String> {
    rendered.of("Role").into_iter().chain(rendered.of("ClusterRole")).flat_map(rights).collect()
}

#[test]
fn nothing_is_a_wildcard_and_no_other_secret_is_in_reach() {
    for values in ["", "watchNamespaces: [shop]"] {
        let all = all(&render(values));
        assert!(all.iter().all(|right| !right.contains('*')), "{all:?}");
        let secrets: Vec<_> = all.iter().filter(|right| right.contains("secrets")).collect();
        assert_eq!(secrets, ["get secrets rollcall-authority", "update secrets rollcall-authority"]);
    }
    let without = all(&render("certificates: {source: off}"));
    assert!(without.iter().all(|right| !right.contains("secrets") && !right.contains("configmaps")), "{without:?}");
}

#[test]
fn bootstrap_files_are_kept_by_name_in_the_namespaces_that_are_listed_and_nowhere_else() {
    let rendered = render("bootstrap: {namespaces: [shop, bank]}");
    for namespace in ["shop", "bank"] {
        let of = |kind: &str, name: &str| {
            let own =
                |object: &&&Value| object["metadata"]["name"] == name && object["metadata"]["namespace"] == namespace;
            let found = rendered.of(kind);
            (*found.iter().find(own).unwrap_or_else(|| panic!("no {kind} {namespace}/{name}"))).clone()
        };
        assert!(of("ConfigMap", "rollcall-bootstrap")["data"].is_null(), "the controller fills it");
        let role = of("Role", "rollcall-controller-bootstrap");
        assert_eq!(rights(&role), ["get configmaps rollcall-bootstrap", "update configmaps rollcall-bootstrap"]);
        let subject = &of("RoleBinding", "rollcall-controller-bootstrap")["subjects"][0];
        assert_eq!((&subject["name"], &subject["namespace"]), (&json!("rollcall-controller"), &json!(NAMESPACE)));
    }
    assert!(
        rendered
            .of("Role")
            .into_iter()
            .filter(|role| role["metadata"]["name"] == "rollcall-controller-bootstrap")
            .count()
            == 2
    );
    assert!(render("").text.find("rollcall-bootstrap").is_none(), "nothing is made that nobody asked for");
}

#[test]
fn with_named_namespaces_the_rules_hold_in_these_alone() {
    let cluster = render("");
    let named = render("watchNamespaces: [shop, billing]");
    let of = |rendered: &Rendered, kind: &str, name: &str| rights(rendered.get(kind, name));
    let everywhere = of(&named, "ClusterRole", "rollcall-controller");
    let reviews = ["create tokenreviews", "create subjectaccessreviews"];
    assert_eq!(everywhere[..2], reviews);
    assert_eq!(everywhere[2..], ["list nodes", "watch nodes", "list servicecidrs", "watch servicecidrs"]);
    let mut moved = of(&named, "Role", "rollcall-controller-source");
    moved.extend(everywhere);
    assert_eq!(moved, of(&cluster, "ClusterRole", "rollcall-controller"));
    let namespaces: Vec<_> = named
        .of("RoleBinding")
        .into_iter()
        .filter(|binding| binding["metadata"]["name"] == "rollcall-controller-source")
        .map(|binding| {
            assert_eq!(
                binding["subjects"],
                json!([{"kind": "ServiceAccount", "name": "rollcall-controller", "namespace": NAMESPACE}])
            );
            binding["metadata"]["namespace"].clone()
        })
        .collect();
    assert_eq!(namespaces, ["shop", "billing"]);
    assert!(
        of(&named, "Role", "rollcall-controller").contains(&"create events".to_owned()),
        "Events about its own pod"
    );
    assert!(
        !of(&cluster, "Role", "rollcall-controller").contains(&"create events".to_owned()),
        "they are in the ClusterRole"
    );
}

#[test]
fn nothing_is_left_in_the_cluster_if_nothing_of_it_is_read() {
    let rendered = render(
        "{watchNamespaces: [rollcall-system], controller: {nodeZones: false, serviceCIDRs: false, accessReviews: false}}",
    );
    assert!(rendered.find("ClusterRole", "rollcall-controller").is_none());
    assert!(rendered.find("ClusterRoleBinding", "rollcall-controller").is_none());
    assert!(!rights(rendered.get("Role", "rollcall-controller")).contains(&"create events".to_owned()), "twice");
}

#[test]
fn the_dns_server_may_tell_of_itself_and_nothing_else() {
    assert_eq!(rights(render("").get("Role", "rollcall-dns")), ["create events"]);
}

#[test]
fn users_roles_are_aggregated_unless_told_not_to() {
    let label = |rendered: &Rendered, role: &str, to: &str| {
        rendered.get("ClusterRole", role)["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{to}")]
            .clone()
    };
    let rendered = render("");
    assert_eq!(
        (label(&rendered, "rollcall-view", "view"), label(&rendered, "rollcall-edit", "edit")),
        (json!("true"), json!("true"))
    );
    let rendered = render("rbac: {aggregateToEdit: false}");
    assert_eq!(
        (label(&rendered, "rollcall-view", "view"), label(&rendered, "rollcall-edit", "edit")),
        (json!("true"), Value::Null)
    );
    assert!(all(&render("rbac: {create: false}")).is_empty());
    let rendered = render("rbac: {userRoles: {create: false}}");
    assert!(
        rendered.find("ClusterRole", "rollcall-view").is_none()
            && rendered.find("ClusterRole", "rollcall-edit").is_none()
    );
    assert!(rendered.find("ClusterRole", "rollcall-controller").is_some());
}

#[test]
fn who_owns_two_namespaces_alone_needs_nothing_outside_of_them() -> Result<()> {
    let rendered = render_named("namespaced-values.yaml")?;
    for object in &rendered.objects {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        ensure!([NAMESPACE, "shop", "billing"].contains(&namespace), "{object:#}");
    }
    Ok(())
}
