//! Where the certificate of the stream comes from, and what the DNS servers see of it.

use serde_json::{Value, json};

use super::rendered::{Rendered, render};

fn args<'a>(rendered: &'a Rendered, name: &str) -> Vec<&'a str> {
    let args = &rendered.get("Deployment", name)["spec"]["template"]["spec"]["containers"][0]["args"];
    args.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn volumes<'a>(rendered: &'a Rendered, name: &str) -> &'a Value {
    &rendered.get("Deployment", name)["spec"]["template"]["spec"]["volumes"]
}

#[test]
fn the_authority_gets_two_empty_objects_and_may_touch_no_others() {
    let rendered = render("");
    for object in [rendered.get("Secret", "rollcall-authority"), rendered.get("ConfigMap", "rollcall-ca")] {
        assert!(object["data"].is_null() && object["stringData"].is_null(), "{object:#}");
    }
    let controller = args(&rendered, "rollcall-controller");
    assert!(
        controller.contains(&"--tls=authority") && controller.contains(&"--tls-authority-secret=rollcall-authority")
    );
    assert!(controller.contains(&"--tls-dns-name=rollcall-controller.rollcall-system.svc"), "{controller:?}");
    let dns = args(&rendered, "rollcall-dns");
    assert!(dns.contains(&"--catalog-server-name=rollcall-controller.rollcall-system.svc"), "{dns:?}");
    assert_eq!(
        volumes(&rendered, "rollcall-dns")[0]["configMap"]["items"],
        json!([{"key": "ca.crt", "path": "ca.crt"}])
    );
    assert!(volumes(&rendered, "rollcall-controller").is_null());
}

#[test]
fn cert_manager_signs_with_a_ca_of_ours_or_with_the_issuer_that_is_given() {
    let own = render("certificates: {source: certManager, extraNames: [a.example.org, 192.0.2.1]}");
    let certificate = &own.get("Certificate", "rollcall-tls")["spec"];
    assert_eq!(certificate["issuerRef"], json!({"name": "rollcall-ca", "kind": "Issuer", "group": "cert-manager.io"}));
    assert_eq!(own.get("Issuer", "rollcall-ca")["spec"]["ca"]["secretName"], "rollcall-ca");
    assert_eq!(own.get("Certificate", "rollcall-ca")["spec"]["issuerRef"]["name"], "rollcall-self-signed");
    let names = certificate["dnsNames"].as_array().expect("names");
    assert!(
        names.contains(&json!("rollcall-controller.rollcall-system.svc")) && names.contains(&json!("a.example.org"))
    );
    assert_eq!(certificate["ipAddresses"], json!(["192.0.2.1"]));

    let given =
        render("certificates: {source: certManager, certManager: {issuerRef: {name: corp, kind: ClusterIssuer}}}");
    assert!(given.of("Issuer").is_empty() && given.of("Certificate").len() == 1);
    let issuer = &given.get("Certificate", "rollcall-tls")["spec"]["issuerRef"];
    assert_eq!(issuer, &json!({"name": "corp", "kind": "ClusterIssuer", "group": "cert-manager.io"}));
    assert!(given.find("Secret", "rollcall-authority").is_none());
}

#[test]
fn of_a_given_secret_the_dns_servers_see_the_authorities_alone() {
    for values in [
        "certificates: {source: secret, secret: {name: stream}}",
        "certificates: {source: secret, secret: {name: stream}, caBundle: {secretName: roots, key: pem}}",
    ] {
        let rendered = render(values);
        let items = &volumes(&rendered, "rollcall-dns")[0]["secret"]["items"];
        let keys: Vec<_> = items.as_array().into_iter().flatten().map(|item| &item["key"]).collect();
        assert!(keys == ["ca.crt"] || keys == ["pem"], "{values}: {keys:?}");
        let server = &volumes(&rendered, "rollcall-controller")[0]["secret"];
        assert_eq!((&server["secretName"], &server["optional"]), (&json!("stream"), &json!(true)));
        assert!(args(&rendered, "rollcall-controller").contains(&"--tls-cert-file=/etc/rollcall/tls/tls.crt"));
    }
    let bundle = render("certificates: {source: secret, secret: {name: stream}, caBundle: {configMapName: cas}}");
    assert_eq!(volumes(&bundle, "rollcall-dns")[0]["configMap"]["name"], "cas");
}

