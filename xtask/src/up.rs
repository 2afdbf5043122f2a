//! `cargo xtask up`: Rollcall on a control plane of this machine, ready to be tried.
//!
//! One process, the supervisor, holds everything and ends it; `--detach` puts that process into the background. Its
//! children die with it, however it ends.

mod api_access;
mod beating;
mod cluster;
mod detach;
mod example;
mod fill;
mod linked;
mod node;
mod resolve;
mod show;
mod state;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use rollcall_e2e::process::{Identity, Process};
use rollcall_e2e::rollcall::{Binaries, Flags, Profile, Rollcall};
use rollcall_e2e::{clock, install};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::terminal::{self, Paint, paint};
use api_access::ApiAccess;
use cluster::Cluster;
use state::State;

const REPLICAS: usize = 2;

/// What to start.
#[derive(Args)]
pub(crate) struct Options {
    /// Use the cluster of this context of your kubeconfig instead of a control plane of this machine.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// On a real node, or one in each cluster: the images run as pods of the chart, beside a kubelet. Needs root.
    #[arg(long, conflicts_with_all = ["context", "endpoints", "services"])]
    node: bool,
    /// With --node: more images for the nodes, which pull none; an archive, OCI or Docker. May be given several times.
    #[arg(long, value_name = "FILE", requires = "node")]
    image: Vec<PathBuf>,
    /// So many clusters, 2 to 4, each with Rollcall, linked with one another; the example is exported from the first.
    #[arg(long, value_name = "N", conflicts_with_all = ["context", "endpoints", "services"])]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=4))]
    clusters: Option<u8>,
    /// Go to the background when everything is up; `cargo xtask down` ends it.
    #[arg(long)]
    detach: bool,
    /// Instead of the example: this many endpoints, spread over the services.
    #[arg(long, value_name = "N", requires = "services")]
    endpoints: Option<usize>,
    /// This many services, with --endpoints.
    #[arg(long, value_name = "M", requires = "endpoints")]
    services: Option<usize>,
    /// This is the process in the background.
    #[arg(long, hide = true)]
    supervised: bool,
}

/// Starts everything and waits for Ctrl-C.
pub(crate) fn up(options: &Options) -> Result<()> {
    if !options.supervised {
        state::refuse_second()?;
        state::clear()?;
    }
    if options.detach && !options.supervised {
        return detach::start();
    }
    on_signals()?;
    let outcome = match options.clusters {
        count if options.node => node::supervise(count.unwrap_or(1), options.supervised, options.image.clone()),
        Some(count @ 2..) => linked::supervise(count, options.supervised),
        _ => supervise(options),
    };
    match outcome {
        Err(error) if !clock::is_interrupt(&error) => Err(error),
        _ => {
            println!("{}", paint("Everything has ended.", Paint::Good));
            state::clear()
        }
    }
}

/// Ends what `up` started, and checks that it is gone.
pub(crate) fn down() -> Result<()> {
    let Some(state) = State::read()? else {
        println!("Nothing is up.");
        return state::clear();
    };
    let step = terminal::begin("ending everything");
    state.supervisor.terminate();
    let all = || [&state.supervisor].into_iter().chain(&state.processes);
    // Whoever is removing thousands of objects from the user's cluster must not be stopped in the middle.
    let bound = if state.context.is_some() { Duration::from_secs(3600) } else { Duration::from_secs(60) };
    let gone = |bound| clock::wait_until("the end of all", bound, || Ok(none_alive(all()).then_some(())));
    if gone(bound).is_err() {
        all().for_each(Identity::kill);
        step.outcome(gone(bound))?;
    } else {
        step.done();
    }
    // The supervisor clears the folder when it has removed what it installed.
    if let (Some(context), true) = (&state.context, State::read()?.is_some()) {
        cluster::remove_after(context, &state::folder())?;
    }
    state::clear()
}

fn none_alive<'a>(mut processes: impl Iterator<Item = &'a Identity>) -> bool {
    processes.all(|process| !process.is_alive())
}

/// From a signal on, all waiting ends, the supervisor returns, and with it goes all that it holds.
fn on_signals() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for Ctrl-C")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            clock::interrupt();
        }
    });
    Ok(())
}

