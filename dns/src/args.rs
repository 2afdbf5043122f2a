//! Flags, each with its environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use rollcall_admin::logs::Format;

/// Answers DNS for the services of a cluster from Rollcall's catalog.
#[derive(Clone, Debug, Parser)]
#[command(name = "rollcall-dns", version)]
pub struct Args {
    /// Catalog server, such as `http://rollcall:18000`. Repeat it for more: they are tried in this order.
    #[arg(long = "catalog", env = "ROLLCALL_CATALOG", value_name = "URL", required = true, value_delimiter = ',')]
    #[arg(value_parser = catalog_url)]
    pub catalog: Vec<String>,

    /// Address for DNS over UDP and TCP. Repeat it for more; `0.0.0.0` and `[::]` are given apart.
    #[arg(long = "listen", env = "ROLLCALL_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:1053")]
    #[arg(value_delimiter = ',')]
    pub listen: Vec<SocketAddr>,

    /// Address for /livez, /readyz and /metrics.
    #[arg(long, env = "ROLLCALL_HTTP_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:9153")]
    pub http_listen: SocketAddr,

    /// TTL of all answers, negative ones included, in seconds: 0 to 3600.
    #[arg(long, env = "ROLLCALL_TTL", value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub ttl: u32,

    /// Threads that answer UDP, for each address. Default: one for each CPU.
    #[arg(long, env = "ROLLCALL_WORKERS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// How log lines look: text or json.
    #[arg(long, env = "ROLLCALL_LOG_FORMAT", value_name = "FORMAT", default_value_t = Format::Text)]
    pub log_format: Format,

    /// How long to answer on after SIGTERM, not ready, so that resolvers turn to another server: 5s, 500ms or 1m.
    #[arg(long, env = "ROLLCALL_LAME_DUCK", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub lame_duck: Duration,
}

const LAME_DUCK_MAX: Duration = Duration::from_secs(300);

fn catalog_url(text: &str) -> Result<String, String> {
    // The stream's client has no TLS yet; https would be accepted here and fail for ever.
    let host = text.strip_prefix("http://").and_then(|rest| rest.trim_end_matches('/').rsplit_once(':'));
    match host {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(text.to_owned()),
        Some(_) | None => Err("give a URL with scheme http, host and port, such as http://127.0.0.1:18000".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("", 1000)];
    let read = |(unit, factor): (&str, u64)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(factor).map(Duration::from_millis)
    };
    let duration = units.into_iter().find_map(read).filter(|duration| *duration <= LAME_DUCK_MAX);
    duration.ok_or_else(|| "give a whole number with unit, such as 500ms, 5s or 1m, up to 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::try_parse_from([&["rollcall-dns"], args].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_need_the_catalog_alone_and_lists_may_be_repeated() {
        let args = parse(&["--catalog", "http://a:1", "--catalog", "http://b:2"]).unwrap();
        assert_eq!(args.catalog, ["http://a:1", "http://b:2"]);
        assert_eq!((args.ttl, args.lame_duck, args.listen.len()), (5, Duration::from_secs(5), 1));
        let args =
            parse(&["--catalog", "http://a:1", "--listen", "127.0.0.1:53,[::1]:53", "--lame-duck", "250ms"]).unwrap();
        assert_eq!((args.listen.len(), args.lame_duck), (2, Duration::from_millis(250)));
    }

    #[test]
    fn a_bad_flag_is_named_with_what_is_allowed() {
        let cases = [
            (&["--catalog", "a:1"][..], ["--catalog", "scheme http, host and port"]),
            (&["--catalog", "https://a:1"], ["--catalog", "scheme http"]),
            (&["--catalog", "http://a:1", "--ttl", "9999"], ["--ttl", "0..=3600"]),
            (&["--catalog", "http://a:1", "--listen", "53"], ["--listen", "ADDR:PORT"]),
            (&["--catalog", "http://a:1", "--log-format", "xml"], ["--log-format", "use text or json"]),
            (&["--catalog", "http://a:1", "--lame-duck", "1h"], ["--lame-duck", "up to 5m"]),
            (&[], ["--catalog", "required"]),
        ];
        for (args, expected) in cases {
            let error = parse(args).unwrap_err();
            assert!(expected.iter().all(|part| error.contains(part)), "{args:?}: {error}");
        }
    }
}
