//! TLS for every kind of check: rustls, without resumption, since a probe asks as a new caller would.
//!
//! - [`config`]: whom to trust and how to be known, kept by what asks for it; [`words`]: what went wrong in a handshake

mod config;
mod expiry;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;

use rollcall_catalog::model::Name;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

pub(super) use self::config::{Alpn, Configs};
pub(super) use self::expiry::judge;
use super::Surroundings;
use super::fault::{Failed, local_in};
use crate::definition::Tls;
use crate::outcome::LocalFault;

/// What a TLS connection is to be like.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) tls: &'a Tls,
    pub(super) alpn: Alpn,
    /// Who is called by default: a Host header, an authority.
    pub(super) host: Option<&'a str>,
    pub(super) target: SocketAddr,
}

/// Settings and the name of the server, ready for a connection.
pub(super) struct Prepared {
    config: Config,
    name: ServerName<'static>,
}

/// What a TLS connection needs of ours. Before anything is dialled: what is lacking is no result.
pub(super) async fn prepare(
    configs: &Configs,
    surroundings: &dyn Surroundings,
    wanted: Wanted<'_>,
) -> Result<Prepared, Failed> {
    let name = server_name(&wanted)?;
    let credentials = match &wanted.tls.secret {
        Some(key) => Some(surroundings.secret(key).await.map_err(credentials)?),
        None => None,
    };
    let config = configs.get(wanted.tls, wanted.alpn, credentials).map_err(credentials_str)?;
    Ok(Prepared { config, name })
}

/// Encrypts a connection.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    Prepared { config, name }: Prepared,
    stream: S,
) -> Result<TlsStream<S>, Failed> {
    TlsConnector::from(config).connect(name.clone(), stream).await.map_err(|error| match local_in(&error) {
        Some(fault) => Failed::Local(fault, None),
        None => Failed::Target(words::handshake(&error, &name.to_str())),
    })
}

fn credentials(words: Name) -> Failed {
    Failed::Local(LocalFault::Credentials, Some(words))
}

fn credentials_str(words: String) -> Failed {
    credentials(words.into())
}

/// Who the server has to be: as the check says, else as it is called, else its address.
fn server_name(wanted: &Wanted<'_>) -> Result<ServerName<'static>, Failed> {
    let own = wanted.tls.server_name.as_deref();
    let Some(name) = own.or_else(|| wanted.host.map(without_port)) else {
        return Ok(ServerName::IpAddress(wanted.target.ip().into()));
    };
    ServerName::try_from(name.trim_start_matches('[').trim_end_matches(']').to_owned()).map_err(|_| {
        credentials_str(format!("{name:?} is no name of a server; give tls.serverName a DNS name or an address"))
    })
}

/// `example.com:8443` and `[2001:db8::1]:8443` without their ports.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

/// The types of the crate that are needed here and there.
pub(super) type Config = Arc<tokio_rustls::rustls::ClientConfig>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_host_header_is_no_part_of_the_name() {
        for (authority, host) in [
            ("example.com:8443", "example.com"),
            ("example.com", "example.com"),
            ("[2001:db8::1]:8443", "[2001:db8::1]"),
            ("2001:db8::1", "2001:db8::1"),
            ("198.51.100.1:80", "198.51.100.1"),
        ] {
            assert_eq!(without_port(authority), host);
        }
    }
}
