//! What kube's errors say, in the words of their cause.

use std::error::Error;

use crate::kubernetes::denial::Denial;

/// The API server's own sentence, which right is missing, or the innermost cause of what kept us from it.
pub(crate) fn words(error: &kube::Error) -> String {
    if let Some(denial) = Denial::of(error) {
        return denial.to_string();
    }
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    // What wraps the cause names only the layer of the client that failed.
    let outer: &dyn Error = error.source().unwrap_or(error);
    let mut cause = outer;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let (outer, inner) = (outer.to_string(), cause.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}
