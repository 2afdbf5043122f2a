//! What a ClusterProfile says of the stream of its cluster, by the access provider `rollcall.dev`. Pure.

use std::net::Ipv6Addr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollcall_crds::ClusterProfileStatus;
use rollcall_crds::cluster_profile::{AccessCluster, AccessProvider};
use rollcall_crds::cluster_property::CLUSTER_ID;
use rollcall_xds::tls;

/// The access provider that leads to the stream. All others lead to API servers, by programs of their own.
pub const PROVIDER: &str = "rollcall.dev";

/// A profile, as far as links go by it. What is said of it follows its name: "ClusterProfile fleet/east …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    access: Result<Access, String>,
    /// The cluster that it is of, if it says so.
    cluster_id: Option<String>,
}

/// The way to another cluster's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `host:port`.
    pub address: String,
    /// What its certificate must be for, where that is not the host.
    pub server_name: Option<String>,
    /// The authorities of its stream, as PEM, if the profile has any.
    pub ca: Option<Arc<[u8]>>,
}

/// Of the names of other access providers so many are named.
const NAMED_MAX: usize = 4;
/// More than any authority has, and than a link is to keep.
const CA_BYTES_MAX: usize = 256 * 1024;
/// Of foreign words so many characters are repeated.
const WORDS_MAX: usize = 128;

// === impl Profile ===

impl Profile {
    /// What it says.
    pub fn of(status: Option<&ClusterProfileStatus>) -> Self {
        let none = ClusterProfileStatus::default();
        let status = status.unwrap_or(&none);
        let mut properties = status.properties.iter().flatten();
        let cluster_id = properties.find(|property| property.name == CLUSTER_ID).map(|property| cut(&property.value));
        Self { access: provider(status).and_then(|provider| access(&provider.cluster)), cluster_id }
    }

    /// One that could not be read at all, and why.
    pub fn unreadable(why: &str) -> Self {
        Self { access: Err(format!("cannot be read: {}", cut(why))), cluster_id: None }
    }

    /// The way to the cluster of this id.
    ///
    /// # Errors
    /// When there is none, or it is of another cluster, with the remedy.
    pub fn access(&self, id: &str) -> Result<&Access, String> {
        match self.cluster_id.as_deref() {
            Some(other) if other != id => Err(format!(
                "is of the cluster {other} (its property {CLUSTER_ID}), and this link is to {id}: give the link another profile, or make \
                 one of the name {other}"
            )),
            _ => self.access.as_ref().map_err(String::clone),
        }
    }
}

/// The provider that is about the stream. `accessProviders` go before the field's older name, as the API has it.
fn provider(status: &ClusterProfileStatus) -> Result<&AccessProvider, String> {
    let lists = [&status.access_providers, &status.credential_providers];
    for list in lists {
        let mut ours = list.iter().flatten().filter(|provider| provider.name == PROVIDER);
        match (ours.next(), ours.next()) {
            (Some(one), None) => return Ok(one),
            (Some(_), Some(_)) => {
                return Err(format!(
                    "has more than one access provider {PROVIDER}: leave the one that says where the stream is"
                ));
            }
            (None, _) => {}
        }
    }
    let others: Vec<_> = lists.into_iter().flatten().flatten().map(|provider| cut(&provider.name)).collect();
    let others = match others.len() {
        0 => String::new(),
        _ => format!(", but {}", others[..others.len().min(NAMED_MAX)].join(", ")),
    };
    Err(format!(
        "has no access provider {PROVIDER}{others}: whoever keeps the inventory has to add it to status.accessProviders, with \
         cluster.server https://HOST:PORT of the other cluster's stream and its authority as cluster.certificate-authority-data; or \
         give the link addresses in place of clusterProfile"
    ))
}

fn access(cluster: &AccessCluster) -> Result<Access, String> {
    let address = address(&cluster.server).map_err(|why| {
        format!(
            "says for {PROVIDER} the server {:?}, which {why}: give https://HOST:PORT of the other cluster's stream, such as \
             https://rollcall.east.example.net:18000",
            cut(&cluster.server)
        )
    })?;
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Err(format!(
            "has {PROVIDER} with insecure-skip-tls-verify, and no stream is opened to whoever answers: give the other cluster's \
             authority as certificate-authority-data in its place"
        ));
    }
    if cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty()) {
        return Err(format!("has {PROVIDER} with a proxy-url, and streams go through no proxy: leave it out"));
    }
    let server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    if let Some(name) = server_name.as_deref().filter(|name| !is_name(name)) {
        return Err(format!(
            "says for {PROVIDER} the tls-server-name {:?}, which is no DNS name: give one of the other cluster's certificate",
            cut(name)
        ));
    }
    Ok(Access { address, server_name, ca: authorities(cluster)? })
}

/// `host:port` of a URL that has nothing else.
fn address(server: &str) -> Result<String, &'static str> {
    const SCHEME: &str = "https://";
    if server.is_empty() {
        return Err("is empty");
    }
    let rest = match server.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest.strip_suffix('/').unwrap_or(rest),
        _ => return Err("is not https"),
    };
    if rest.contains(['?', '#']) {
        return Err("has more than host and port");
    }
    if rest.contains('/') {
        return Err("has a path");
    }
    if rest.contains('@') {
        return Err("has a user");
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, port),
        _ => return Err("has no port"),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err("has a port that is none");
    }
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match literal {
        Some(literal) if literal.parse::<Ipv6Addr>().is_ok() => Ok(rest.to_owned()),
        None if host.parse::<Ipv6Addr>().is_ok() => Err("has an IPv6 address without brackets"),
        None if is_name(host) => Ok(rest.to_owned()),
        Some(_) | None => Err("has a host that is none"),
    }
}

/// A DNS name, or an IPv4 address.
fn is_name(name: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let bytes = name.as_bytes();
    bytes.len() <= 253 && ends(bytes.first()) && ends(bytes.last()) && name.bytes().all(inner)
}

fn authorities(cluster: &AccessCluster) -> Result<Option<Arc<[u8]>>, String> {
    let Some(data) = cluster.certificate_authority_data.as_deref().filter(|data| !data.is_empty()) else {
        return match cluster.certificate_authority.as_deref() {
            None | Some("") => Ok(None),
            Some(path) => Err(format!(
                "says for {PROVIDER} the certificate-authority {:?}, a file of somebody else: give what is in it as \
                 certificate-authority-data",
                cut(path)
            )),
        };
    };
    let unusable = |why: &str| {
        format!(
            "has {PROVIDER} with a certificate-authority-data that cannot be used: {why}; give the authority of the other cluster's stream \
             (its ConfigMap rollcall-ca), as PEM in base64"
        )
    };
    let pem = STANDARD.decode(data).map_err(|error| unusable(&format!("it is no base64 ({error})")))?;
    if pem.len() > CA_BYTES_MAX {
        return Err(unusable(&format!("it has {} bytes, and may have {CA_BYTES_MAX}", pem.len())));
    }
    tls::authorities(&pem).map_err(|why| unusable(&why))?;
    Ok(Some(pem.into()))
}

/// Foreign words, as long as a sentence has room for.
fn cut(words: &str) -> String {
    words.chars().filter(|char| !char.is_control()).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests;
