//! Tests: the Secrets that checks name.

use rollcall_fake_api::{Asked, FakeApi, Fault, Refusal, Verb};
use serde_json::json;

use super::*;

fn key() -> SecretKey {
    SecretKey { namespace: "shop".into(), name: "probe".into() }
}

fn put(api: &FakeApi, data: serde_json::Value) {
    api.put(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "shop", "name": "probe"},
        "data": data,
    }));
}

fn reads(api: &FakeApi) -> usize {
    api.asked().iter().filter(|asked| asked.resource == "secrets").count()
}

fn words(answer: Answer) -> String {
    answer.map_or_else(|words| words.to_string(), |_| "it is there".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_read_once_for_many_probes_and_again_when_it_may_have_changed() {
    let api = FakeApi::default();
    put(&api, json!({"tls.crt": "YQ==", "tls.key": "Yg==", "ca.crt": "Yw=="}));
    let secrets = Secrets::new(api.client());
    for _ in 0..100 {
        let credentials = secrets.get(&key()).await.expect("it is there");
        let own = ClientCertificate { chain: Box::from(*b"a"), key: Box::from(*b"b") };
        assert_eq!(credentials.certificate, Some(own));
        assert_eq!(credentials.authorities, Some(Box::from(*b"c")));
    }
    assert_eq!(reads(&api), 1);
    put(&api, json!({"ca.crt": "ZA=="}));
    tokio::time::advance(FRESH).await;
    let renewed = async {
        while secrets.get(&key()).await.expect("it is there").authorities != Some(Box::from(*b"d")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PAUSE, renewed).await.expect("the renewed one is used");
    assert_eq!(reads(&api), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_forbidden_or_of_no_use_is_told_with_the_remedy() {
    let api = FakeApi::default();
    let secrets = Secrets::new(api.client());
    let missing = words(secrets.get(&key()).await);
    assert!(missing.contains("shop/probe does not exist; make it by kubectl create secret tls probe"), "{missing}");
    let rule = api.rule(|asked: &Asked| {
        (asked.resource == "secrets" && asked.verb == Verb::Get).then(|| Fault::Refused(Refusal::forbidden(asked)))
    });
    tokio::time::advance(PAUSE).await;
    let forbidden = words(secrets.get(&key()).await);
    assert!(forbidden.contains("controller.checkSecrets: {shop: [probe]}"), "{forbidden}");
    api.allow(rule);
    put(&api, json!({"tls.crt": "YQ=="}));
    tokio::time::advance(PAUSE).await;
    assert!(words(secrets.get(&key()).await).contains("no tls.key"));
    put(&api, json!({"password": "YQ=="}));
    tokio::time::advance(PAUSE).await;
    assert!(words(secrets.get(&key()).await).contains("kubernetes.io/tls"));
    put(&api, json!({"ca.crt": "YQ=="}));
    tokio::time::advance(PAUSE).await;
    assert_eq!(words(secrets.get(&key()).await), "it is there");
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_what_was_known_holds() {
    let api = FakeApi::default();
    put(&api, json!({"ca.crt": "YQ=="}));
    let secrets = Secrets::new(api.client());
    assert_eq!(words(secrets.get(&key()).await), "it is there");
    api.rule(|_| Some(Fault::Refused(Refusal::overloaded())));
    for _ in 0..5 {
        tokio::time::advance(FRESH).await;
        assert_eq!(words(secrets.get(&key()).await), "it is there");
        tokio::task::yield_now().await;
    }
}
