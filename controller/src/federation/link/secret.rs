//! What a link proves itself with, from its Secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::federation::dial::Proof;
use crate::federation::profiles::{Access, PROVIDER};
use crate::kubernetes::kube_error;

/// The API server has as long as this to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a Secret holds.
pub(super) struct Keys {
    /// The authorities of the other cluster's stream, as PEM.
    pub(super) ca: Arc<[u8]>,
    /// What this cluster proves itself with.
    pub(super) proof: Proof,
}

/// Reads a Secret. An authority that is in it goes before what a profile says.
///
/// # Errors
/// When it cannot be read or lacks something, in words with the remedy.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
    profile: Option<&Access>,
) -> Result<Keys, String> {
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
    keys(secret.data.unwrap_or_default(), profile).map_err(|lacks| format!("Secret {namespace}/{name} has {lacks}"))
}

fn keys(mut data: BTreeMap<String, ByteString>, profile: Option<&Access>) -> Result<Keys, String> {
    let mut take = |key: &str| data.remove(key).map(|bytes| Arc::<[u8]>::from(bytes.0));
    let ca = take("ca.crt").or_else(|| profile?.ca.clone()).ok_or_else(|| {
        let nor = match profile {
            Some(_) => format!(", and the ClusterProfile no certificate-authority-data for {PROVIDER}"),
            None => String::new(),
        };
        format!("no ca.crt{nor}; give the authority of the other cluster's stream, from its ConfigMap rollcall-ca")
    })?;
    let proof = match (take("token"), take("tls.crt"), take("tls.key")) {
        (Some(token), ..) => Proof::Token(word(&token).ok_or(
            "a token that is empty or no word; give that of a ServiceAccount of the other cluster as key token",
        )?),
        (None, Some(chain), Some(key)) => Proof::Certificate { chain, key },
        (None, None, None) => {
            return Err("no token; give that of a ServiceAccount of the other cluster as key token, or a certificate \
                        that its controllers know the signer of, as keys tls.crt and tls.key"
                .to_owned());
        }
        (None, ..) => return Err("only one of tls.crt and tls.key; give both, or a token".to_owned()),
    };
    Ok(Keys { ca, proof })
}

fn word(token: &[u8]) -> Option<String> {
    let token = std::str::from_utf8(token).ok()?.trim();
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    fn said(pairs: &[(&str, &str)]) -> Result<&'static str, String> {
        keys(data(pairs), None).map(|keys| match keys.proof {
            Proof::Token(_) => "token",
            Proof::Certificate { .. } => "certificate",
        })
    }

    #[test]
    fn a_secret_has_an_authority_and_a_token_or_a_certificate() {
        let ca = ("ca.crt", "pem");
        assert_eq!(said(&[ca, ("token", " abc\n")]), Ok("token"));
        assert_eq!(said(&[ca, ("tls.crt", "a"), ("tls.key", "b")]), Ok("certificate"));
        assert_eq!(said(&[ca, ("tls.crt", "a"), ("tls.key", "b"), ("token", "t")]), Ok("token"));
        for (data, words) in [
            (&[("token", "t")][..], "no ca.crt"),
            (&[ca][..], "no token"),
            (&[ca, ("token", "a b")][..], "a token that is empty or no word"),
            (&[ca, ("tls.key", "b")][..], "only one of tls.crt and tls.key"),
        ] {
            let why = said(data).expect_err("something is missing");
            assert!(why.contains(words), "{why}");
        }
    }
    #[test]
    fn an_authority_in_the_secret_goes_before_that_of_a_profile() {
        let profile = |ca: Option<&str>| Access {
            address: "east:18000".to_owned(),
            server_name: None,
            ca: ca.map(|ca| ca.as_bytes().into()),
        };
        let (token, ca) = (("token", "t"), ("ca.crt", "of the link"));
        let trusted = |pairs: &[(&str, &str)], profile: &Access| {
            keys(data(pairs), Some(profile)).map(|keys| String::from_utf8_lossy(&keys.ca).into_owned())
        };
        assert_eq!(trusted(&[token], &profile(Some("of the profile"))), Ok("of the profile".to_owned()));
        assert_eq!(trusted(&[token, ca], &profile(Some("of the profile"))), Ok("of the link".to_owned()));
        let why = trusted(&[token], &profile(None)).expect_err("nobody has one");
        assert!(why.contains("no ca.crt, and the ClusterProfile no certificate-authority-data"), "{why}");
    }
}
