//! Who is served by this replica, as JSON: each stream with what its client holds, took last, and refused last.

use rollcall_admin::Reply;
use rollcall_xds::server::{Description, TypeDescription};
use rollcall_xds::stream::Variant;
use serde_json::{Value, json};

/// Answers `/debug/streams`.
pub fn page(replica: &str, streams: &[Description]) -> Reply {
    Reply::json(format!("{:#}\n", list(replica, streams)))
}

/// What is said of them, the oldest first.
pub fn list(replica: &str, streams: &[Description]) -> Value {
    json!({ "replica": replica, "streams": streams.iter().map(stream).collect::<Vec<_>>() })
}

fn stream(of: &Description) -> Value {
    json!({
        "node": of.node,
        "agent": of.agent,
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

    #[test]
    fn a_stream_is_told_with_what_it_refused() {
        let nack = Some((Duration::from_secs(3), "no lb_policy".to_owned()));
        let clusters = TypeDescription { ty: ResourceType::Cluster, held: 2, sent: None, ack: None, nack };
        let said = stream(&Description {
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
        });
        assert_eq!(said["identity"], "ServiceAccount shop/till");
        assert_eq!((&said["variant"], &said["age_s"]), (&json!("state-of-the-world"), &json!(60)));
        let nack = json!({ "s_ago": 3, "words": "no lb_policy" });
        assert_eq!((&said["types"][0]["held"], &said["types"][0]["last_nack"]), (&json!(2), &nack));
    }
}
