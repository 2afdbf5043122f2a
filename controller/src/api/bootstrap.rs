//! Ready bootstrap files: `/bootstrap/grpc` for proxyless gRPC, `/bootstrap/envoy` for Envoy. They say where the stream is,
//! which is no secret: everybody may have them.

use serde_json::{Value, json};

use super::answer::Answer;
use super::ask::Ask;
use super::problem::Problem;
use super::routes::{Admits, Route, Routes};

/// Where clients find the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// `HOST:PORT`, if the request says nothing else.
    pub server: String,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// What a client says of itself, and where it has the authority's certificate.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Wanted {
    /// `HOST:PORT`.
    pub server: String,
    pub id: String,
    pub region: String,
    pub zone: String,
    pub ca: String,
    /// Files by which it says who it is: a token, a certificate and its key.
    pub token: Option<String>,
    pub certificate: Option<(String, String)>,
}

/// Where the certificate is, if the request says nothing else.
const CA: &str = "/etc/rollcall/ca.crt";

/// What a request may say.
const PARAMETERS: [&str; 8] = ["server", "id", "region", "zone", "ca", "token", "cert", "key"];

/// Adds both to the table.
pub fn routes(routes: Routes, stream: Stream) -> Routes {
    let answer = |of: fn(&Stream, &Wanted) -> Value| {
        let stream = stream.clone();
        move |ask: Ask| {
            let wanted = Wanted::read(&ask, &stream);
            std::future::ready(wanted.map(|wanted| Answer::json(&of(&stream, &wanted))))
        }
    };
    routes
        .with(Route::get("/bootstrap/grpc", answer(grpc)).admits(Admits::Everybody))
        .with(Route::get("/bootstrap/envoy", answer(envoy)).admits(Admits::Everybody))
}

// === impl Wanted ===

impl Wanted {
    fn read(ask: &Ask, stream: &Stream) -> Result<Self, Problem> {
        ask.query.only(&PARAMETERS)?;
        let one = |name, default: &str| Ok::<_, Problem>(ask.query.one(name)?.unwrap_or(default).to_owned());
        let server = one("server", &stream.server)?;
        if split(&server).is_none() {
            return Err(Problem::bad_request(format!("server {server:?} is not of the form HOST:PORT")));
        }
        let (id, ca) = (one("id", "rollcall-client")?, one("ca", CA)?);
        let given = |name| Ok::<_, Problem>(ask.query.one(name)?.map(str::to_owned));
        let certificate = match (given("cert")?, given("key")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Problem::bad_request("cert and key belong together: give the paths of both".to_owned())),
        };
        let token = given("token")?;
        Ok(Self { server, id, region: one("region", "")?, zone: one("zone", "")?, ca, token, certificate })
    }

    fn node(&self) -> Value {
        // grpc-js refuses a node without a locality, even if there is nothing in it.
        json!({ "id": self.id, "locality": { "region": self.region, "zone": self.zone } })
    }
}

/// For gRPC without a proxy.
pub fn grpc(stream: &Stream, wanted: &Wanted) -> Value {
    let mut creds = if stream.tls {
        json!({ "type": "tls", "config": { "ca_certificate_file": wanted.ca } })
    } else {
        json!({ "type": "insecure" })
    };
    // gRFC A65.
    if let Some((certificate, key)) = wanted.certificate.as_ref().filter(|_| stream.tls) {
        creds["config"]["certificate_file"] = json!(certificate);
        creds["config"]["private_key_file"] = json!(key);
    }
    let mut server = json!({ "server_uri": wanted.server, "channel_creds": [creds], "server_features": ["xds_v3"] });
    // gRFC A97; those who do not know it pass over it.
    if let Some(token) = wanted.token.as_ref().filter(|_| stream.tls) {
        server["call_creds"] = json!([{ "type": "jwt_token_file", "config": { "jwt_token_file": token } }]);
    }
    json!({ "xds_servers": [server], "node": wanted.node() })
}

/// For Envoy.
pub fn envoy(stream: &Stream, wanted: &Wanted) -> Value {
    let (host, port) = split(&wanted.server).unwrap_or(("localhost", 0)); // read before
    let address = json!({ "socket_address": { "address": host, "port_value": port } });
    let mut node = wanted.node();
    node["cluster"] = json!("rollcall-clients");
    let mut cluster = json!({
        "name": "rollcall",
        "type": "STRICT_DNS",
        // Left to itself it takes IPv6 alone where there is both, and never tries the other.
        "dns_lookup_family": "ALL",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": { "connection_keepalive": { "interval": "10s", "timeout": "5s" } },
                },
            },
        },
        "load_assignment": {
            "cluster_name": "rollcall",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
        },
    });
    if stream.tls {
        cluster["transport_socket"] = transport_security(host, wanted);
    }
    let service = match wanted.token.as_ref().filter(|_| stream.tls && wanted.certificate.is_none()) {
        // Only Envoy's other gRPC client shows a token, and it needs no cluster. Who has a certificate needs none.
        Some(token) => json!({ "google_grpc": with_token(wanted, token) }),
        None => json!({ "envoy_grpc": { "cluster_name": "rollcall" } }),
    };
    let clusters = if service.get("envoy_grpc").is_some() { json!([cluster]) } else { json!([]) };
    json!({
        "node": node,
        "dynamic_resources": {
            "ads_config": { "api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [service] },
            "cds_config": { "ads": {}, "resource_api_version": "V3" },
        },
        "static_resources": { "clusters": clusters },
    })
}

