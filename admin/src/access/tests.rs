//! Tests: who may see and change what is below `/debug/`.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

/// Knows `good` and `weak`, and counts what it is asked.
#[derive(Clone, Default)]
struct Cluster(Arc<AtomicUsize>);

impl Reviewer for Cluster {
    fn review<'a>(
        &'a self,
        token: &'a str,
        review: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send + 'a>> {
        Box::pin(async move {
            self.0.fetch_add(1, Relaxed);
            let asked = &review["spec"]["resourceAttributes"];
            assert_eq!(
                (&asked["subresource"], &asked["namespace"]),
                (&json!("portforward"), &json!("rollcall-system"))
            );
            match token {
                "good" | "weak" => Ok(json!({ "status": { "allowed": token == "good" } })),
                "away" => Err(ApiError::Timeout),
                _ => Err(ApiError::Refused(StatusCode::UNAUTHORIZED, "Unauthorized".to_owned())),
            }
        })
    }
}

fn with(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
}

async fn said(access: &Access, headers: HeaderMap) -> (StatusCode, String) {
    match access.admit(&headers).await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(reply) => (reply.status, String::from_utf8_lossy(&reply.body).into_owned()),
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_forward_ports_is_let_in_and_nobody_else() {
    let access = Access::with_reviewer("rollcall-system", Cluster::default());
    assert_eq!(said(&access, with("Bearer good")).await.0, StatusCode::OK);
    assert_eq!(said(&access, with("bearer  good")).await.0, StatusCode::OK);
    let (status, sentence) = said(&access, with("Bearer weak")).await;
    assert!(status == StatusCode::FORBIDDEN && sentence.contains("pods/portforward in namespace rollcall-system"));
    for none in [HeaderMap::new(), with("Basic Z29vZA=="), with("Bearer "), with("Bearer stolen")] {
        let (status, sentence) = said(&access, none).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(sentence.contains("kubectl -n rollcall-system create token"), "{sentence}");
    }
    assert_eq!(said(&access, with("Bearer away")).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_about_once_in_a_while_and_strangers_cannot_flood_the_api_server() {
    let cluster = Cluster::default();
    let access = Access::with_reviewer("rollcall-system", cluster.clone());
    for _ in 0..100 {
        assert_eq!(said(&access, with("Bearer good")).await.0, StatusCode::OK);
    }
    assert_eq!(cluster.0.load(Relaxed), 1);
    tokio::time::advance(KNOWN_FOR).await;
    assert_eq!(said(&access, with("Bearer good")).await.0, StatusCode::OK);
    assert_eq!(cluster.0.load(Relaxed), 2, "a right that was taken away ends");
    let mut refused = 0;
    for number in 0..1000 {
        let (status, _) = said(&access, with(&format!("Bearer guess-{number}"))).await;
        refused += usize::from(status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 900 && cluster.0.load(Relaxed) < 20, "{refused}");
    assert_eq!(said(&access, with("Bearer good")).await.0, StatusCode::OK, "who is known goes on");
}

#[tokio::test]
async fn without_a_cluster_the_flag_is_named() {
    let access = Access::by("rollcall-system", None);
    let (status, sentence) = said(&access, with("Bearer good")).await;
    assert!(status == StatusCode::FORBIDDEN && sentence.contains("--debug-access=loopback"), "{sentence}");
    let open = Access::new(DebugAccess::Loopback, "");
    assert_eq!(said(&open, HeaderMap::new()).await.0, StatusCode::OK);
    for access in [DebugAccess::Token, DebugAccess::Loopback] {
        assert_eq!(access.to_string().parse(), Ok(access));
    }
    assert!("none".parse::<DebugAccess>().unwrap_err().contains("use token or loopback"));
}
