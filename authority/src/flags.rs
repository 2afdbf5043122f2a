//! The flags of TLS.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// TLS of the discovery stream.
#[derive(Clone, Debug, Args)]
pub struct TlsArgs {
    /// Where the certificate of the discovery stream comes from.
    #[arg(long, env = "ROLLCALL_TLS", value_enum, default_value_t = Mode::Off)]
    pub tls: Mode,

    /// With `--tls files`: the certificate chain, as PEM. Read again when it changes.
    #[arg(long, env = "ROLLCALL_TLS_CERT_FILE", value_name = "PATH", required_if_eq("tls", "files"))]
    pub tls_cert_file: Option<PathBuf>,

    /// With `--tls files`: the private key of the certificate, as PEM. Read again when it changes.
    #[arg(long, env = "ROLLCALL_TLS_KEY_FILE", value_name = "PATH", required_if_eq("tls", "files"))]
    pub tls_key_file: Option<PathBuf>,

    /// The authorities of client certificates, as PEM: the port of the stream and the API port ask clients for one that these
    /// have signed. Its common name is the user, its organisations are the groups. Read again when it changes. Default: with
    /// `--tls authority` its own, with `--tls files` none.
    #[arg(long, env = "ROLLCALL_CLIENT_CA", value_name = "PATH")]
    pub client_ca: Option<PathBuf>,

    /// With `--tls authority`: the Secret in --namespace that holds the authority. Must exist; may be empty.
    #[arg(long, env = "ROLLCALL_TLS_AUTHORITY_SECRET", default_value = "rollcall-authority", value_name = "NAME")]
    pub tls_authority_secret: String,

    /// With `--tls authority`: the ConfigMap in --namespace in which clients find `ca.crt`. Must exist; may be empty.
    #[arg(long, env = "ROLLCALL_TLS_AUTHORITY_CONFIGMAP", default_value = "rollcall-ca", value_name = "NAME")]
    pub tls_authority_configmap: String,

    /// With `--tls authority`: a DNS name or IP address by which clients call this controller. Repeatable, or separated
    /// by commas.
    #[arg(long = "tls-dns-name", env = "ROLLCALL_TLS_DNS_NAMES", value_delimiter = ',', value_name = "NAME")]
    #[arg(required_if_eq("tls", "authority"), value_parser = subject_name)]
    pub tls_dns_names: Vec<String>,

    /// With `--tls authority`: lifetime of the authority's certificates. The next one takes over after half of it.
    #[arg(long, env = "ROLLCALL_TLS_CA_LIFETIME", default_value = "365d", value_name = "DURATION", value_parser = lifetime)]
    pub tls_ca_lifetime: Duration,

    /// With `--tls authority`: lifetime of the stream's certificate, renewed after two thirds of it. At most a fifth of
    /// --tls-ca-lifetime.
    #[arg(long, env = "ROLLCALL_TLS_LEAF_LIFETIME", default_value = "7d", value_name = "DURATION", value_parser = lifetime)]
    pub tls_leaf_lifetime: Duration,
}

/// Where the certificate of the stream comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// No TLS: whoever can reach the port reads the catalog, and so does the network between.
    Off,
    /// Rollcall's own authority, kept in a Secret.
    Authority,
    /// Files, such as those of a mounted Secret of cert-manager.
    Files,
}

/// How many times a leaf's lifetime the authority's must be: so that all leaves of an old authority have expired before
/// the one after the next appears, with room for the overlap.
pub const LEAVES_PER_CA_MIN: u32 = 5;
/// Bounds of lifetimes. Below, clocks and requests take a share that counts; above, certificates outlive their makers.
const LIFETIME_MIN: Duration = Duration::from_secs(10);
pub(super) const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

// === impl TlsArgs ===

impl TlsArgs {
    /// What the flags cannot say one by one.
    ///
    /// # Errors
    /// When the lifetimes do not fit each other.
    pub fn check(&self) -> Result<(), String> {
        if self.tls == Mode::Off && self.client_ca.is_some() {
            return Err(
                "--client-ca needs TLS, by which clients show certificates: set --tls to authority or files".to_owned()
            );
        }
        if self.tls == Mode::Authority && self.tls_ca_lifetime < self.tls_leaf_lifetime * LEAVES_PER_CA_MIN {
            return Err(format!(
                "--tls-ca-lifetime {:?} is too short for --tls-leaf-lifetime {:?}; give at least {LEAVES_PER_CA_MIN} times as \
                 much, so that a rotation can end before the next begins",
                self.tls_ca_lifetime, self.tls_leaf_lifetime
            ));
        }
        Ok(())
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600)];
    let read = |(unit, seconds): (&str, u64)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds).map(Duration::from_secs)
    };
    let lifetime = units.into_iter().find_map(read).filter(|time| (LIFETIME_MIN..=LIFETIME_MAX).contains(time));
    lifetime.ok_or_else(|| "give a whole number with unit, such as 60s, 30m, 12h or 7d, from 10s to 3650d".to_owned())
}

fn subject_name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('.');
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels = name.strip_prefix("*.").unwrap_or(name);
    if name.parse::<std::net::IpAddr>().is_ok() || (name.len() <= 253 && labels.split('.').all(label)) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err("give a DNS name or an IP address, without scheme and port, such as rollcall.rollcall-system.svc"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        tls: TlsArgs,
    }

    fn parse(flags: &[&str]) -> Result<TlsArgs, String> {
        let all = ["rollcall-controller"].into_iter().chain(flags.iter().copied());
        let args = Cli::try_parse_from(all).map_err(|error| error.to_string())?.tls;
        args.check().map(|()| args)
    }

    #[test]
    fn tls_is_off_unless_asked_for() {
        let args = parse(&[]).expect("defaults");
        assert_eq!(args.tls, Mode::Off);
        assert_eq!(
            (args.tls_authority_secret.as_str(), args.tls_authority_configmap.as_str()),
            ("rollcall-authority", "rollcall-ca")
        );
        assert_eq!(args.tls_ca_lifetime.as_secs() / 86_400, 365);
        assert_eq!(args.tls_leaf_lifetime.as_secs() / 86_400, 7);
    }

    #[test]
    fn flags_name_what_is_wrong() {
        let cases: [(&[&str], &str); 8] = [
            (&["--client-ca", "/ca.crt"], "--client-ca needs TLS"),
            (&["--tls", "on"], "off, authority, files"),
            (&["--tls", "files"], "--tls-cert-file"),
            (&["--tls", "authority"], "--tls-dns-name"),
            (&["--tls-dns-name", "https://rollcall:18000"], "without scheme and port"),
            (&["--tls-leaf-lifetime", "7"], "with unit"),
            (&["--tls-leaf-lifetime", "1s"], "from 10s"),
            (
                &[
                    "--tls",
                    "authority",
                    "--tls-dns-name",
                    "a",
                    "--tls-ca-lifetime",
                    "60s",
                    "--tls-leaf-lifetime",
                    "30s",
                ],
                "at least 5 times",
            ),
        ];
        for (flags, expected) in cases {
            let error = parse(flags).expect_err("refused");
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }

    #[test]
    fn names_may_be_repeated_or_listed_and_may_be_addresses() {
        let args = parse(&["--tls", "authority", "--tls-dns-name", "Rollcall.svc.,10.0.0.1", "--tls-dns-name", "::1"]);
        assert_eq!(args.expect("names").tls_dns_names, ["rollcall.svc", "10.0.0.1", "::1"]);
    }
}
