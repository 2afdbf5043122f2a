//! The table of what is answered.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::Method;

use super::answer::Answer;
use super::ask::Ask;
use super::path::{Names, Pattern};
use super::problem::Problem;

/// Routes, in the order in which they were added. Cheap to clone once complete.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    table: Vec<Route>,
    waiting: Arc<AtomicU64>,
}

/// One method of one path.
#[derive(Clone)]
pub struct Route {
    method: Method,
    pattern: Pattern,
    admits: Admits,
    body_bytes_max: usize,
    handler: Handler,
}

/// Who is let through to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// Everybody, without a token.
    Everybody,
    /// Whoever is known; the handler asks for more, if it does.
    Known,
    /// Who has this right in the `{namespace}` of the path, or in all of them if it has none.
    Right {
        /// `get`.
        verb: &'static str,
        /// With its subresource: `serviceregistrations/beat`.
        resource: &'static str,
        /// The name in the path that is the object's: `service`. Empty: of any object.
        of: &'static str,
    },
}

/// What answers.
pub(super) type Handler = Arc<dyn Fn(Ask) -> Reply + Send + Sync>;
/// An answer under way.
pub(super) type Reply = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

/// What the path and the method of a request come to.
pub(super) enum Found {
    Route(usize, Names),
    /// The path is there, with these methods.
    OtherMethods(String),
    Nothing,
}

// === impl Route ===

impl Route {
    /// GET, and HEAD, of a path such as `/v1/namespaces/{namespace}/services`, for whoever is known until
    /// [`Route::admits`] says otherwise.
    pub fn get<F>(path: &'static str, handler: impl Fn(Ask) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Answer, Problem>> + Send + 'static,
    {
        Self::new(Method::GET, path, 0, handler)
    }

    /// PUT of a path, with a body of at most so many bytes.
    pub fn put<F>(path: &'static str, body_bytes_max: usize, handler: impl Fn(Ask) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Answer, Problem>> + Send + 'static,
    {
        Self::new(Method::PUT, path, body_bytes_max, handler)
    }

    /// DELETE of a path.
    pub fn delete<F>(path: &'static str, handler: impl Fn(Ask) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Answer, Problem>> + Send + 'static,
    {
        Self::new(Method::DELETE, path, 0, handler)
    }

    fn new<F>(
        method: Method,
        path: &'static str,
        body_bytes_max: usize,
        handler: impl Fn(Ask) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Answer, Problem>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |ask| Box::pin(handler(ask)));
        Self { method, pattern: Pattern::new(path), admits: Admits::Known, body_bytes_max, handler }
    }

    /// For those alone.
    pub fn admits(self, admits: Admits) -> Self {
        Self { admits, ..self }
    }

    pub(super) fn who(&self) -> Admits {
        self.admits
    }

    pub(super) fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    pub(super) fn handler(&self) -> &Handler {
        &self.handler
    }

    /// Its path, with the names in braces.
    pub fn path(&self) -> &'static str {
        self.pattern.text()
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.method
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.pattern.text(), self.admits)
    }
}

// === impl Routes ===

impl Routes {
    /// With a further one.
    pub fn with(mut self, route: Route) -> Self {
        self.table.push(route);
        self
    }

    /// Of which so many requests wait for an answer to change, as whoever answers them counts.
    pub(super) fn of_which_wait(self, waiting: &Arc<AtomicU64>) -> Self {
        Self { waiting: Arc::clone(waiting), ..self }
    }

    /// See [`Self::of_which_wait`].
    pub(super) fn waiting(&self) -> &Arc<AtomicU64> {
        &self.waiting
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.table.iter()
    }

    /// The route at that place.
    pub(super) fn at(&self, at: usize) -> &Route {
        &self.table[at]
    }

    pub(super) fn find(&self, method: &Method, path: &str) -> Found {
        // What may be read may be asked for without its body.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let mut others = Vec::new();
        for (at, route) in self.table.iter().enumerate() {
            if let Some(names) = route.pattern.names(path) {
                if route.method == method {
                    return Found::Route(at, names);
                }
                others.push(route.method.as_str());
            }
        }
        if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
    }
}
