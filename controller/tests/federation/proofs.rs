//! What a cluster proves itself with, and the addresses at which it is heard.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use serde_json::json;

use crate::cluster::{Cluster, ROLLCALL, SYSTEM, until};

/// Signs client certificates.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "peers");
    let pem = params.self_signed(&key).expect("signed").pem();
    (pem, Issuer::new(params, key))
}

/// Chain and key of a certificate for this user.
fn certificate(issuer: &Issuer<'static, KeyPair>, user: &str, expired: bool) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, user);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    (params.signed_by(&key, issuer).expect("signed").pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_proves_who_a_cluster_is_and_an_expired_one_takes_nothing_away() {
    let (ca, issuer) = authority();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("peers.crt");
    std::fs::write(&file, ca).expect("written");
    let known = vec![format!("--client-ca={}", file.display())];
    let (mut east, mut west) =
        (Cluster::with("east", "127.0.0.51", known).await, Cluster::new("west", "127.0.0.52").await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4"]);
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.4"]).await;

    // From the token to a certificate, of a user who may see nothing yet: the stream of before goes on.
    let show = |expired: bool| {
        let (chain, key) = certificate(&issuer, "west-by-certificate", expired);
        west.api.edit("v1", "secrets", SYSTEM, "link-east", |secret| {
            secret["data"].as_object_mut().expect("data").remove("token");
            secret["data"]["tls.crt"] = json!(STANDARD.encode(&chain));
            secret["data"]["tls.key"] = json!(STANDARD.encode(&key));
        });
        // It is read again at once when the link changes.
        west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
            link["spec"]["import"]["namespaces"] = json!(["shop", if expired { "b" } else { "a" }]);
        });
    };
    show(false);
    let said = west.problem("east", "rollcall-peer").await;
    assert!(said.contains("west-by-certificate"), "{said}");
    assert_eq!(west.link("east")["state"], "Connected");
    east.api.grant("west-by-certificate", "get", "exports", "");
    until("it is heard by its certificate", || {
        Some(west.link("east")).filter(|status| status["problems"].is_null() && status["state"] == "Connected")
    })
    .await;

    show(true);
    let said = west.problem("east", "the client certificate cannot be used").await;
    assert!(said.contains("expired on") && said.contains("renew it"), "{said}");
    assert_eq!(west.link("east")["state"], "Connected");
    assert_eq!(west.imported("east"), ["10.1.0.4"]);
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_addresses_the_next_one_is_called_when_one_is_dead() {
    let (mut east, mut west) = Cluster::pair("127.0.0.53", "127.0.0.54", json!({})).await;
    // Nobody listens there: the new stream takes over only when all has come by the second address.
    let dead = std::net::TcpListener::bind("127.0.0.55:0").expect("a port");
    let addresses = json!([dead.local_addr().expect("an address").to_string(), east.grpc.to_string()]);
    drop(dead);
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| link["spec"]["addresses"] = addresses);
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;
    until("it is called at the second", || {
        Some(west.link("east")).filter(|status| status["address"] == east.grpc.to_string().as_str())
    })
    .await;
    west.link_is("east", "Connected").await;
    east.stop().await;
    west.stop().await;
}
