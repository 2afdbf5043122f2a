//! `beat`: says once that an endpoint lives.

use crate::args::{Output, Reach};
use crate::ask::path;
use crate::failure::Failure;
use crate::output::{for_tools, print};
use crate::reach;

pub(super) async fn run(reach: &Reach, registration: &str, endpoint: &str, output: Output) -> Result<(), Failure> {
    let namespace = reach::namespace(reach).await;
    let asked =
        path(["v1", "namespaces", &namespace, "registrations", registration, "endpoints", endpoint, "beat"], []);
    let answer = reach::controller(reach).await?.put(&asked).await?;
    if let Some(text) = for_tools(&answer, output)? {
        return print(&text);
    }
    // The fields are few and flat.
    let fields = answer.as_object().into_iter().flatten();
    let shown = fields.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => format!("{name} {value}"),
    });
    print(&format!("{registration}/{endpoint} beats: {}\n", shown.collect::<Vec<_>>().join(", ")))
}
