//! What a link proves itself with, from its Secret.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::kubernetes::kube_error;

/// The API server has as long as this to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The token and the authorities of a Secret.
///
/// # Errors
/// When it cannot be read or lacks something, in words with the remedy.
pub(super) async fn read(client: &Client, namespace: &str, name: &str) -> Result<(String, Arc<[u8]>), String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = match tokio::time::timeout(TIMEOUT, secrets.get_opt(name)).await {
        Ok(Ok(Some(secret))) => secret,
        Ok(Ok(None)) => {
            return Err(format!(
                "Secret {namespace}/{name} does not exist; make it by kubectl create secret generic {name} -n {namespace} \
                 --from-file=token=FILE --from-file=ca.crt=FILE"
            ));
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            return Err(format!(
                "this controller may not get Secret {namespace}/{name}: add it in the chart's values, as federation.secrets: [{name}]"
            ));
        }
        Ok(Err(error)) => {
            return Err(format!("Secret {namespace}/{name} cannot be read: {}", kube_error::words(&error)));
        }
        Err(_) => return Err(format!("Secret {namespace}/{name} cannot be read: no answer within {TIMEOUT:?}")),
    };
    let data = secret.data.unwrap_or_default();
    let token = data.get("token").and_then(|token| std::str::from_utf8(&token.0).ok()).map(str::trim);
    let token = token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    let token = token.ok_or_else(|| {
        format!(
            "Secret {namespace}/{name} has no token; give that of a ServiceAccount of the other cluster as key token"
        )
    })?;
    let ca = data.get("ca.crt").ok_or_else(|| {
        format!("Secret {namespace}/{name} has no ca.crt; give the authority of the other cluster's stream, from its ConfigMap rollcall-ca")
    })?;
    Ok((token.to_owned(), ca.0.clone().into()))
}
