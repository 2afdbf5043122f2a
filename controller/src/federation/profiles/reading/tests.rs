//! Profiles as inventories may write them.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use super::*;

fn authority() -> String {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&key).expect("signed").pem()
}

/// A status with these fields of the provider's cluster.
fn with(cluster: &Value) -> Value {
    json!({ "accessProviders": [{ "name": PROVIDER, "cluster": cluster }] })
}

fn read(status: Value) -> Result<Access, String> {
    let status: ClusterProfileStatus = serde_json::from_value(status).expect("a status");
    Profile::of(Some(&status)).access("east").cloned()
}

const SERVER: &str = "https://rollcall.east.example.net:18000";

#[test]
fn the_provider_of_this_name_says_address_authority_and_name() {
    let pem = authority();
    let cluster = json!({
        "server": SERVER, "certificate-authority-data": STANDARD.encode(&pem), "tls-server-name": "rollcall-controller.rollcall-system.svc",
    });
    let access = read(json!({
        "conditions": [], "version": { "kubernetes": "1.35.0" },
        "properties": [{ "name": "clusterset.k8s.io", "value": "demo" }, { "name": CLUSTER_ID, "value": "east" }],
        "accessProviders": [
            { "name": "kubeconfig", "cluster": { "server": "https://10.0.0.1:6443", "extensions": [{ "name": "a", "extension": {} }] } },
            { "name": PROVIDER, "cluster": cluster },
        ],
    }));
    let expected = Access {
        address: "rollcall.east.example.net:18000".to_owned(),
        server_name: Some("rollcall-controller.rollcall-system.svc".to_owned()),
        ca: Some(pem.as_bytes().into()),
    };
    assert_eq!(access, Ok(expected));
    // Name and authority may be the link's own.
    let address = |status| read(status).map(|access| (access.address, access.server_name, access.ca));
    for (server, address_of) in [
        (SERVER, "rollcall.east.example.net:18000"),
        ("https://rollcall.east.example.net:18000/", "rollcall.east.example.net:18000"),
        ("HTTPS://192.0.2.7:443", "192.0.2.7:443"),
        ("https://[2001:db8::1]:18000", "[2001:db8::1]:18000"),
    ] {
        assert_eq!(address(with(&json!({ "server": server }))), Ok((address_of.to_owned(), None, None)), "{server}");
    }
}

#[test]
fn the_older_name_of_the_field_counts_where_the_newer_one_has_no_such_provider() {
    let one = |server: &str| json!([{ "name": PROVIDER, "cluster": { "server": server } }]);
    let older = json!({ "credentialProviders": one("https://old:1"), "accessProviders": [{ "name": "gke" }] });
    assert_eq!(read(older).map(|access| access.address), Ok("old:1".to_owned()));
    let both = json!({ "credentialProviders": one("https://old:1"), "accessProviders": one("https://new:1") });
    assert_eq!(read(both).map(|access| access.address), Ok("new:1".to_owned()));
}

#[test]
fn what_cannot_be_used_is_said_in_words_with_the_remedy() {
    let ours = json!({ "name": PROVIDER, "cluster": { "server": SERVER } });
    let server = |server: &str| with(&json!({ "server": server }));
    let besides = |name: &str, value: Value| with(&json!({ "server": SERVER, name: value }));
    let ca = |pem: &str| besides("certificate-authority-data", json!(STANDARD.encode(pem)));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (status, words) in [
        (json!({}), "has no access provider rollcall.dev: whoever keeps the inventory has to add it"),
        (json!({ "accessProviders": null, "properties": null }), "has no access provider rollcall.dev: "),
        (
            json!({ "accessProviders": [{ "name": "kubeconfig" }] }),
            "has no access provider rollcall.dev, but kubeconfig: ",
        ),
        (json!({ "accessProviders": [ours, ours] }), "has more than one access provider rollcall.dev"),
        (json!({ "accessProviders": [{ "name": PROVIDER }] }), "the server \"\", which is empty"),
        (server("http://east:18000"), "which is not https"),
        (server("east:18000"), "which is not https"),
        (server("https://east:18000/clusters/east"), "which has a path"),
        (server("https://east:18000?cluster=east"), "which has more than host and port"),
        (server("https://me@east:18000"), "which has a user"),
        (server("https://east"), "which has no port"),
        (server("https://[2001:db8::1]"), "which has no port"),
        (server("https://east:"), "which has a port that is none"),
        (server("https://east:0"), "which has a port that is none"),
        (server("https://east:65536"), "which has a port that is none"),
        (server("https://east:+1"), "which has a port that is none"),
        (server("https://2001:db8::1:18000"), "which has an IPv6 address without brackets"),
        (server("https://[east]:18000"), "which has a host that is none"),
        (server("https://:18000"), "which has a host that is none"),
        (server("https://ea st:18000"), "which has a host that is none"),
        (besides("insecure-skip-tls-verify", json!(true)), "with insecure-skip-tls-verify"),
        (besides("proxy-url", json!("socks5://proxy:1080")), "streams go through no proxy"),
        (besides("tls-server-name", json!("https://east")), "which is no DNS name"),
        (besides("certificate-authority", json!("/etc/ca.crt")), "the certificate-authority \"/etc/ca.crt\", a file"),
        (besides("certificate-authority-data", json!("???")), "it is no base64"),
        (ca("a certificate"), "it holds no PEM block CERTIFICATE"),
        (ca(broken), "certificate-authority-data that cannot be used"),
        (ca(&"x".repeat(CA_BYTES_MAX + 1)), "bytes, and may have 262144"),
    ] {
        let said = read(status.clone()).expect_err("it cannot be used");
        assert!(said.contains(words), "{status}: {said}");
    }
}

#[test]
fn a_profile_of_another_cluster_is_not_followed() {
    let mut status = with(&json!({ "server": SERVER }));
    status["properties"] = json!([{ "name": CLUSTER_ID, "value": "west" }]);
    let said = read(status).expect_err("it is of west");
    assert!(said.contains("is of the cluster west") && said.contains("this link is to east"), "{said}");
    assert!(Profile::unreadable("missing field").access("east").is_err_and(|said| said.contains("missing field")));
}
