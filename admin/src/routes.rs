//! The pages that a process adds to the admin server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

/// What is asked of a page.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The whole path.
    pub path: &'a str,
    /// The path below the route: what follows its last slash, or nothing.
    pub rest: &'a str,
    /// The query, without the question mark, as it was sent.
    pub query: &'a str,
    /// What was sent with a PUT; empty otherwise.
    pub body: &'a [u8],
}

/// What a page answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// Pages by path. A route that ends in a slash answers for everything below it; the longest route wins.
///
/// A page is computed on the server's task: it must not block.
#[derive(Clone, Default)]
pub struct Routes {
    pages: BTreeMap<&'static str, Page>,
    /// Pages below `/debug/` that are for everybody.
    harmless: BTreeSet<&'static str>,
    /// What PUT does, by the exact path.
    changes: BTreeMap<&'static str, Page>,
}

type Page = Arc<dyn Fn(Ask<'_>) -> Reply + Send + Sync>;

// === impl Reply ===

impl Reply {
    /// 200 with plain text.
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// 200 with JSON that the caller has serialised.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self { content_type: "application/json", ..Self::text(body) }
    }

    /// 404 with a sentence that says what there is instead.
    pub fn not_found(sentence: impl Into<String>) -> Self {
        Self::text(sentence.into() + "\n").with_status(StatusCode::NOT_FOUND)
    }

    /// The same reply under another status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

// === impl Routes ===

impl Routes {
    /// Adds a page. The same path again replaces it.
    pub fn with(mut self, path: &'static str, page: impl Fn(Ask<'_>) -> Reply + Send + Sync + 'static) -> Self {
        self.pages.insert(path, Arc::new(page));
        self
    }

    /// Adds a page that tells nothing which is not for everybody, also below `/debug/`.
    pub fn with_harmless(
        mut self,
        path: &'static str,
        page: impl Fn(Ask<'_>) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.harmless.insert(path);
        self.with(path, page)
    }

    /// Adds what a PUT to this path does. The server asks it for those only whom its `Access` admits.
    pub fn with_put(mut self, path: &'static str, change: impl Fn(Ask<'_>) -> Reply + Send + Sync + 'static) -> Self {
        self.changes.insert(path, Arc::new(change));
        self
    }

    /// The paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.pages.keys().copied()
    }

    pub(crate) fn reply(&self, path: &str, query: &str) -> Option<Reply> {
        let covers = |route: &str| path == route || route.ends_with('/') && path.starts_with(route);
        let (route, page) =
            self.pages.iter().filter(|(route, _)| covers(route)).max_by_key(|(route, _)| route.len())?;
        Some(page(Ask { path, rest: &path[route.len()..], query, body: &[] }))
    }

    pub(crate) fn is_harmless(&self, path: &str) -> bool {
        self.harmless.contains(path)
    }

    pub(crate) fn takes_put(&self, path: &str) -> bool {
        self.changes.contains_key(path)
    }

    pub(crate) fn put(&self, path: &str, query: &str, body: &[u8]) -> Option<Reply> {
        Some(self.changes.get(path)?(Ask { path, rest: "", query, body }))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.paths()).finish()
    }
}
