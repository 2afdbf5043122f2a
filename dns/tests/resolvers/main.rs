//! Resolvers as users' programs have them ask a server by the search domains of a pod.
//!
//! Each resolver is a test; one that cannot be had here is left out, and it is said why. `/etc/resolv.conf` and port 53 are the
//! test's own: the program starts itself anew in namespaces, where nobody else is.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod resolver;
mod stage;
#[path = "../forward/upstream.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod upstream;

use std::net::IpAddr;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use resolver::{Resolver, Running, folder};
use stage::{Dns, OUTSIDE, Stage};

/// In the environment of the program within namespaces.
const INSIDE: &str = "ROLLCALL_TEST_RESOLVERS_INSIDE";
/// What it finds there.
const RESOLV_CONF: &str = "resolv.conf";
const NSSWITCH_CONF: &str = "nsswitch.conf";
const WAYS: [&[&str]; 2] = [&["--net", "--mount"], &["--net", "--mount", "--map-root-user"]];
const SCRIPT: &str = "ip link set lo up && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && \
                      { [ ! -e /etc/nsswitch.conf ] || mount --bind \"$0/nsswitch.conf\" /etc/nsswitch.conf; } && exec \"$@\"";

/// What is looked up in a pod of `shop`, and what is found: addresses, or so many of them.
const CASES: [(&str, Found); 13] = [
    ("web", Found::These(&["10.96.0.1", "fd00:96::1"])),
    ("web.shop", Found::These(&["10.96.0.1", "fd00:96::1"])),
    ("WEB.Shop.svc", Found::These(&["10.96.0.1", "fd00:96::1"])),
    ("web.shop.svc.cluster.local", Found::These(&["10.96.0.1", "fd00:96::1"])),
    ("web.shop.svc.cluster.local.", Found::These(&["10.96.0.1", "fd00:96::1"])),
    // It has no AAAA: that is no reason to look on.
    ("api.other", Found::These(&["10.96.0.2"])),
    ("db", Found::These(&["10.1.0.0", "10.1.0.1"])),
    ("db-1.db", Found::These(&["10.1.0.1"])),
    ("crowd", Found::Many(25)),
    // More than a datagram holds: the rest comes over TCP.
    ("throng", Found::Many(120)),
    ("away", Found::These(&["198.18.0.1"])),
    ("nobody", Found::These(&[])),
    ("nobody.outside.example", Found::These(&[])),
];

#[derive(Clone, Copy, Debug)]
enum Found {
    These(&'static [&'static str]),
    Many(usize),
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list || std::env::var_os(INSIDE).is_some() {
        return within(arguments);
    }
    std::fs::write(folder().join(RESOLV_CONF), "").unwrap();
    std::fs::write(folder().join(NSSWITCH_CONF), "hosts: dns\n").unwrap();
    let namespaces = |way: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", SCRIPT]).arg(folder());
        command
    };
    let works = |way: &&&[&str]| namespaces(way).arg("true").output().is_ok_and(|output| output.status.success());
    let Some(way) = WAYS.iter().find(works) else {
        let why = "namespaces are refused here: run this as root, with unshare, ip and mount";
        let ignored =
            |resolver: &Resolver| Trial::ignorable_test(test(*resolver), move || Ok(Completion::ignored_with(why)));
        return libtest_mimic::run(&arguments, Resolver::ALL.iter().map(ignored).collect()).exit_code();
    };
    Resolver::fetch();
    let mut command = namespaces(way);
    let command = command.arg(std::env::current_exe().unwrap()).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    if command.status().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All of it, where this program may do as it likes.
fn within(arguments: Arguments) -> ExitCode {
    // Each counts queries: one after the other.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_stage, servers) = (!arguments.list).then(|| runtime.block_on(Stage::start())).unzip();
    let servers = Arc::new(servers);
    let trials = Resolver::ALL.into_iter().map(|resolver| {
        let servers = Arc::clone(&servers);
        Trial::ignorable_test(test(resolver), move || {
            let [plain, completing] = Option::as_ref(&servers).expect("tests that are listed do not run");
            match resolver.command() {
                Ok(command) => finds(resolver, command, plain, completing),
                Err(missing) => Ok(Completion::ignored_with(missing)),
            }
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn test(resolver: Resolver) -> String {
    format!("a_pod_finds_what_it_means_by_{}", resolver.name())
}

fn finds(resolver: Resolver, mut command: Command, plain: &Dns, completing: &Dns) -> Result<Completion, Failed> {
    point_to(plain);
    let mut running = Running::start(&mut command);
    for (name, expected) in CASES {
        let found = running.lookup(name)?;
        let is_right = match expected {
            Found::These(these) => found == these.iter().map(|address| address.parse().unwrap()).collect(),
            Found::Many(count) => found.len() == count.min(resolver.most()),
        };
        if !is_right {
            return Err(format!("{name}: {found:?}, not {expected:?}").into());
        }
    }
    let walked = cost(&mut running, plain)?;
    drop(running);
    point_to(completing);
    let completed = cost(&mut Running::start(&mut command), completing)?;
    println!("{}: an external name costs {walked} queries, {completed} where names are completed", resolver.name());
    // A query that was lost is asked again; and systemd-resolved asks again without EDNS for what is denied.
    if walked < 8 || completed >= 8 {
        return Err(format!("{walked} queries, and {completed} where names are completed").into());
    }
    Ok(Completion::Completed)
}

/// The queries that a server has to answer until a resolver knows an external name.
fn cost(running: &mut Running, server: &Dns) -> Result<u64, Failed> {
    let before = server.queries();
    let found: Vec<_> = running.lookup("www.outside.example")?.into_iter().collect();
    if found != [IpAddr::from(OUTSIDE)] {
        return Err(format!("www.outside.example: {found:?}").into());
    }
    Ok(server.queries() - before)
}

/// Has resolvers that are started from now on ask a server, as the kubelet has those of pods.
fn point_to(server: &Dns) {
    let domains = "shop.svc.cluster.local svc.cluster.local cluster.local";
    let conf = format!("nameserver {}\nsearch {domains}\noptions ndots:5\n", server.address);
    std::fs::write(folder().join(RESOLV_CONF), conf).unwrap();
}
