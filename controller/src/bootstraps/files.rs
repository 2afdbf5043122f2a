//! What is in such a ConfigMap.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::flags::Place;
use crate::api::bootstrap::{self, Stream, Wanted};

/// What is kept where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ConfigMaps.
    pub maps: Vec<Place>,
    /// Where pods mount them; without a slash at the end.
    pub path: String,
    /// Where they find the stream.
    pub stream: Stream,
    /// Whether they have to say who they are.
    pub token: bool,
    /// Where the authorities come from that they trust; `None` where the stream has no TLS.
    pub trust: Option<Trust>,
}

/// Where authorities are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The ConfigMap of the stream's own authority, in its `ca.crt`.
    Own(Place),
    /// A file.
    File(PathBuf),
}

/// The keys that are ours. Others in the ConfigMap are left alone.
pub const KEYS: [&str; 4] = [GRPC, SERVERS, ENVOY, CA];

/// For `GRPC_XDS_BOOTSTRAP`.
const GRPC: &str = "grpc.json";
/// `xds_servers` of it alone, for a pod that says in a bootstrap of its own where it is.
const SERVERS: &str = "servers.json";
/// For `envoy --config-path`.
const ENVOY: &str = "envoy.json";
/// The authorities, as in the authority's own ConfigMap.
pub const CA: &str = "ca.crt";
/// The projected token beside them.
const TOKEN: &str = "token";

// === impl Settings ===

impl Settings {
    /// What clients in that namespace are given, which trust these authorities.
    pub fn files(&self, namespace: &str, ca: Option<&str>) -> BTreeMap<String, String> {
        let wanted = Wanted {
            server: self.stream.server.clone(),
            // All pods of the namespace share the file; their addresses tell them apart.
            id: namespace.to_owned(),
            region: String::new(),
            zone: String::new(),
            ca: format!("{}/{CA}", self.path),
            token: self.token.then(|| format!("{}/{TOKEN}", self.path)),
            certificate: None,
        };
        let text = |value: serde_json::Value| format!("{value:#}\n");
        let grpc = bootstrap::grpc(&self.stream, &wanted);
        let mut files = BTreeMap::from([
            // On one line: it becomes part of a variable.
            (SERVERS.to_owned(), grpc["xds_servers"].to_string()),
            (GRPC.to_owned(), text(grpc)),
            (ENVOY.to_owned(), text(bootstrap::envoy(&self.stream, &wanted))),
        ]);
        files.extend(ca.map(|ca| (CA.to_owned(), ca.to_owned())));
        files
    }
}

/// The data of a ConfigMap with these files in place of ours; `None` where that changes nothing.
pub fn brought_up_to(
    data: Option<&BTreeMap<String, String>>,
    files: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let mut now = data.cloned().unwrap_or_default();
    now.retain(|key, _| !KEYS.contains(&&**key));
    now.extend(files.clone());
    (data != Some(&now)).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(tls: bool) -> Settings {
        Settings {
            maps: Vec::new(),
            path: "/etc/rollcall".to_owned(),
            stream: Stream { server: "rollcall-controller.rollcall-system.svc:18000".to_owned(), tls },
            token: tls,
            trust: None,
        }
    }

    #[test]
    fn the_files_name_each_other_where_they_are_mounted() {
        let files = settings(true).files("shop", Some("PEM"));
        assert_eq!(files.keys().collect::<Vec<_>>(), ["ca.crt", "envoy.json", "grpc.json", "servers.json"]);
        let grpc: serde_json::Value = serde_json::from_str(&files[GRPC]).expect("JSON");
        let server = &grpc["xds_servers"][0];
        assert_eq!(server["channel_creds"][0]["config"]["ca_certificate_file"], "/etc/rollcall/ca.crt");
        assert_eq!(server["call_creds"][0]["config"]["jwt_token_file"], "/etc/rollcall/token");
        assert_eq!(grpc["node"]["id"], "shop");
        let servers: serde_json::Value = serde_json::from_str(&files[SERVERS]).expect("JSON");
        assert_eq!((&servers, files[SERVERS].lines().count()), (&grpc["xds_servers"], 1));
        let plain = settings(false).files("shop", None);
        assert!(!plain.contains_key(CA) && plain[GRPC].contains("insecure") && !plain[ENVOY].contains("token"));
    }

    #[test]
    fn what_is_not_ours_stays_and_what_is_as_it_should_be_is_not_written() {
        let files = settings(true).files("shop", Some("PEM"));
        let theirs = BTreeMap::from([("theirs".to_owned(), "1".to_owned()), (CA.to_owned(), "old".to_owned())]);
        let now = brought_up_to(Some(&theirs), &files).expect("it differs");
        assert_eq!((&*now["theirs"], &*now[CA]), ("1", "PEM"));
        assert_eq!(brought_up_to(Some(&now), &files), None);
        let plain = settings(false).files("shop", None);
        let now = brought_up_to(Some(&now), &plain).expect("TLS was turned off");
        assert_eq!(now.keys().collect::<Vec<_>>(), ["envoy.json", "grpc.json", "servers.json", "theirs"]);
        assert!(brought_up_to(None, &plain).is_some());
    }
}
