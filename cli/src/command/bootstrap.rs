//! `bootstrap`: a ready file for a client of the stream.

use crate::args::{Bootstrapped, Reach};
use crate::ask::path;
use crate::failure::Failure;
use crate::output::print;
use crate::reach;

pub(super) async fn run(
    reach: &Reach,
    client: Bootstrapped,
    said: &[(&'static str, Option<String>)],
) -> Result<(), Failure> {
    let file = match client {
        Bootstrapped::Grpc => "grpc",
        Bootstrapped::Envoy => "envoy",
    };
    let query = said.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let answer = reach::controller(reach).await?.get(&path(["bootstrap", file], query)).await?;
    print(&format!("{answer:#}\n"))
}