/// Envoy reads the token again when its file is replaced.
fn with_token(wanted: &Wanted, token: &str) -> Value {
    const BY_FILE: &str = "envoy.grpc_credentials.file_based_metadata";
    json!({
        "target_uri": wanted.server,
        "stat_prefix": "rollcall",
        "channel_credentials": { "ssl_credentials": { "root_certs": { "filename": wanted.ca } } },
        "credentials_factory_name": BY_FILE,
        "call_credentials": [{
            "from_plugin": {
                "name": BY_FILE,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
                    "secret_data": { "filename": token },
                    "header_key": "authorization",
                    "header_prefix": "Bearer ",
                },
            },
        }],
    })
}

fn transport_security(host: &str, wanted: &Wanted) -> Value {
    let mut socket = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": host,
            "common_tls_context": {
                "validation_context": {
                    "trusted_ca": { "filename": wanted.ca },
                    "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": host } }],
                },
            },
        },
    });
    if let Some((certificate, key)) = &wanted.certificate {
        let shown = json!([{ "certificate_chain": { "filename": certificate }, "private_key": { "filename": key } }]);
        socket["typed_config"]["common_tls_context"]["tls_certificates"] = shown;
    }
    socket
}

/// Host and port; an IPv6 address stands in brackets.
fn split(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::questions::document;

    fn wanted(server: &str) -> Wanted {
        let [id, region, zone, ca] = ["pod", "eu", "eu-1", "/ca.crt"].map(str::to_owned);
        Wanted { server: server.to_owned(), id, region, zone, ca, token: None, certificate: None }
    }

    fn stream(tls: bool) -> Stream {
        Stream { server: "rollcall.example:18000".to_owned(), tls }
    }

    #[test]
    fn the_document_tells_of_both_files_and_of_all_parameters() {
        for (path, file) in [("/bootstrap/grpc", grpc as fn(&Stream, &Wanted) -> Value), ("/bootstrap/envoy", envoy)] {
            document::holds(path, &file(&stream(true), &wanted("rollcall.example:18000")));
            assert_eq!(document::parameters(path), PARAMETERS);
        }
    }

    #[test]
    fn grpc_is_told_where_how_and_who_it_is() {
        let file = grpc(&stream(false), &wanted("rollcall.example:18000"));
        assert_eq!(file["xds_servers"][0]["server_uri"], "rollcall.example:18000");
        assert_eq!(file["xds_servers"][0]["channel_creds"][0]["type"], "insecure");
        assert_eq!(file["node"], json!({ "id": "pod", "locality": { "region": "eu", "zone": "eu-1" } }));
        let secured = grpc(&stream(true), &wanted("rollcall.example:18000"));
        let creds = &secured["xds_servers"][0]["channel_creds"][0];
        assert_eq!((&creds["type"], &creds["config"]["ca_certificate_file"]), (&json!("tls"), &json!("/ca.crt")));
    }

    #[test]
    fn envoy_checks_the_name_that_it_calls() {
        let file = envoy(&stream(true), &wanted("rollcall.example:18000"));
        let cluster = &file["static_resources"]["clusters"][0];
        assert_eq!(cluster["transport_socket"]["typed_config"]["sni"], "rollcall.example");
        assert_eq!(cluster["dns_lookup_family"], "ALL", "either family will do");
        let plain = envoy(&stream(false), &wanted("[::1]:18000"));
        let cluster = &plain["static_resources"]["clusters"][0];
        let address = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
        assert_eq!(address["socket_address"], json!({ "address": "::1", "port_value": 18000 }));
        assert_eq!(cluster.get("transport_socket"), None);
    }

    #[test]
    fn envoy_shows_a_token_where_it_has_one() {
        let with = Wanted { token: Some("/token".to_owned()), ..wanted("rollcall.example:18000") };
        let file = envoy(&stream(true), &with);
        let service = &file["dynamic_resources"]["ads_config"]["grpc_services"][0]["google_grpc"];
        assert_eq!(service["target_uri"], "rollcall.example:18000");
        assert!(service["call_credentials"].to_string().contains("/token"), "{service}");
        let plain = envoy(&stream(false), &with);
        let service = &plain["dynamic_resources"]["ads_config"]["grpc_services"][0];
        assert_eq!(service["envoy_grpc"]["cluster_name"], "rollcall", "a token is for TLS alone");
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        assert_eq!(split("a.b:1"), Some(("a.b", 1)));
        for odd in ["", "a", ":1", "a:", "a:0", "a:70000", "[]:1"] {
            assert_eq!(split(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_a_client_says_of_itself_is_in_its_file_over_tls_alone() {
        let token = Some("/var/run/token".to_owned());
        let certificate = Some(("/tls/tls.crt".to_owned(), "/tls/tls.key".to_owned()));
        let wanted = Wanted { token, certificate, ..wanted("rollcall.example.org:18000") };
        let file = grpc(&stream(true), &wanted);
        let server = &file["xds_servers"][0];
        assert_eq!(server["call_creds"][0]["config"]["jwt_token_file"], "/var/run/token");
        assert_eq!(server["channel_creds"][0]["config"]["private_key_file"], "/tls/tls.key");
        let file = envoy(&stream(true), &wanted);
        let tls = &file["static_resources"]["clusters"][0]["transport_socket"]["typed_config"]["common_tls_context"];
        assert_eq!(tls["tls_certificates"][0]["certificate_chain"]["filename"], "/tls/tls.crt");
        let plain = grpc(&stream(false), &wanted);
        assert!(plain["xds_servers"][0]["call_creds"].is_null(), "{plain:#}");
    }
}
