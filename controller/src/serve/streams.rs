//! Who is served, as JSON: each stream with what its client holds, took last, and refused last; of this replica, or of all.

use bytes::Bytes;
use rollcall_admin::Reply;
use rollcall_catalog::model::Name;
use rollcall_xds::server::{Description, TypeDescription};
use rollcall_xds::stream::Variant;
use serde_json::{Value, json};

/// What each of the other replicas said, or why it did not.
pub type Said = Vec<(Name, Result<Vec<Bytes>, String>)>;

/// Answers `/debug/streams`.
pub fn page(replica: &str, streams: &[Description]) -> Reply {
    Reply::json(format!("{:#}\n", list(replica, streams)))
}

/// What is said of them, the oldest first.
pub fn list(replica: &str, streams: &[Description]) -> Value {
    json!({ "replica": replica, "streams": streams.iter().map(stream).collect::<Vec<_>>() })
}

/// The same with what other replicas said, or why they did not: each stream says whose it is.
pub fn list_of_all(replica: &str, streams: &[Description], others: Said) -> Value {
    let mut all: Vec<_> = streams.iter().map(|of| of_replica(replica, stream(of))).collect();
    let mut silent = Vec::new();
    for (name, said) in others {
        let read = |one: &Bytes| serde_json::from_slice::<Value>(one).ok().filter(Value::is_object);
        match said {
            Ok(said) => all.extend(said.iter().filter_map(read).map(|one| of_replica(&name, one))),
            Err(why) => silent.push(json!({ "replica": &*name, "why": why })),
        }
    }
    json!({ "replica": replica, "streams": all, "silent": silent })
}

fn of_replica(replica: &str, mut stream: Value) -> Value {
    stream["replica"] = replica.into();
    stream
}

/// One stream.
pub fn stream(of: &Description) -> Value {
    json!({
        "node": of.node,
        "agent": of.agent,
        "region": of.region,
        "zone": of.zone,
        "identity": of.identity,
        "address": of.address.to_string(),
        "variant": match of.variant {
            Variant::Delta => "delta",
            Variant::StateOfTheWorld => "state-of-the-world",
        },
        "age_s": of.age.as_secs(),
        "sent_bytes": of.bytes,
        "types": of.types.iter().map(one_type).collect::<Vec<_>>(),
    })
}

fn one_type(of: &TypeDescription) -> Value {
    json!({
        "type": of.ty.label(),
        "held": of.held,
        "last_sent_s_ago": of.sent.map(|ago| ago.as_secs()),
        "last_ack_s_ago": of.ack.map(|ago| ago.as_secs()),
        "last_nack": of.nack.as_ref().map(|(ago, words)| json!({ "s_ago": ago.as_secs(), "words": words })),
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use rollcall_xds::resource::ResourceType;

    use super::*;
    use crate::api::questions::document;

    #[test]
    fn a_stream_is_told_with_what_it_refused() {
        let one = description();
        let said = stream(&one);
        assert_eq!(said["identity"], "ServiceAccount shop/till");
        assert_eq!((&said["variant"], &said["age_s"]), (&json!("state-of-the-world"), &json!(60)));
        let nack = json!({ "s_ago": 3, "words": "no lb_policy" });
        assert_eq!((&said["types"][0]["held"], &said["types"][0]["last_nack"]), (&json!(2), &nack));
    }

    #[test]
    fn the_answer_is_as_the_document_says_and_the_document_tells_all_of_it() {
        let others = vec![(Name::from("b"), Ok(vec![])), (Name::from("c"), Err("late".to_owned()))];
        let said = list_of_all("a", &[description()], others);
        document::holds("/v1/streams", &said);
        let of_stream = document::properties("Stream");
        assert!(said["streams"][0].as_object().expect("a stream").keys().eq(of_stream.keys()));
    }

    #[test]
    fn streams_of_all_say_whose_they_are_and_who_did_not_answer_is_named() {
        let theirs = vec![Bytes::from(r#"{"node":"n","replica":"forged"}"#), Bytes::from("no JSON")];
        let others = vec![(Name::from("b"), Ok(theirs)), (Name::from("c"), Err("late".to_owned()))];
        let said = list_of_all("a", &[description()], others);
        let whose = said["streams"].as_array().expect("a list").iter().map(|of| of["replica"].clone());
        assert_eq!(whose.collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(said["silent"], json!([{ "replica": "c", "why": "late" }]));
    }

    fn description() -> Description {
        let nack = Some((Duration::from_secs(3), "no lb_policy".to_owned()));
        let clusters = TypeDescription { ty: ResourceType::Cluster, held: 2, sent: None, ack: None, nack };
        Description {
            address: Ipv4Addr::LOCALHOST.into(),
            identity: "ServiceAccount shop/till".to_owned(),
            variant: Variant::StateOfTheWorld,
            node: "pod".to_owned(),
            agent: "gRPC C-core".to_owned(),
            region: String::new(),
            zone: "a".to_owned(),
            age: Duration::from_secs(60),
            bytes: 17,
            types: vec![clusters],
        }
    }
}
