//! Requests to a controller, and its answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::failure::Failure;
use crate::trust::Stream;

/// One connection, and what is shown on it.
pub struct Asker {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    token: String,
}

/// For an answer, beyond what the server was asked to wait.
const TIMEOUT: Duration = Duration::from_secs(30);

// === impl Asker ===

impl Asker {
    /// Over a stream to `host`.
    ///
    /// # Errors
    /// When the other end does not speak HTTP.
    pub async fn over(stream: Box<dyn Stream>, host: &str, token: String) -> Result<Self, Failure> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // Its end shows at the request that needs it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, host: host.to_owned(), token })
    }

    /// What is at that path.
    ///
    /// # Errors
    /// What the server refuses, in its words; or that it cannot be reached.
    pub async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        self.get_within(path, TIMEOUT).await
    }

    /// The same, of an answer that may take so long.
    ///
    /// # Errors
    /// As [`Asker::get`].
    pub async fn get_within(&mut self, path: &str, within: Duration) -> Result<Value, Failure> {
        self.ask(Method::GET, path, within).await
    }

    /// Puts nothing to that path: that it is asked says it all.
    ///
    /// # Errors
    /// As [`Asker::get`].
    pub async fn put(&mut self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::PUT, path, TIMEOUT).await
    }

    async fn ask(&mut self, method: Method, path: &str, within: Duration) -> Result<Value, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::default())
            .map_err(|_| Failure::Usage("the token holds what no header may hold".to_owned()))?;
        let answering = async {
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        let late = || Failure::Unreachable(format!("the controller did not answer within {} s", within.as_secs()));
        let answered: Result<_, hyper::Error> = tokio::time::timeout(within, answering).await.map_err(|_| late())?;
        let (status, body) = answered.map_err(|error| broken(&error))?;
        let value = serde_json::from_slice(&body);
        if status.is_success() {
            return match (body.is_empty(), value) {
                (true, _) => Ok(Value::Null),
                (false, Ok(value)) => Ok(value),
                (false, Err(_)) => Err(no_rollcall(status)),
            };
        }
        Err(problem(status, &value.unwrap_or_default()))
    }
}

fn broken(error: &hyper::Error) -> Failure {
    Failure::Unreachable(format!("the connection to the controller broke: {error}; is it the API port?"))
}

fn no_rollcall(status: StatusCode) -> Failure {
    Failure::Unreachable(format!("the answer ({status}) is none of Rollcall's; is it the API port of a controller?"))
}

/// RFC 9457.
fn problem(status: StatusCode, value: &Value) -> Failure {
    let Some(detail) = value["detail"].as_str().map(crate::paint::harmless) else { return no_rollcall(status) };
    let detail = match remedy(&value["remedy"]) {
        Some(remedy) => format!("{detail}; {remedy}"),
        None => detail,
    };
    match value["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default() {
        "not-found" | "none-callable" => Failure::NotFound(detail),
        "bad-request" => Failure::Usage(detail),
        "unauthenticated" | "forbidden" => Failure::Denied(detail),
        "unavailable" => Failure::Unreachable(detail),
        _ => Failure::Refused(detail),
    }
}

/// What helps on: by a command where there is one, else as the server says it.
fn remedy(value: &Value) -> Option<String> {
    match value["action"].as_str()? {
        "list-services" => Some("`kubectl rollcall get` lists those that there are".to_owned()),
        "explain-service" => Some("`kubectl rollcall explain` says why, and lists all endpoints".to_owned()),
        _ => {
            let text = |name: &str| value[name].as_str().map(crate::paint::harmless);
            Some(format!("{} {}", text("request")?, text("words")?))
        }
    }
}

/// A path of segments and parameters, each encoded.
pub fn path<'a>(
    segments: impl IntoIterator<Item = &'a str>,
    query: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.push_str(&encoded(segment));
    }
    for (at, (name, value)) in query.into_iter().enumerate() {
        path.push(if at == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        path.push_str(&encoded(value));
    }
    path
}

/// RFC 3986 §2.1.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_path_may_not_hold_is_encoded() {
        let made = path(["v1", "a/b?"], [("tag", "x y"), ("origin", "ServiceRegistration/vm")]);
        assert_eq!(made, "/v1/a%2Fb%3F?tag=x%20y&origin=ServiceRegistration%2Fvm");
    }

    #[test]
    fn problems_become_exit_codes() {
        let code = |kind: &str| {
            let body = json!({ "type": format!("https://rollcall.dev/problems/{kind}"), "detail": "why" });
            problem(StatusCode::BAD_REQUEST, &body).code()
        };
        let codes = ["not-found", "none-callable", "bad-request", "unavailable", "forbidden", "too-large"].map(code);
        assert_eq!(codes, [1, 1, 2, 3, 4, 5]);
        let told = |action: &str| {
            let remedy = json!({ "action": action, "request": "GET /openapi.json", "words": "lists what there is" });
            let body = json!({ "type": "/not-found", "detail": "no service shop/nothing", "remedy": remedy });
            problem(StatusCode::NOT_FOUND, &body).to_string()
        };
        let ours = "no service shop/nothing; `kubectl rollcall get` lists those that there are";
        assert_eq!(told("list-services"), ours);
        // Such as a later release may have.
        assert_eq!(told("else"), "no service shop/nothing; GET /openapi.json lists what there is");
        assert_eq!(problem(StatusCode::BAD_GATEWAY, &Value::Null).code(), 3);
    }
}
