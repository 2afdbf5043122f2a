//! `resolve`: one endpoint to call.

use crate::args::{Output, Reach};
use crate::ask::path;
use crate::failure::Failure;
use crate::output::{for_tools, print};
use crate::reach;

/// What the endpoint should be.
pub(super) struct Wanted {
    pub(super) zone: Option<String>,
    pub(super) region: Option<String>,
    pub(super) tag: Vec<String>,
    pub(super) port: Option<String>,
}

pub(super) async fn run(reach: &Reach, service: &str, wanted: &Wanted, output: Output) -> Result<(), Failure> {
    let namespace = reach::namespace(reach).await;
    let one = |name: &'static str, value: &'_ Option<String>| value.clone().map(|value| (name, value));
    let tags = wanted.tag.iter().map(|tag| ("tag", tag.clone()));
    let ones = [one("zone", &wanted.zone), one("region", &wanted.region), one("port", &wanted.port)];
    let query: Vec<_> = tags.chain(ones.into_iter().flatten()).collect();
    let query = query.iter().map(|(name, value)| (*name, value.as_str()));
    let asked = path(["v1", "namespaces", &namespace, "services", service, "resolve"], query);
    let answer = reach::controller(reach).await?.get(&asked).await?;
    let text = match for_tools(&answer, output)? {
        Some(text) => text,
        None if output == Output::Wide => {
            let (endpoint, origin) = (&answer["endpoint"]["name"], &answer["endpoint"]["origin"]);
            let words = [&answer["address"], endpoint, origin].map(|value| value.as_str().unwrap_or("-").to_owned());
            format!("{}\n", words.join("   "))
        }
        None => format!("{}\n", answer["address"].as_str().unwrap_or_default()),
    };
    print(&text)
}
