//! Tests: access on an API server that can be silent.

use rollcall_fake_api::{FakeApi, Fault, Refusal};

use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const GRACE: Duration = Duration::from_secs(3600);
const AGENT: &str = "system:serviceaccount:shop:agent";

fn api() -> (FakeApi, Access) {
    let api = FakeApi::default();
    api.token("good", AGENT, &["system:serviceaccounts", "system:authenticated"]);
    api.grant(AGENT, "get", "catalogentries", "shop");
    let access = Access::new(api.client(), GRACE);
    (api, access)
}

async fn whose(access: &Access, token: &str) -> Result<Identity, Denied> {
    access.authenticate(Credential::Token(token), PEER).await
}

async fn may(access: &Access, who: &Identity, namespace: &str) -> Result<(), Denied> {
    access.may(who, Right { verb: "get", resource: "catalogentries", namespace, name: "payments" }).await
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_asked_for_once_and_again_before_it_is_stale() {
    let (api, access) = api();
    let who = whose(&access, "good").await.expect("known");
    assert_eq!((who.user(), who.service_account()), (AGENT, Some(("shop", "agent"))));
    for _ in 0..100 {
        whose(&access, "good").await.expect("known");
        may(&access, &who, "shop").await.expect("allowed");
    }
    assert_eq!(api.asked().len(), 2, "{:?}", api.asked());
    pass(100).await;
    whose(&access, "good").await.expect("known");
    pass(1).await;
    assert_eq!(api.asked().len(), 3, "asked again beside its use");
    api.revoke("good");
    pass(121).await;
    assert!(matches!(whose(&access, "good").await, Err(Denied::Unknown(_))), "a revoked token counts for two minutes");
}

#[tokio::test(start_paused = true)]
async fn a_no_says_who_and_what_and_is_short() {
    let (api, access) = api();
    let who = whose(&access, "good").await.expect("known");
    let said = may(&access, &who, "bank").await.expect_err("denied").to_string();
    let told = "ServiceAccount shop/agent may not get catalogentries.rollcall.dev payments in namespace bank";
    assert!(said.starts_with(told) && said.contains("ClusterRole rollcall-view"), "{said}");
    api.grant(AGENT, "get", "catalogentries", "bank");
    assert!(may(&access, &who, "bank").await.is_err());
    pass(11).await;
    may(&access, &who, "bank").await.expect("allowed by now");
}

#[tokio::test(start_paused = true)]
async fn a_yes_outlives_the_api_servers_absence_until_its_bound_and_makes_nobody_wait() {
    let (api, access) = api();
    let who = whose(&access, "good").await.expect("known");
    may(&access, &who, "shop").await.expect("allowed");
    let silence = api.rule(|_| Some(Fault::Silent));
    pass(95).await;
    // The question beside its use is not answered; from then on nobody waits for more than one each two seconds.
    whose(&access, "good").await.expect("known");
    pass(6).await;
    let begun = Instant::now();
    whose(&access, "good").await.expect("known");
    assert!(begun.elapsed() < Duration::from_millis(1));
    pass(3000).await;
    whose(&access, "good").await.expect("still");
    may(&access, &who, "shop").await.expect("still");
    assert!(matches!(whose(&access, "other").await, Err(Denied::Unavailable(_))));
    pass(600).await;
    assert!(matches!(whose(&access, "good").await, Err(Denied::Unavailable(_))), "an hour after it was said");
    api.allow(silence);
    whose(&access, "good").await.expect("the API server is back");
}

#[tokio::test(start_paused = true)]
async fn who_asks_the_same_waits_for_the_same_answer_and_takes_it_along_by_no_way_out() {
    let (api, access) = api();
    api.rule(|_| Some(Fault::Late(Duration::from_secs(1))));
    let impatient = tokio::time::timeout(Duration::from_millis(10), whose(&access, "good")).await;
    assert!(impatient.is_err());
    let all = futures::future::join_all((0..50).map(|_| whose(&access, "good"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn bad_tokens_of_one_address_are_not_asked_about_for_ever() {
    let (api, access) = api();
    let mut busy = 0;
    for n in 0..100 {
        match whose(&access, &format!("bad {n}")).await {
            Err(Denied::Unknown(_)) => {}
            Err(Denied::Busy(..)) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((busy, api.asked().len()), (80, 20));
    let elsewhere = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    access.authenticate(Credential::Token("good"), elsewhere).await.expect("another address");
    pass(11).await;
    whose(&access, "good").await.expect("after a while");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_may_not_ask_says_which_right_is_missing() {
    let (api, access) = api();
    api.rule(|asked| Some(Fault::Refused(Refusal::forbidden(asked))));
    let said = whose(&access, "good").await.expect_err("nobody can be asked").to_string();
    assert!(said.contains("creating tokenreviews at the cluster scope is forbidden"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_costs_no_question() {
    let (api, access) = api();
    for odd in [String::new(), "x".repeat(9000)] {
        assert!(matches!(whose(&access, &odd).await, Err(Denied::Unknown(_))));
    }
    assert!(api.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_is_its_common_name_and_its_organisations() {
    let (_, access) = api();
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("params");
    params.distinguished_name.push(rcgen::DnType::CommonName, "vm-1");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "machines");
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("signed");
    let who = access.authenticate(Credential::Certificate(certificate.der()), PEER).await.expect("named");
    assert_eq!((who.user(), who.groups()), ("vm-1", &["machines".to_owned(), AUTHENTICATED.to_owned()][..]));
    assert_eq!(who.to_string(), "user vm-1");

    let shown = Shown::Verified(std::sync::Arc::from(&**certificate.der()));
    assert_eq!(access.caller(None, &shown, PEER).await.expect("known by it").user(), "vm-1");
    assert_eq!(access.caller(Some("Bearer good"), &shown, PEER).await.expect("a token goes first").user(), AGENT);
    let refused = Shown::Refused("it expired".into());
    let said = access.caller(None, &refused, PEER).await.expect_err("refused").to_string();
    assert_eq!(said, "the client certificate is not accepted: it expired");
    access.caller(Some("Bearer good"), &refused, PEER).await.expect("a token stands by itself");
    assert_eq!(access.caller(Some("Basic x"), &Shown::Nothing, PEER).await, Err(Denied::NoCredential));

    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let certificate = params.self_signed(&key).expect("signed");
    let said = access.authenticate(Credential::Certificate(certificate.der()), PEER).await.expect_err("too late");
    assert!(said.to_string().contains("expired on Jan  1"), "it may run out on an open connection: {said}");
}

const AUTHENTICATED: &str = "system:authenticated";
