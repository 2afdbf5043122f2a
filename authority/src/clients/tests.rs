//! Tests: the authorities of clients, in a file.

use rollcall_admin::Readiness;

use super::*;
use crate::issue;
use crate::testing::wall_s;

#[tokio::test]
async fn a_file_is_taken_when_it_is_there_and_what_is_known_outlives_it() {
    let folder = std::env::temp_dir().join(format!("rollcall-client-ca-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("ca.crt");
    let (readiness, clients) = (Readiness::default(), Arc::<Clients>::default());
    let mut file = ClientCa::new(path.clone(), Arc::clone(&clients), readiness.gate("client-ca"));
    let closed = || readiness.closed().iter().map(ToString::to_string).collect::<String>();

    file.look().await;
    assert!(closed().contains("(--client-ca)") && !clients.ask(), "{}", closed());
    std::fs::write(&path, "no certificate").expect("written");
    file.look().await;
    assert!(closed().contains("give certificates of authorities as PEM"), "{}", closed());
    let ca = issue::authority(wall_s(), 3600).expect("an authority");
    std::fs::write(&path, &ca.certificate).expect("written");
    file.look().await;
    assert!(readiness.is_ready() && clients.ask(), "{}", closed());
    std::fs::remove_dir_all(&folder).expect("it was there");
    file.look().await;
    assert!(readiness.is_ready() && clients.ask(), "what is known stays: {}", closed());
}
