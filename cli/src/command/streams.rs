//! `streams`: who reads the discovery stream of the replica that answers.

use serde_json::Value;

use super::get::{list, text};
use crate::args::{Output, Reach};
use crate::ask::path;
use crate::failure::Failure;
use crate::output::{for_tools, print};
use crate::paint::harmless;
use crate::reach;
use crate::table::Table;

pub(super) async fn run(reach: &Reach, output: Output) -> Result<(), Failure> {
    let answer = reach::controller(reach).await?.get(&path(["v1", "streams"], [])).await?;
    if let Some(text) = for_tools(&answer, output)? {
        return print(&text);
    }
    let replica = harmless(text(&answer["replica"]));
    let table = if output == Output::Wide { by_type(&answer) } else { by_stream(&answer) };
    if table.is_empty() {
        return Err(Failure::NotFound(format!("nobody reads the stream of replica {replica}")));
    }
    print(&format!("Replica {replica}\n{}", table.render()))
}

/// A line for each stream.
fn by_stream(answer: &Value) -> Table {
    let mut table = Table::new(&["NODE", "WHO", "CLIENT", "ZONE", "ADDRESS", "AGE", "SENT", "HELD", "REFUSED"]);
    for stream in list(&answer["streams"]) {
        let held = list(&stream["types"]).iter().filter_map(|of| of["held"].as_u64()).sum::<u64>();
        table.push(vec![
            text(&stream["node"]).into(),
            text(&stream["identity"]).into(),
            text(&stream["agent"]).into(),
            text(&stream["zone"]).into(),
            text(&stream["address"]).into(),
            ago(&stream["age_s"]).into(),
            bytes(stream["sent_bytes"].as_u64().unwrap_or_default()).into(),
            held.to_string().into(),
            last_refusal(stream).into(),
        ]);
    }
    table
}

/// A line for each type of each stream.
fn by_type(answer: &Value) -> Table {
    let mut table = Table::new(&["NODE", "WHO", "VARIANT", "TYPE", "HELD", "SENT", "TAKEN", "REFUSED"]);
    for stream in list(&answer["streams"]) {
        for of in list(&stream["types"]) {
            table.push(vec![
                text(&stream["node"]).into(),
                text(&stream["identity"]).into(),
                text(&stream["variant"]).into(),
                text(&of["type"]).into(),
                of["held"].as_u64().unwrap_or_default().to_string().into(),
                ago(&of["last_sent_s_ago"]).into(),
                ago(&of["last_ack_s_ago"]).into(),
                refusal(of).unwrap_or_default().into(),
            ]);
        }
    }
    table
}

fn last_refusal(stream: &Value) -> String {
    let refused = list(&stream["types"]).iter().filter(|of| !of["last_nack"].is_null());
    let last = refused.min_by_key(|of| of["last_nack"]["s_ago"].as_u64());
    last.and_then(refusal).unwrap_or_default()
}

fn refusal(of: &Value) -> Option<String> {
    let nack = &of["last_nack"];
    Some(format!("{} ago: {}", ago(&nack["s_ago"]), nack["words"].as_str()?))
}

/// As kubectl says ages.
fn ago(seconds: &Value) -> String {
    match seconds.as_u64() {
        None => String::new(),
        Some(s @ 0..120) => format!("{s}s"),
        Some(s @ 120..7200) => format!("{}m", s / 60),
        Some(s @ 7200..172_800) => format!("{}h", s / 3600),
        Some(s) => format!("{}d", s / 86_400),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        let nack = json!({ "s_ago": 130, "words": "no lb_policy" });
        let clusters =
            json!({ "type": "Cluster", "held": 3, "last_sent_s_ago": 5, "last_ack_s_ago": 4, "last_nack": nack });
        let stream = json!({
            "node": "till-0", "identity": "ServiceAccount shop/till", "agent": "envoy", "zone": "a", "address": "10.1.0.4",
            "variant": "delta", "age_s": 7300, "sent_bytes": 123_456, "types": [clusters],
        });
        json!({ "replica": "controller-0", "streams": [stream] })
    }

    #[test]
    fn a_stream_is_one_line_with_what_it_refused_last() {
        let said = by_stream(&answer()).render();
        for word in ["ServiceAccount shop/till", "2h", "123 kB", "2m ago: no lb_policy"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert_eq!(said.lines().count(), 2);
    }

    #[test]
    fn wide_tells_each_type() {
        let said = by_type(&answer()).render();
        assert!(said.contains("Cluster") && said.contains("5s") && said.contains("4s"), "{said}");
    }
}
