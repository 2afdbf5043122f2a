//! What a token says of itself. Nothing of it is believed before the API server has said that it is good.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The audience of tokens that are for Rollcall alone, beside those that are for the API server.
pub(super) const AUDIENCE: &str = "rollcall";
/// Of tokens, in bytes. Those of ServiceAccounts have about 1,000.
pub(super) const BYTES_MAX: usize = 8 * 1024;

/// The claims that matter here; a token that is no JWT has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    /// When it ends, in seconds since the epoch (RFC 7519 §4.1.4).
    #[serde(default)]
    pub(super) exp: Option<i64>,
    #[serde(default)]
    aud: Audience,
}

/// RFC 7519 §4.1.3.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The token of the value of an `Authorization` header (RFC 6750 §2.1).
pub(super) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

// === impl Audience ===

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

// === impl Claims ===

impl Claims {
    /// Of a token.
    pub(super) fn of(token: &str) -> Self {
        let payload = token.split('.').nth(1).unwrap_or_default();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        serde_json::from_slice(&payload).unwrap_or_default()
    }

    /// The audiences to ask for: ours if it is for us, else the API server's own.
    pub(super) fn audiences(&self) -> Option<Vec<String>> {
        let ours = match &self.aud {
            Audience::One(one) => one == AUDIENCE,
            Audience::Several(several) => several.iter().any(|one| one == AUDIENCE),
        };
        ours.then(|| vec![AUDIENCE.to_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn claims_are_read_and_what_is_no_jwt_has_none() {
        let claims = Claims::of(&token(r#"{"exp":1700000000,"aud":["rollcall"],"sub":"x"}"#));
        assert_eq!((claims.exp, claims.audiences()), (Some(1_700_000_000), Some(vec!["rollcall".to_owned()])));
        let api = Claims::of(&token(r#"{"exp":1700000000,"aud":"https://kubernetes.default.svc"}"#));
        assert_eq!((api.exp, api.audiences()), (Some(1_700_000_000), None));
        for odd in ["", "opaque", "a.b.c", "..", &token("[]"), &token(r#"{"exp":"soon"}"#)] {
            assert_eq!(Claims::of(odd), Claims::default(), "{odd}");
        }
    }
}
