//! `streams`: who reads the discovery streams of all replicas.

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
    let table = if output == Output::Wide { by_type(&answer) } else { by_stream(&answer) };
    let silent = silent(&answer);
    if table.is_empty() && silent.is_empty() {
        let replica = harmless(text(&answer["replica"]));
        return Err(Failure::NotFound(format!("nobody reads a stream, says replica {replica}")));
    }
    let table = if table.is_empty() { String::new() } else { table.render() };
    print(&format!("{table}{silent}"))
}

/// A line for each replica that did not say who reads its streams.
fn silent(answer: &Value) -> String {
    let line = |of: &Value| {
        let (replica, why) = (harmless(text(&of["replica"])), harmless(text(&of["why"])));
        format!("Not known of replica {replica}: {why}\n")
    };
    list(&answer["silent"]).iter().map(line).collect()
}

/// The replica of a stream. One of an earlier release tells of its own alone.
fn replica<'a>(answer: &'a Value, stream: &'a Value) -> &'a str {
    text(stream.get("replica").unwrap_or_else(|| &answer["replica"]))
}

/// A line for each stream.
fn by_stream(answer: &Value) -> Table {
    let mut table =
        Table::new(&["REPLICA", "NODE", "WHO", "CLIENT", "ZONE", "ADDRESS", "AGE", "SENT", "HELD", "REFUSED"]);
    for stream in list(&answer["streams"]) {
        let held = list(&stream["types"]).iter().filter_map(|of| of["held"].as_u64()).sum::<u64>();
        table.push(vec![
            replica(answer, stream).into(),
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
    let mut table = Table::new(&["REPLICA", "NODE", "WHO", "VARIANT", "TYPE", "HELD", "SENT", "TAKEN", "REFUSED"]);
    for stream in list(&answer["streams"]) {
        for of in list(&stream["types"]) {
            table.push(vec![
                replica(answer, stream).into(),
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
        let of = |replica: &str| {
            let mut stream = stream.clone();
            stream["replica"] = replica.into();
            stream
        };
        let silent = json!([{ "replica": "controller-2", "why": "it did not answer" }]);
        json!({ "replica": "controller-0", "streams": [of("controller-0"), of("controller-1"), stream], "silent": silent })
    }

    #[test]
    fn a_stream_is_one_line_with_what_it_refused_last() {
        let said = by_stream(&answer()).render();
        for word in ["ServiceAccount shop/till", "2h", "123 kB", "2m ago: no lb_policy"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let replicas = said.lines().skip(1).map(|line| line.split_whitespace().next().unwrap_or_default());
        // The last is of an earlier release, which does not say it.
        assert_eq!(replicas.collect::<Vec<_>>(), ["controller-0", "controller-1", "controller-0"]);
        assert_eq!(silent(&answer()), "Not known of replica controller-2: it did not answer\n");
    }

    #[test]
    fn wide_tells_each_type() {
        let said = by_type(&answer()).render();
        assert!(said.contains("Cluster") && said.contains("5s") && said.contains("4s"), "{said}");
    }
}
