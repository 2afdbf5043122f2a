//! Tests: whom a client trusts, from a file that may change.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;

struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

fn authority() -> String {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    ::pem::encode(&::pem::Pem::new("CERTIFICATE", certificate.der().to_vec()))
}

#[tokio::test]
async fn a_bundle_is_taken_up_when_its_content_changed_and_only_then() {
    let file = File(std::env::temp_dir().join(format!("rollcall-trust-{}.crt", std::process::id())));
    let write = |pem: &str| std::fs::write(&file.0, pem).expect("the file can be written");
    let trust = Trust::new(file.0.clone(), None);
    let said = trust.config().await.expect_err("no file");
    assert!(said.starts_with(&format!("no file {} yet", trust.path())), "{said}");
    let (one, two) = (authority(), authority());
    write(&one);
    let first = trust.config().await.expect("a bundle");
    write(&one);
    assert!(Arc::ptr_eq(&first, &trust.config().await.expect("a bundle")));
    write(&(one + &two));
    assert!(!Arc::ptr_eq(&first, &trust.config().await.expect("a bundle")));
}

#[tokio::test]
async fn a_bundle_that_is_gone_or_broken_takes_nothing_from_what_was_known() {
    let file = File(std::env::temp_dir().join(format!("rollcall-trust-kept-{}.crt", std::process::id())));
    let write = |pem: &str| std::fs::write(&file.0, pem).expect("the file can be written");
    let (trust, pem) = (Trust::new(file.0.clone(), None), authority());
    write("not PEM");
    let said = trust.config().await.expect_err("nothing is known");
    assert!(said.contains("cannot be used: it holds no PEM block CERTIFICATE"), "{said}");
    write(&pem);
    let good = trust.config().await.expect("a bundle");
    for broken in ["", "not PEM", &pem[..pem.len() / 2]] {
        write(broken);
        assert!(Arc::ptr_eq(&good, &trust.config().await.expect("what was known")), "{broken:?}");
    }
    std::fs::remove_file(&file.0).expect("it was there");
    assert!(Arc::ptr_eq(&good, &trust.config().await.expect("what was known")));
    write(&authority());
    assert!(!Arc::ptr_eq(&good, &trust.config().await.expect("a bundle")), "another good one is taken up");
}

#[tokio::test]
async fn a_fault_of_the_bundle_is_said_once() {
    let (mut known, trust) = (Known::default(), Trust::new("ca.crt".into(), None));
    known.without("gone".to_owned()).expect_err("nothing is known");
    let pem = authority().into_bytes();
    let content = || Content { bundle: pem.clone(), own: None };
    known.take_up(content(), &trust).expect("a bundle");
    assert!(known.is_new("gone"));
    known.without("gone".to_owned()).expect("what was known");
    assert!(!known.is_new("gone") && known.is_new("empty"));
    known.take_up(content(), &trust).expect("a bundle");
    assert!(known.is_new("gone"), "it was good in between");
}
