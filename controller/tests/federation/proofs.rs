//! What a cluster proves itself with, and the addresses at which it is heard.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use serde_json::{Value, json};

use crate::cluster::{BY_FILES, Cluster, ROLLCALL, SYSTEM, until};

/// Signs certificates.
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

/// Writes a pair for a server, which is good until then, where it is read again soon.
fn put_pair(folder: &Path, issuer: &Issuer<'static, KeyPair>, until_s: u64) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["rollcall.test".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(until_s);
    let chain = params.signed_by(&key, issuer).expect("signed").pem();
    for (name, content) in [("tls.key", key.serialize_pem()), ("tls.crt", chain)] {
        std::fs::write(folder.join(name), content).expect("written");
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates are good by the clock on the wall")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_certificate_that_expires_is_a_problem_in_words_and_the_link_heals_when_it_is_renewed() {
    let (ca, issuer) = authority();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    put_pair(folder.path(), &issuer, now_s() + 3_600);
    let flags = [format!("--tls-cert-file={}", file("tls.crt")), format!("--tls-key-file={}", file("tls.key"))];
    let flags = [BY_FILES.to_owned()].into_iter().chain(flags).collect();
    let (mut east, mut west) =
        (Cluster::with("east", "127.0.0.103", flags).await, Cluster::new("west", "127.0.0.104").await);
    east.api.edit("v1", "configmaps", SYSTEM, "rollcall-ca", |map| map["data"] = json!({ "ca.crt": ca }));
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4"]);
    east.linked_from(&west, "", json!({ "suspectAfter": "10s" })).await;
    west.imports("east", &["10.1.0.4"]).await;
    west.link_is("east", "Connected").await;

    // The next one is not renewed. The stream that is open goes on; another one is not opened, and it is said why.
    let expires_s = now_s() + 12;
    put_pair(folder.path(), &issuer, expires_s);
    until("the certificate has expired", || (now_s() > expires_s + 1).then_some(())).await;
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
        link["spec"]["import"]["namespaces"] = json!(["shop", "bank"]);
    });
    let said = west.problem("east", "expired on").await;
    assert!(said.starts_with("certificate of 127.0.0.103:") && said.contains("could not renew it"), "{said}");
    assert_eq!(west.link("east")["state"], "Connected");
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;

    // Without any stream it is silent as any other: what it exported is kept, also by a process that never heard it.
    west.stop().await;
    west.start().await;
    let status = west.link_is("east", "Suspect").await;
    assert!(status["problems"][0].as_str().is_some_and(|said| said.contains("expired on")), "{status}");
    assert_eq!(west.imported("east"), ["10.1.0.4", "10.1.0.5"]);

    // Nobody touches the link.
    put_pair(folder.path(), &issuer, now_s() + 3_600);
    let well =
        || Some(west.link("east")).filter(|status| status["state"] == "Connected" && status["problems"] == Value::Null);
    until("the renewed certificate is believed", well).await;
    east.endpoints("payments", &["10.1.0.5"]);
    west.imports("east", &["10.1.0.5"]).await;
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
