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
    let trust = Trust::new(file.0.clone());
    let said = trust.config().await.expect_err("no file");
    assert!(said.starts_with(&format!("no file {} yet", trust.path())), "{said}");
    let (one, two) = (authority(), authority());
    write(&one);
    let first = trust.config().await.expect("a bundle");
    write(&one);
    assert!(Arc::ptr_eq(&first, &trust.config().await.expect("a bundle")));
    write(&(one + &two));
    assert!(!Arc::ptr_eq(&first, &trust.config().await.expect("a bundle")));
    write("not PEM");
    let said = trust.config().await.expect_err("no bundle");
    assert!(said.contains("cannot be used: it holds no PEM block CERTIFICATE"), "{said}");
}
