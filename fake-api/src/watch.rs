//! `watch`: what happened after a version, told when it becomes visible.

use bytes::Bytes;
use futures::stream;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch as pulses;
use tokio::time::{Duration, Instant};

use crate::asked::Asked;
use crate::fault::Refusal;
use crate::read::selected;
use crate::server::{FakeApi, Pulse};
use crate::service::{Answer, Error};

/// One watch under way.
struct Watch {
    api: FakeApi,
    asked: Asked,
    pulses: pulses::Receiver<Pulse>,
    /// How it was when the watch began.
    began: Pulse,
    /// Told up to this version.
    at: u64,
    /// It ends then by itself.
    until: Option<Instant>,
    ended: bool,
}

enum Next {
    Line(Bytes),
    Wait(Option<Instant>),
}

pub(crate) fn watch(api: &FakeApi, asked: &Asked) -> Answer {
    let seconds = asked.param("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let mut pulses = api.pulses();
    let began = *pulses.borrow_and_update();
    let version = asked.param("resourceVersion").filter(|version| !version.is_empty() && *version != "0");
    let at = version.map_or_else(|| api.store().version, |version| version.parse().unwrap_or(0));
    let until = seconds.map(|seconds| Instant::now() + seconds);
    let watch = Watch { api: api.clone(), asked: asked.clone(), pulses, began, at, until, ended: false };
    let lines = stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) });
    Response::new(StreamBody::new(lines).boxed_unsync())
}

// === impl Watch ===

impl Watch {
    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        loop {
            if self.ended {
                return None;
            }
            let now = *self.pulses.borrow_and_update();
            if now.broken != self.began.broken {
                self.ended = true;
                return Some(Err("connection reset by peer".into()));
            }
            match self.look() {
                Next::Line(line) => return Some(Ok(Frame::data(line))),
                Next::Wait(_) if now.bookmarks != self.began.bookmarks => {
                    self.began.bookmarks = now.bookmarks;
                    if self.asked.param("allowWatchBookmarks") == Some("true") {
                        return Some(Ok(Frame::data(self.bookmark())));
                    }
                }
                Next::Wait(visible) => {
                    let wake = [visible, self.until].into_iter().flatten().min();
                    tokio::select! {
                        changed = self.pulses.changed() => if changed.is_err() { return None },
                        () = sleep_until(wake) => self.ended = self.until.is_some_and(|until| until <= Instant::now()),
                    }
                }
            }
        }
    }

    /// What is to be told now, or until when there is nothing.
    fn look(&mut self) -> Next {
        let store = self.api.store();
        if self.at < store.compacted {
            self.ended = true;
            return Next::Line(line("ERROR", &json!(Refusal::expired().status())));
        }
        // Sorted by version: the log is only ever added to.
        let from = store.log.partition_point(|happened| happened.version <= self.at);
        for happened in &store.log[from..] {
            if happened.visible > Instant::now() {
                return Next::Wait(Some(happened.visible));
            }
            self.at = happened.version;
            if happened.place.is_in(&self.asked) && selected(&self.asked, &happened.object) {
                return Next::Line(line(happened.what, &happened.object));
            }
        }
        Next::Wait(None)
    }

    fn bookmark(&self) -> Bytes {
        let metadata = json!({ "resourceVersion": self.at.to_string() });
        line("BOOKMARK", &json!({ "apiVersion": self.asked.api_version, "kind": "Bookmark", "metadata": metadata }))
    }
}

/// An event, its type first as the API server has it: who reads the object as it is written has to know before what it is.
fn line(what: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{what}\",\"object\":{object}}}\n").into()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_first_what_it_is() {
        let told = line("ADDED", &json!({ "metadata": { "name": "a" } }));
        assert_eq!(&*told, b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n");
    }
}
