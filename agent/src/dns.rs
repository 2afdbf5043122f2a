//! DNS for this machine: the DNS server's own code, reading the catalog from the same controllers. While none can be
//! reached it answers from what it knows, also after a restart: that is kept on disk.

use std::ffi::OsString;

use anyhow::Context;
use clap::Parser;
use rollcall_admin::Readiness;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Agent, agent_file::Dns};

/// Takes the addresses, and answers until `stop`; when the task ends, what it knows is on disk.
///
/// # Errors
/// When the settings do not fit each other.
pub async fn start(agent: &Agent, dns: &Dns, stop: CancellationToken) -> anyhow::Result<JoinHandle<()>> {
    let args = Args::try_parse_from(flags(agent, dns)).context("the settings of [dns]")?;
    let prepared = Prepared::new(args).await.context("the settings of [dns]")?;
    info!(listen = ?dns.listen, "answering DNS");
    Ok(tokio::spawn(async move {
        if let Err(error) = prepared.serve(Readiness::default(), stop).await {
            warn!(error = format!("{error:#}"), "DNS has ended");
        }
    }))
}

fn flags(agent: &Agent, dns: &Dns) -> Vec<OsString> {
    let mut flags: Vec<OsString> = vec!["rollcall-dns".into()];
    let mut flag = |name: &str, value: OsString| flags.extend([name.into(), value]);
    agent.controllers.iter().for_each(|server| flag("--catalog", server.into()));
    if let Some(file) = &agent.ca_file {
        flag("--catalog-ca-file", file.into());
    }
    if let Some(name) = &agent.server_name {
        flag("--catalog-server-name", name.into());
    }
    // As whom the agent registers, it asks: who it is has to be known there as well.
    if let Some(file) = &agent.token_file {
        flag("--catalog-token-file", file.into());
    }
    if let Some(own) = &agent.own {
        flag("--catalog-cert-file", (&own.certificate).into());
        flag("--catalog-key-file", (&own.key).into());
    }
    dns.listen.iter().for_each(|address| flag("--listen", address.to_string().into()));
    dns.forward.iter().for_each(|target| flag("--forward", target.into()));
    if let Some(file) = &dns.snapshot {
        flag("--snapshot", file.into());
    }
    flag("--ttl", dns.ttl.to_string().into());
    // One machine's questions need no more, and each costs a buffer of 1 MiB.
    flag("--workers", "1".into());
    flag("--http-listen", "127.0.0.1:0".into());
    flags
}