fn supervise(options: &Options) -> Result<()> {
    let start = clock::now();
    State::begin(None)?;
    let profile = if options.endpoints.is_some() { Profile::Release } else { Profile::Dev };
    let step = terminal::begin(match profile {
        Profile::Dev => "building Rollcall (some minutes the first time)",
        Profile::Release => "building Rollcall, optimised (some minutes the first time)",
    });
    let binaries = step.outcome(Binaries::build(profile))?;
    let folder = state::folder();
    let mut cluster = Cluster::start(options.context.as_deref(), &folder)?;
    let outcome = run(options, &binaries, &mut cluster, start);
    // Also after a failure: whatever was put into the user's cluster must not stay.
    cluster.end()?;
    State::begin(None)?;
    match outcome {
        // What was under way when Ctrl-C came has its own words for that.
        Err(error) if clock::is_interrupted() => {
            terminal::note(&format!("{error:#}"));
            Ok(())
        }
        outcome => outcome,
    }
}

fn run(options: &Options, binaries: &Binaries, cluster: &mut Cluster, start: std::time::Instant) -> Result<()> {
    let folder = state::folder();
    let kubectl = cluster.kubectl().clone();
    let step = terminal::begin("installing CRDs and RBAC");
    // From here on, and not before: what is in the user's cluster until now is not ours to remove.
    cluster.will_install();
    State::begin(options.context.clone())?;
    let installation = step.outcome(install::install(&kubectl, &folder))?;
    clock::check_interrupt()?;

    let (mut backends, mut machine) = (Vec::new(), None);
    match (options.endpoints, options.services) {
        (Some(endpoints), Some(services)) => fill::fill(cluster, endpoints, services)?,
        _ => (backends, machine) = example::start(cluster, &folder)?,
    }
    clock::check_interrupt()?;

    let step = terminal::begin("starting two controllers and a DNS server");
    let access = ApiAccess::make(&kubectl, &folder)?;
    let api_flags = access.flags();
    let api_flags: Vec<_> = api_flags.iter().map(String::as_str).collect();
    let flags = Flags { controller: &api_flags, ..Flags::default() };
    let mut rollcall = step.outcome(Rollcall::start_with(binaries, &installation, REPLICAS, &folder, flags))?;
    if let Some(machine) = machine {
        let step = terminal::begin("starting an agent on one of the machines");
        let agent = step.outcome(example::agent(&binaries.agent, cluster, &rollcall, machine, &folder))?;
        backends.push(agent);
    }
    if options.endpoints.is_none() {
        let (server, address) = example::one_more(beating::INSTANCE, &folder)?;
        backends.push(server);
        backends.extend(beating::start(&kubectl, (&rollcall, &access), address, &folder)?);
    }
    let state = State::new(cluster, &mut rollcall, &backends, options.context.clone())?;
    state.write(&kubectl, &rollcall, binaries, &access)?;

    if options.endpoints.is_some() {
        fill::show(&mut rollcall)?;
    } else {
        show::example(&kubectl, &rollcall)?;
    }
    println!("\nUp after {:.0} s.\n", start.elapsed().as_secs_f32());
    show::commands(&kubectl, &rollcall, &backends, options.endpoints.is_none());
    if options.supervised {
        state::mark_ready()?;
    } else {
        println!("\n{}", paint("Ctrl-C ends everything.", Paint::Bold));
    }
    stay(cluster, &mut rollcall, &mut backends);
    let killed = rollcall.stop()?;
    if !killed.is_empty() {
        bail!("{} did not end when asked to and had to be killed", killed.join(", "));
    }
    Ok(())
}

/// Until a signal comes. A process that ends is reported once; the others go on, that is part of what can be tried.
fn stay(cluster: &mut Cluster, rollcall: &mut Rollcall, backends: &mut [Process]) {
    let mut reported = Vec::new();
    while !clock::is_interrupted() {
        let processes = cluster.processes().chain(rollcall.processes()).chain(backends.iter_mut());
        for process in processes {
            let name = process.name().to_owned();
            if !reported.contains(&name) && !process.is_running() {
                terminal::note(&format!("{name} has ended; its log is {}", process.log().display()));
                reported.push(name);
            }
        }
        clock::pause(Duration::from_millis(100));
    }
    println!();
}
