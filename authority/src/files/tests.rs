//! Tests: a certificate and a key in files, such as those of a mounted Secret.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rollcall_admin::Readiness;
use rollcall_xds::tls::Certificates;

use super::*;
use crate::metrics::Metrics;
use crate::testing::pair;

/// Two files in a folder of their own, swapped as the kubelet does it: by a symbolic link to another folder.
struct Volume {
    folder: tempfile::TempDir,
    generation: u32,
}

impl Volume {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), generation: 0 }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set(&mut self, certificate: &str, key: &str) {
        self.generation += 1;
        let (folder, link) = (self.file(&format!("v{}", self.generation)), self.file("data"));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("tls.crt"), certificate).expect("written");
        std::fs::write(folder.join("tls.key"), key).expect("written");
        std::os::unix::fs::symlink(&folder, self.file("new")).expect("a link");
        std::fs::rename(self.file("new"), link).expect("swapped");
    }

    fn pair(&self) -> Pair {
        let data = self.file("data");
        Pair { certificate: data.join("tls.crt"), key: data.join("tls.key") }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pair_is_taken_when_it_is_there_and_again_when_it_changed() {
    let mut volume = Volume::new();
    let (readiness, metrics, certificates) =
        (Readiness::default(), Arc::<Metrics>::default(), Arc::<Certificates>::default());
    let mut current = Current::new(certificates.clone(), readiness.gate("certificate"), metrics.clone());
    let (now_s, mut taken) = (1_800_000_000, None);
    let closed = || readiness.closed().iter().map(ToString::to_string).collect::<String>();
    let files = volume.pair();

    files.look(&mut taken, &mut current, now_s).await;
    assert!(closed().contains("tls.crt yet (--tls-cert-file); is the Secret there"), "{}", closed());

    let (one, other) = (pair(now_s, 3600), pair(now_s, 7200));
    volume.set(&one.0, &other.1);
    files.look(&mut taken, &mut current, now_s).await;
    assert!(closed().contains("the key does not belong to the certificate"), "{}", closed());

    let old = pair(now_s - 7200, 3600);
    volume.set(&old.0, &old.1);
    files.look(&mut taken, &mut current, now_s).await;
    assert!(closed().contains("expired on"), "{}", closed());

    volume.set(&one.0, &one.1);
    files.look(&mut taken, &mut current, now_s).await;
    assert!(readiness.is_ready(), "{}", closed());
    assert_eq!(metrics.leaf_expiry(), Some((now_s + 3600) as f64));

    // A bad pair after a good one: the good one stays.
    volume.set("garbage", &one.1);
    files.look(&mut taken, &mut current, now_s).await;
    assert!(readiness.is_ready() && certificates.current().is_some());
    assert_eq!(metrics.refresh_failures.load(Relaxed), 4);

    volume.set(&other.0, &other.1);
    files.look(&mut taken, &mut current, now_s).await;
    assert_eq!(metrics.leaf_expiry(), Some((now_s + 7200) as f64));
    files.look(&mut taken, &mut current, now_s).await;
    assert_eq!(metrics.leaf_rotations.load(Relaxed), 1, "the same content is not taken twice");
}
