//! Tests: who reads the stream, on an API server that takes rights away and can be silent.

use rollcall_catalog::Catalog;
use rollcall_fake_api::{FakeApi, Fault};
use rollcall_xds::tls::Shown;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::testing::*;

const TILL: &str = "system:serviceaccount:shop:till";

type Sender = watch::Sender<Option<Arc<rollcall_catalog::Snapshot>>>;

/// With one service, in namespace shop.
fn rights(who: Who) -> (FakeApi, Readers, Sender) {
    let api = FakeApi::default();
    api.token("good", TILL, &["system:authenticated"]);
    let access = Access::new(api.client(), Duration::from_secs(3600));
    let mut catalog = Catalog::default();
    catalog.apply(cluster_ip("payments"));
    catalog.publish(rollcall_catalog::time::Now::default());
    let (sender, snapshots) = watch::channel(Some(catalog.snapshot()));
    let readers = start(who, &access, &snapshots).expect("somebody judges");
    (api, readers, sender)
}

fn showing(token: Option<&str>) -> Showing {
    let authorization = token.map(|token| format!("Bearer {token}").into());
    Showing { authorization, certificate: Shown::Nothing, peer: None, says: None }
}

async fn judge(readers: &Readers, token: Option<&str>) -> Result<Reader, Status> {
    readers.0.judge(showing(token)).await
}

fn shop() -> Scope {
    Scope::Namespaces(Arc::new([Arc::from("shop")]))
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_shows_who_they_are_sees_everything_and_nobody_else_anything() {
    let (_api, readers, _snapshots) = rights(Who::Authenticated);
    let reader = judge(&readers, Some("good")).await.expect("known");
    assert_eq!((&*reader.name, reader.scope), ("ServiceAccount shop/till", Scope::All));
    let nothing = judge(&readers, None).await.expect_err("nothing is shown");
    assert!(nothing.code() == Code::Unauthenticated && nothing.message().contains("--catalog-token-file"), "{nothing}");
    let unknown = judge(&readers, Some("bad")).await.expect_err("nobody's");
    assert!(
        unknown.code() == Code::Unauthenticated && unknown.message().contains("does not know this token"),
        "{unknown}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_readers_are_authorized_they_see_the_namespaces_of_their_rights() {
    let (api, readers, _snapshots) = rights(Who::Authorized);
    let said = judge(&readers, Some("good")).await.expect_err("nothing is granted");
    let words = "ServiceAccount shop/till may not get streams.rollcall.dev in all namespaces";
    assert_eq!(said.code(), Code::PermissionDenied);
    assert!(said.message().starts_with(words) && said.message().contains("ClusterRole rollcall-reader"), "{said}");
    api.grant(TILL, "get", "streams", "shop");
    pass(11).await;
    assert_eq!(judge(&readers, Some("good")).await.expect("granted").scope, shop());
    api.grant(TILL, "get", "streams", "");
    pass(11).await;
    assert_eq!(judge(&readers, Some("good")).await.expect("granted").scope, Scope::All);
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_ends_within_four_minutes_of_the_right_to_it_and_a_quarter_of_an_hour_of_the_token() {
    let (api, readers, _snapshots) = rights(Who::Authorized);
    api.grant(TILL, "get", "streams", "shop");
    let reader = judge(&readers, Some("good")).await.expect("granted");
    let until = tokio::spawn(reader.until);
    pass(1800).await;
    assert!(!until.is_finished(), "it stands as long as its rights do");
    api.take_grants();
    let said = timeout(Duration::from_secs(240), until).await.expect("in time").expect("no panic");
    assert_eq!(said.code(), Code::PermissionDenied, "{said}");

    api.grant(TILL, "get", "streams", "shop");
    pass(11).await;
    let reader = judge(&readers, Some("good")).await.expect("granted");
    api.revoke("good");
    let said = timeout(Duration::from_secs(900), reader.until).await.expect("in time");
    assert_eq!(said.code(), Code::Unauthenticated, "{said}");
}

#[tokio::test(start_paused = true)]
async fn more_or_fewer_namespaces_have_the_client_come_again() {
    let (api, readers, _snapshots) = rights(Who::Authorized);
    api.grant(TILL, "get", "streams", "shop");
    let reader = judge(&readers, Some("good")).await.expect("granted");
    api.grant(TILL, "get", "streams", "");
    let said = timeout(Duration::from_secs(240), reader.until).await.expect("in time");
    assert!(said.code() == Code::Unavailable && said.message().contains("connect again"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_ends_no_stream_and_new_ones_stand_by_what_it_said() {
    let (api, readers, _snapshots) = rights(Who::Authorized);
    api.grant(TILL, "get", "streams", "shop");
    let reader = judge(&readers, Some("good")).await.expect("granted");
    let silence = api.rule(|_| Some(Fault::Silent));
    let until = tokio::spawn(reader.until);
    pass(1800).await;
    assert_eq!(judge(&readers, Some("good")).await.expect("known for an hour").scope, shop());
    pass(3 * 3600).await;
    assert!(!until.is_finished());
    let late = judge(&readers, Some("good")).await.expect_err("nobody can be asked");
    assert_eq!(late.code(), Code::Unavailable, "{late}");
    api.allow(silence);
    pass(5).await;
    judge(&readers, Some("good")).await.expect("the API server is back");
    until.abort();
}

#[tokio::test(start_paused = true)]
async fn before_the_catalog_has_synced_nobody_is_told_that_they_may_see_nothing() {
    let api = FakeApi::default();
    api.token("good", TILL, &[]);
    let (_sender, snapshots) = watch::channel(None);
    let access = Access::new(api.client(), Duration::from_secs(3600));
    let readers = start(Who::Authorized, &access, &snapshots).expect("somebody judges");
    let said = judge(&readers, Some("good")).await.expect_err("not yet");
    assert!(said.code() == Code::Unavailable && said.message().contains("not synced"), "{said}");
}
