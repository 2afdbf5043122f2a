//! `rollcall-dns diagnose`: does a DNS server answer, and are the processes behind it ready? For `helm test` and for people:
//! the image has neither dig nor a shell.
//!
//! - [`names`]: which questions a name stands for
//! - [`dns`], [`ready`]: one attempt to ask a server, or a readiness page
//! - [`problem`]: what can be wrong, with the remedy
//! - [`report`]: the table

pub mod dns;
pub mod names;
pub mod problem;
pub mod ready;
pub mod report;

use std::future::Future;
use std::io::IsTerminal;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::answer::Transport;
use crate::forward::resolv_conf::ResolvConf;
use dns::Server;
use names::Wanted;
use problem::Problem;
use ready::Page;
use report::{Paint, Row};

/// Flags of `rollcall-dns diagnose`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// DNS server to ask, by address or name. Default: the first one of /etc/resolv.conf.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub server: Option<Server>,

    /// How to ask: udp, tcp, or both.
    #[arg(long, value_name = "TRANSPORTS", value_delimiter = ',', default_value = "udp,tcp", value_parser = transport)]
    pub transport: Vec<Transport>,

    /// Name that must resolve: to addresses; to ports if it begins with _; to names if it is an address. Repeat it for
    /// more.
    ///
    /// A name with fewer than three dots is completed with the search domains of /etc/resolv.conf, or with cluster.local.
    #[arg(long = "name", value_name = "NAME", default_value = "kubernetes.default.svc")]
    pub names: Vec<String>,

    /// Readiness page that must say 200, such as http://rollcall-dns:9153/readyz. Repeat it for more.
    #[arg(long = "ready", value_name = "URL")]
    pub ready: Vec<Page>,

    /// How long to ask again what failed: 30s, 500ms or 1m.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = crate::clock::duration)]
    pub timeout: Duration,
}

/// For one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// One attempt, which can be repeated.
type Attempt = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, Problem>> + Send>> + Send>;

/// What is asked, how, and the attempt.
struct Trial {
    asked: String,
    over: &'static str,
    attempt: Attempt,
}

/// Tries everything at once, prints the table, and says whether all is well.
pub async fn run(options: Options) -> bool {
    let file = ResolvConf::parse(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    let trials = match trials(&options, &file) {
        Ok(trials) => trials,
        Err(problem) => {
            eprintln!("rollcall-dns diagnose: {problem}");
            return false;
        }
    };
    let deadline = Instant::now() + options.timeout;
    let mut running = JoinSet::new();
    for (place, trial) in trials.into_iter().enumerate() {
        running.spawn(async move { (place, until(trial, deadline).await) });
    }
    let mut rows = running.join_all().await;
    rows.sort_by_key(|(place, _)| *place);
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let paint = if std::io::stdout().is_terminal() && !plain { Paint::Colours } else { Paint::Plain };
    print!("{}", report::table(&rows, paint));
    rows.iter().all(Row::is_ok)
}

fn trials(options: &Options, file: &ResolvConf) -> Result<Vec<Trial>, Problem> {
    let server = match (&options.server, file.servers.first()) {
        (Some(server), _) => server.clone(),
        (None, Some(address)) => Server::from(*address),
        (None, None) => return Err(Problem::NoServer),
    };
    let mut trials = Vec::new();
    for name in &options.names {
        let wanted = Wanted::new(name, &file.search).ok_or_else(|| Problem::BadName(name.clone()))?;
        trials.extend(options.transport.iter().map(|transport| dns_trial(&server, &wanted, *transport)));
    }
    trials.extend(options.ready.iter().map(ready_trial));
    Ok(trials)
}

fn dns_trial(server: &Server, wanted: &Wanted, transport: Transport) -> Trial {
    let (asked, over) = (format!("{wanted} at {server}"), transport.name());
    let (server, wanted) = (server.clone(), wanted.clone());
    let attempt = move || {
        let (server, wanted) = (server.clone(), wanted.clone());
        Box::pin(async move { dns::ask(&server, &wanted, transport, ATTEMPT_TIMEOUT).await }) as Pin<Box<_>>
    };
    Trial { asked, over, attempt: Box::new(attempt) }
}

fn ready_trial(page: &Page) -> Trial {
    let (asked, page) = (page.to_string(), page.clone());
    let attempt = move || {
        let page = page.clone();
        Box::pin(async move { ready::ask(&page, ATTEMPT_TIMEOUT).await }) as Pin<Box<_>>
    };
    Trial { asked, over: "http", attempt: Box::new(attempt) }
}

/// Tries until it succeeds or the time is up; once in any case.
async fn until(trial: Trial, deadline: Instant) -> Row {
    let first = Instant::now();
    loop {
        let begin = Instant::now();
        let result = (trial.attempt)().await;
        let again = result.is_err() && Instant::now() + PAUSE < deadline;
        if !again {
            let waited = begin - first;
            return Row { asked: trial.asked, over: trial.over, result, took: begin.elapsed(), waited };
        }
        sleep(PAUSE).await;
    }
}

fn transport(text: &str) -> Result<Transport, String> {
    let known = Transport::ALL.into_iter().find(|transport| transport.name() == text);
    known.ok_or_else(|| "use udp, tcp or udp,tcp".to_owned())
}

#[cfg(test)]
mod tests;
