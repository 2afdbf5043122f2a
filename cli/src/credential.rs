//! The token that is shown to a controller.

use std::error::Error;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, header};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower_layer::Layer;
use tower_service::Service;

use crate::args::Reach;
use crate::failure::Failure;

/// How long a requested token lives: the shortest that the API server gives.
const LIFETIME_S: i64 = 600;
/// The audience of tokens for Rollcall alone.
const AUDIENCE: &str = "rollcall";

/// What was given by flag or variable.
///
/// # Errors
/// When the file cannot be read.
pub fn given(reach: &Reach) -> Result<Option<String>, Failure> {
    if let Some(path) = &reach.token_file {
        let token = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("--token-file {} cannot be read: {error}", path.display())))?;
        return Ok(Some(token.trim().to_owned()));
    }
    Ok(std::env::var("ROLLCALL_TOKEN").ok().filter(|token| !token.is_empty()))
}

/// A token for the ServiceAccount of `--service-account`, or that of the kubeconfig's user; `release` is the prefix of the
/// names of the objects of Rollcall's chart.
///
/// # Errors
/// When there is none: users whose kubeconfig has a client certificate name a ServiceAccount.
pub async fn of_cluster(config: &Config, client: &Client, reach: &Reach, release: &str) -> Result<String, Failure> {
    if let Some(account) = &reach.service_account {
        let Some((namespace, name)) = account.split_once('/') else {
            return Err(Failure::Usage(format!("--service-account {account}: write it as NAMESPACE/NAME")));
        };
        return requested(client, namespace, name).await;
    }
    if let Some(token) = of_user(config).await? {
        return Ok(token);
    }
    // Client certificates are for the API server alone. What may be read here is what the chart lets this account read.
    let account = format!("{release}-cli");
    requested(client, &reach.rollcall_namespace, &account).await.map_err(|failure| {
        let namespace = &reach.rollcall_namespace;
        Failure::Denied(format!(
            "the kubeconfig's user shows a client certificate and no token, and ServiceAccount {namespace}/{account} gives \
             none ({failure}); name one that may read by --service-account NAMESPACE/NAME, or give --token-file"
        ))
    })
}

async fn requested(client: &Client, namespace: &str, name: &str) -> Result<String, Failure> {
    let spec = TokenRequestSpec {
        audiences: Some(vec![AUDIENCE.to_owned()]),
        expiration_seconds: Some(LIFETIME_S),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
    let what = format!("a token of ServiceAccount {namespace}/{name}");
    let answer = answer.map_err(|error| Failure::of_kubernetes(&what, &error))?;
    answer
        .status
        .and_then(|status| status.token)
        .ok_or_else(|| Failure::Refused(format!("{what}: the answer has none")))
}

/// What kube would send to the API server: also of exec plugins and token files.
async fn of_user(config: &Config) -> Result<Option<String>, Failure> {
    let wrong = |error: String| Failure::Usage(format!("the kubeconfig's user cannot be used: {error}"));
    let Some(layer) = config.auth_layer().map_err(|error| wrong(error.to_string()))? else { return Ok(None) };
    let seen =
        layer.layer(Witness).call(Request::new(Body::empty())).await.map_err(|error| wrong(error.to_string()))?;
    let header = seen.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    Ok(header.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned))
}

/// What the layer's own errors are; none of them is the witness's.
type Never = Box<dyn Error + Send + Sync>;

/// Answers with the credentials that came with a request.
#[derive(Clone, Debug)]
struct Witness;

// === impl Witness ===

impl Service<Request<Body>> for Witness {
    type Response = Response<()>;
    type Error = Never;
    type Future = Ready<Result<Response<()>, Never>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Never>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut response = Response::new(());
        let shown = request.headers().get(header::AUTHORIZATION).cloned();
        response.headers_mut().extend(shown.map(|shown: HeaderValue| (header::AUTHORIZATION, shown)));
        ready(Ok(response))
    }
}