#[test]
fn catalogs_of_others_are_checked_by_the_bundle_if_any_has_tls() {
    let values = "{certificates: {source: off, caBundle: {secretName: other-ca}}, \
                  dns: {catalogs: ['https://a.example.org:18000', 'http://b.example.org:18000']}}";
    let rendered = render(values);
    let dns = args(&rendered, "rollcall-dns");
    assert!(dns.contains(&"--catalog-ca-file=/etc/rollcall/ca/ca.crt"), "{dns:?}");
    assert!(!dns.iter().any(|arg| arg.starts_with("--catalog-server-name")), "each has a name of its own: {dns:?}");
    assert_eq!(volumes(&rendered, "rollcall-dns")[0]["secret"]["secretName"], "other-ca");
    let plain = render("dns: {snapshot: none, catalogs: ['http://b.example.org:18000']}");
    assert!(volumes(&plain, "rollcall-dns").is_null(), "nothing is checked by it");
}

#[test]
fn off_is_off_however_yaml_reads_it() {
    for values in ["certificates: {source: off}", "certificates: {source: 'off'}"] {
        let rendered = render(values);
        assert!(args(&rendered, "rollcall-controller").contains(&"--tls=off"));
        let dns = args(&rendered, "rollcall-dns");
        assert!(dns[0].starts_with("--catalog=http://") && !dns.iter().any(|arg| arg.starts_with("--catalog-ca")));
        let volumes = volumes(&rendered, "rollcall-dns");
        let names: Vec<_> = volumes.as_array().into_iter().flatten().map(|volume| volume["name"].as_str()).collect();
        assert_eq!(names, [Some("snapshot")], "neither authorities nor a token");
    }
}

#[test]
fn dns_servers_say_who_they_are_by_a_token_for_this_stream_alone() {
    let rendered = render("");
    let dns = args(&rendered, "rollcall-dns");
    assert!(dns.contains(&"--catalog-token-file=/var/run/secrets/rollcall.dev/token"), "{dns:?}");
    let token = &volumes(&rendered, "rollcall-dns")[1]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!((&token["audience"], &token["path"]), (&json!("rollcall"), &json!("token")));
    assert!(!args(&rendered, "rollcall-controller").iter().any(|arg| arg.starts_with("--readers")), "by default");
}

#[test]
fn one_value_locks_the_stream_and_the_dns_servers_go_on() {
    let rendered = render("controller: {readers: authorized}");
    assert!(args(&rendered, "rollcall-controller").contains(&"--readers=authorized"));
    let role = rendered.get("ClusterRole", "rollcall-dns");
    assert_eq!((&role["rules"][0]["resources"], &role["rules"][0]["verbs"]), (&json!(["streams"]), &json!(["get"])));
    let bound = rendered.get("ClusterRoleBinding", "rollcall-dns");
    assert_eq!(bound["subjects"][0]["name"], "rollcall-dns");
}

#[test]
fn what_goes_into_bootstrap_files_is_trusted_by_dns_servers_as_well() {
    let own = render("bootstrap: {namespaces: [shop], mountPath: /run/rollcall}");
    let controller = args(&own, "rollcall-controller");
    assert!(controller.contains(&"--bootstrap-configmap=shop/rollcall-bootstrap"), "{controller:?}");
    assert!(controller.contains(&"--bootstrap-mount-path=/run/rollcall"), "{controller:?}");
    assert!(!controller.iter().any(|arg| arg.starts_with("--bootstrap-ca-file")), "it has its own authority");
    let given = render("{bootstrap: {namespaces: [shop]}, certificates: {source: secret, secret: {name: stream}}}");
    assert!(args(&given, "rollcall-controller").contains(&"--bootstrap-ca-file=/etc/rollcall/bootstrap-ca/ca.crt"));
    let (ours, theirs) = (volumes(&given, "rollcall-controller"), volumes(&given, "rollcall-dns"));
    assert_eq!(ours[1], theirs[0], "the authorities alone");
    let entries = |values: &str| args(&render(values), "rollcall-controller").contains(&"--service-entries=true");
    assert!(entries("controller: {serviceEntries: true}") && !entries(""), "what is not asked for costs nothing");
    let off = render("{bootstrap: {namespaces: [shop]}, certificates: {source: off}}");
    assert!(volumes(&off, "rollcall-controller").is_null());
}
