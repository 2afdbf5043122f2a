//! `watch`: the endpoints of a service, and each change of them, by long polls.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::get::{endpoints_path, endpoints_table, joined, list, text};
use crate::args::{Filter, Output, Reach};
use crate::failure::Failure;
use crate::output::{for_tools, print};
use crate::paint::{Paint, harmless};
use crate::reach;

/// How long each poll waits, and what its answer may take beyond that.
const WAIT: &str = "60s";
const WITHIN: Duration = Duration::from_secs(75);
/// Until the next try when a controller that was reached once cannot be reached.
const PAUSE: Duration = Duration::from_secs(2);
/// The version of a service that is not there.
const ABSENT: &str = "0000000000000000";

/// What people are told of an endpoint.
type Seen = BTreeMap<String, String>;

pub(super) async fn run(reach: &Reach, service: &str, filter: &Filter, output: Output) -> Result<(), Failure> {
    let namespace = reach::namespace(reach).await;
    let mut asker = reach::controller(reach).await?;
    let (mut version, mut seen): (Option<String>, Option<Seen>) = (None, None);
    loop {
        let more: Vec<(&str, &str)> =
            version.iter().flat_map(|version| [("wait", WAIT), ("version", version.as_str())]).collect();
        let asked = endpoints_path(&namespace, service, filter, &more);
        let answer = match asker.get_within(&asked, WITHIN).await {
            Ok(answer) => Some(answer),
            Err(Failure::NotFound(_)) => None,
            Err(Failure::Unreachable(why)) if version.is_some() => {
                eprintln!("{why}; trying again");
                asker = again(reach).await?;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let now = answer.as_ref().map_or(ABSENT, |answer| text(&answer["version"])).to_owned();
        if version.as_ref() != Some(&now) {
            show(answer.as_ref(), &mut seen, output)?;
        }
        version = Some(now);
    }
}

/// Until it is there again, or says that we may not.
async fn again(reach: &Reach) -> Result<crate::ask::Asker, Failure> {
    loop {
        tokio::time::sleep(PAUSE).await;
        match reach::controller(reach).await {
            Err(Failure::Unreachable(_)) => {}
            outcome => return outcome,
        }
    }
}

fn show(answer: Option<&Value>, seen: &mut Option<Seen>, output: Output) -> Result<(), Failure> {
    let empty = Value::Null;
    let answer = answer.unwrap_or(&empty);
    if let Some(text) = for_tools(answer, output)? {
        return print(&text);
    }
    let now = lines(answer);
    let text = match seen {
        None if answer.is_null() => "the service is not there yet\n".to_owned(),
        None => endpoints_table(answer, output == Output::Wide, Paint::of_stdout()).render(),
        Some(before) => differences(before, &now),
    };
    *seen = Some(now);
    print(&text)
}

fn lines(answer: &Value) -> Seen {
    let line = |endpoint: &Value| {
        let callable = if endpoint["callable"] == true { "callable" } else { "not callable" };
        let key = format!("{} ({})", text(&endpoint["name"]), text(&endpoint["origin"]));
        let said = format!("{}, {callable}, {}", text(&endpoint["health"]), joined(&endpoint["addresses"]));
        (harmless(&key), harmless(&said))
    };
    list(&answer["endpoints"]).iter().map(line).collect()
}

fn differences(before: &Seen, now: &Seen) -> String {
    let gone = before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("- {name}\n"));
    let is = now.iter().filter_map(|(name, said)| match before.get(name) {
        None => Some(format!("+ {name}: {said}\n")),
        Some(was) if was != said => Some(format!("~ {name}: {said}\n")),
        Some(_) => None,
    });
    let told: String = gone.chain(is).collect();
    if told.is_empty() { "~ ports, weights, tags or metadata\n".to_owned() } else { told }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_came_went_and_changed_is_a_line_each() {
        let of = |endpoints: &[(&str, &str)]| {
            let endpoint = |(name, health): &(&str, &str)| json!({ "name": name, "health": health, "callable": true, "addresses": ["192.0.2.1"], "origin": "X" });
            lines(&json!({ "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>() }))
        };
        let told = differences(&of(&[("a", "Passing"), ("b", "Passing")]), &of(&[("b", "Critical"), ("c", "Passing")]));
        let expected = "- a (X)\n~ b (X): Critical, callable, 192.0.2.1\n+ c (X): Passing, callable, 192.0.2.1\n";
        assert_eq!(told, expected);
    }
}
