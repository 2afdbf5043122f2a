//! How clients are treated: flags.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rollcall_catalog::guard::Cidr;
use tokio::time::Instant;

use super::rates::Rates;
use crate::answer::edns::cookie::Secret;
use crate::answer::{Manner, Networks, Outside};

/// Who is answered, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientArgs {
    /// Network that is answered, such as 10.0.0.0/8. Repeat it for more; everybody else is REFUSED. Default: all.
    #[arg(long = "allow", env = "ROLLCALL_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    pub allow: Vec<Cidr>,

    /// Network whose servers may have the cluster's zone whole (AXFR over TCP), such as 10.0.0.53/32. Repeat it for more. Default: none.
    #[arg(long = "transfer-to", env = "ROLLCALL_TRANSFER_TO", value_name = "CIDR", value_delimiter = ',')]
    pub transfer_to: Vec<Cidr>,

    /// Answers a second over UDP for each network (/24 of IPv4, /56 of IPv6): beyond that every second one leaves cut, so that it
    /// is asked for over TCP, and the others are dropped. Who shows a cookie is not counted. Default: no limit.
    #[arg(long, env = "ROLLCALL_ANSWERS_PER_SECOND", value_name = "NUMBER")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub answers_per_second: Option<u32>,

    /// This server's name for who asks (NSID, RFC 5001), such as its pod's: at most 255 bytes. Default: none.
    #[arg(long, env = "ROLLCALL_NSID", value_name = "TEXT", value_parser = nsid)]
    pub nsid: Option<String>,

    /// File whose first 16 bytes are the secret of cookies (RFC 9018), the same on all servers of one address. Default: one of this
    /// process's own.
    #[arg(long, env = "ROLLCALL_COOKIE_SECRET_FILE", value_name = "PATH")]
    pub cookie_secret_file: Option<PathBuf>,
}

// === impl ClientArgs ===

impl ClientArgs {
    /// What they say; an error when the secret of cookies cannot be read.
    pub fn read(&self) -> anyhow::Result<(Manner, Option<Arc<Rates>>)> {
        let clients = if self.allow.is_empty() { Networks::all() } else { Networks::of(&self.allow) };
        // It is there for as long as the process.
        let nsid = self.nsid.as_ref().map_or(&[][..], |name| Box::leak(name.as_bytes().into()));
        let secret = match &self.cookie_secret_file {
            Some(path) => secret(path).with_context(|| format!("--cookie-secret-file {}", path.display()))?,
            None => own_secret(),
        };
        let rates = self.answers_per_second.map(|number| Arc::new(Rates::new(number, Instant::now())));
        let transfer_to = Networks::of(&self.transfer_to);
        let manner = Manner { clients, transfer_to, nsid, secret, ..Outside::Refused.into() };
        Ok((manner, rates))
    }
}

fn nsid(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len());
    fits.then(|| text.to_owned()).ok_or_else(|| "give a name of 1 to 255 bytes".to_owned())
}

fn secret(path: &Path) -> anyhow::Result<Secret> {
    let mut secret = Secret::default();
    std::fs::File::open(path)?.read_exact(&mut secret).context("it has fewer than 16 bytes; write 16 random ones")?;
    Ok(secret)
}

/// From the randomness of the system, by which hashes are keyed.
fn own_secret() -> Secret {
    let [a, b] = [0_u8, 1].map(|half| RandomState::new().hash_one(half).to_le_bytes());
    let mut secret = Secret::default();
    secret[..8].copy_from_slice(&a);
    secret[8..].copy_from_slice(&b);
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_sixteen_bytes_is_read_and_a_shorter_one_is_refused() {
        let folder = std::env::temp_dir().join(format!("rollcall-dns-secret-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("secret");
        let args = ClientArgs {
            allow: Vec::new(),
            transfer_to: Vec::new(),
            answers_per_second: None,
            nsid: Some("dns-0".to_owned()),
            cookie_secret_file: Some(path.clone()),
        };
        std::fs::write(&path, [5; 20]).unwrap();
        let (manner, rates) = args.read().unwrap();
        assert_eq!((manner.secret, manner.nsid, rates.is_none()), ([5; 16], &b"dns-0"[..], true));
        std::fs::write(&path, [5; 15]).unwrap();
        let error = format!("{:#}", args.read().unwrap_err());
        assert!(error.contains("--cookie-secret-file") && error.contains("16 random"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
        assert_ne!(own_secret(), own_secret());
    }
}
