//! What a peer may see, of many namespaces, and while nobody can be asked.

use std::time::Duration;

use rollcall_fake_api::{FakeApi, Fault};
use rollcall_xds::tls::Shown;

use super::*;

const WEST: &str = "system:serviceaccount:rollcall-system:west";

fn rights() -> (FakeApi, Rights) {
    let api = FakeApi::default();
    api.token("good", WEST, &[]);
    let access = Access::new(api.client(), Duration::from_secs(3_600));
    (api, Rights::new(access))
}

fn showing() -> Showing {
    let authorization = Some("Bearer good".to_owned().into());
    Showing { authorization, certificate: Shown::Nothing, peer: None, says: None }
}

fn namespaces(count: usize) -> BTreeSet<Name> {
    (0..count).map(|number| Name::from(format!("n{number:05}"))).collect()
}

fn seen(sight: &Sight) -> Vec<&str> {
    match &sight.scope {
        Scope::All => vec!["*"],
        Scope::Namespaces(names) => names.iter().map(|name| &**name).collect(),
    }
}

/// Questions about rights since it was last asked.
fn asked(api: &FakeApi) -> usize {
    let count = api.asked().iter().filter(|asked| asked.resource == "subjectaccessreviews").count();
    api.forget_asked();
    count
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_of_many_namespaces_is_seen_and_what_is_beyond_the_bound_is_counted() {
    let (api, rights) = rights();
    api.grant(WEST, "get", "exports", "n04095");
    api.grant(WEST, "get", "exports", "n04096");
    let sight = rights.sight(&showing(), &namespaces(4_100), None).await.expect("one");
    assert_eq!((seen(&sight), sight.unasked), (vec!["n04095"], 4));
    assert_eq!(asked(&api), 1 + NAMESPACES_MAX, "once for all, and once for each");
    // Who may in all is asked about once.
    api.grant(WEST, "get", "exports", "");
    pass(11).await;
    let sight = rights.sight(&showing(), &namespaces(4_100), Some(&sight)).await.expect("all");
    assert_eq!((seen(&sight), sight.unasked, asked(&api)), (vec!["*"], 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_review_asks_about_what_is_seen_and_what_is_new_and_the_rest_in_turn() {
    let (api, rights) = rights();
    api.grant(WEST, "get", "exports", "n00000");
    let mut exporting = namespaces(1_001);
    let mut sight = rights.sight(&showing(), &exporting, None).await.expect("one");
    assert_eq!(asked(&api), 1_002);
    // Given one by one: each is seen within four reviews.
    for given in ["n00001", "n00500", "n01000"] {
        api.grant(WEST, "get", "exports", given);
        for _ in 0..4 {
            pass(60).await;
            sight = rights.sight(&showing(), &exporting, Some(&sight)).await.expect("some");
            let count = asked(&api);
            assert!(count <= 1 + 4 + REFUSED_AGAIN, "{count} questions");
        }
        assert!(seen(&sight).contains(&given), "{given}");
    }
    exporting.insert("new".into());
    api.grant(WEST, "get", "exports", "new");
    sight = rights.sight(&showing(), &exporting, Some(&sight)).await.expect("some");
    assert_eq!(seen(&sight), ["n00000", "n00001", "n00500", "n01000", "new"]);
    // What is taken away is seen no more, and what exports no more is not asked about.
    api.take_grants();
    api.grant(WEST, "get", "exports", "n00001");
    pass(180).await;
    exporting.retain(|name| &**name < "n00003");
    sight = rights.sight(&showing(), &exporting, Some(&sight)).await.expect("one");
    assert_eq!((seen(&sight), sight.refused.len()), (vec!["n00001"], 2));
    api.take_grants();
    pass(180).await;
    let none = rights.sight(&showing(), &exporting, Some(&sight)).await.expect_err("nothing any more");
    assert!(none.code() == tonic::Code::PermissionDenied && none.message().contains("rollcall-peer"), "{none}");
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_be_asked_a_peer_sees_what_it_saw_and_no_less() {
    let (api, rights) = rights();
    api.grant(WEST, "get", "exports", "n00001");
    api.grant(WEST, "get", "exports", "n00002");
    let sight = rights.sight(&showing(), &namespaces(9), None).await.expect("two");
    let away = api.rule(|_| Some(Fault::RequestLost));
    // A review, a connection that is made anew, and one more namespace that begins to export.
    for seconds in [5, 60, 300, 1_800] {
        pass(seconds).await;
        let now = rights.sight(&showing(), &namespaces(10), Some(&sight)).await.expect("as before");
        assert_eq!(now.scope, sight.scope, "after {seconds} s");
        let anew = rights.sight(&showing(), &namespaces(10), None).await.expect("as before");
        assert_eq!(anew.scope, sight.scope, "after {seconds} s");
    }
    // Not for ever.
    pass(3_600).await;
    let over = rights.sight(&showing(), &namespaces(9), Some(&sight)).await.expect_err("the grace is over");
    assert_eq!(over.code(), tonic::Code::Unavailable, "{over}");
    api.allow(away);
    pass(11).await;
    assert_eq!(rights.sight(&showing(), &namespaces(9), None).await.expect("two").scope, sight.scope);
    // Who was never seen is not let in.
    api.rule(|_| Some(Fault::RequestLost));
    api.token("other", "system:serviceaccount:rollcall-system:north", &[]);
    let stranger = Showing { authorization: Some("Bearer other".to_owned().into()), ..showing() };
    let said = rights.sight(&stranger, &namespaces(9), None).await.expect_err("nobody knows them");
    assert_eq!(said.code(), tonic::Code::Unavailable, "{said}");
}
