//! `cargo xtask test`: one line for each step, and the log of what failed.

mod ahead;
mod node;
mod run;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use clap::Args;
use rollcall_e2e::{layout, net, tools};

use crate::terminal::{self, Paint, Step, cargo, paint};
use ahead::Ahead;

/// What to check.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the end-to-end tests, and with them all that needs a control plane.
    #[arg(long)]
    no_e2e: bool,
    /// Only tests whose name contains this; format, lints and licences are left out then.
    filter: Option<String>,
}

/// What the steps came to.
#[derive(Default)]
struct Outcome {
    failed: Vec<String>,
    tests: u64,
}

/// Runs all steps, also after one has failed, and fails at the end if any did.
pub(crate) fn test(options: &Options) -> Result<()> {
    let mut outcome = Outcome::default();
    let node = node::Stage::of(options.filter.as_deref());
    let ahead = (!options.no_e2e).then(|| Ahead::begin(node.is_wanted()));
    if options.filter.is_none() {
        outcome.step("format", &|| Ok(run_cargo(&["fmt", "--all", "--check"])));
        let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
        outcome.step("lints", &|| Ok(run_cargo(&lints)));
        if tools::on_path("cargo-deny").is_some() {
            outcome.step("licences and advisories", &|| Ok(run_cargo(&["deny", "--log-level", "error", "check"])));
        } else {
            println!("licences and advisories … {}", paint("skipped: cargo install cargo-deny", Paint::Warn));
        }
    }
    outcome.step("unit and property tests", &|| {
        let exclude = ["--exclude", "rollcall-e2e", "--exclude", "rollcall-e2e-node"];
        let mut command = run_cargo(&["test", "--workspace", "--no-fail-fast"]);
        command.args(exclude);
        command.args(&options.filter);
        Ok(command)
    });
    if let Some(ahead) = &ahead {
        outcome.step("what the end-to-end tests run", &|| prepare(ahead));
        match network() {
            Some(network) => outcome.step("end-to-end tests", &|| end_to_end(&network, options.filter.as_deref())),
            None => terminal::note(&no_network()),
        }
        node.run(&mut outcome, ahead);
    }
    if let Some(filter) = options.filter.as_ref().filter(|_| outcome.failed.is_empty() && outcome.tests == 0) {
        bail!("no test has {filter:?} in its name");
    }
    if outcome.failed.is_empty() {
        return Ok(());
    }
    bail!("{}", outcome.failed.join(", "))
}

// === impl Outcome ===

impl Outcome {
    /// Runs a step: `make` prepares its command.
    fn step(&mut self, name: &str, make: &dyn Fn() -> Result<Command>) {
        let line = terminal::begin(name);
        match make().and_then(|command| run::with_progress(command, &line)) {
            Ok(output) if output.status.success() => {
                line.done();
                self.tests += count(&output);
                print!("{}", counts(&output));
            }
            Ok(output) => self.fail(name, line, &log(&output)),
            Err(error) => self.fail(name, line, &format!("{error:#}")),
        }
    }

    fn fail(&mut self, name: &str, line: Step, log: &str) {
        line.failed();
        println!("{log}");
        self.failed.push(name.to_owned());
    }
}

/// Waits for the tools and builds Rollcall, while there is a network; the command builds the tests.
fn prepare(ahead: &Ahead) -> Result<Command> {
    ahead.end_to_end()?;
    // With the features of the unit tests, which have built all but the last step of it.
    let exclude = ["--exclude", "rollcall-e2e", "--exclude", "rollcall-e2e-node"];
    let built = run_cargo(&["build", "--quiet", "--workspace", "--bins", "--tests"]).args(exclude).output()?;
    if !built.status.success() {
        bail!("{}", log(&built));
    }
    Ok(run_cargo(&["test", "--quiet", "--package", "rollcall-e2e", "--no-run"]))
}

fn run_cargo(args: &[&str]) -> Command {
    in_workspace(Command::new(cargo()), args)
}

fn in_workspace(mut command: Command, args: &[&str]) -> Command {
    // Backtraces of errors that tests return are longer than the errors.
    command.args(args).env("RUST_LIB_BACKTRACE", "0").current_dir(layout::root()).stdin(std::process::Stdio::null());
    command
}

/// Where the end-to-end tests find addresses to register that are not loopback.
enum Network {
    /// In a network of their own, where nothing of this machine disturbs them: the arguments of `unshare`.
    Own(&'static [&'static str]),
    /// Somebody has named addresses of this machine.
    Given,
}

/// What those read who have neither.
fn no_network() -> String {
    let addresses = address_words();
    format!(
        "end-to-end tests … skipped, since network namespaces are refused here. One of these will do:
  - run this as root
  - let users make namespaces: sysctl --write kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), \
     kernel.unprivileged_userns_clone=1 (Debian)
  - let root add addresses to this machine, and name them:
      export {variable}='{addresses}'
      for address in ${variable}; do ip address add $address dev lo; done",
        variable = net::ADDRESSES,
    )
}

fn network() -> Option<Network> {
    match own_network() {
        Some(unshare) => Some(Network::Own(unshare)),
        None => std::env::var_os(net::ADDRESSES).map(|_| Network::Given),
    }
}

fn end_to_end(network: &Network, filter: Option<&str>) -> Result<Command> {
    const SCRIPT: &str = "ip link set lo up && for address in $ROLLCALL_E2E_ADDRESSES; do \
                          ip address add \"$address\" dev lo || exit 1; done && exec \"$@\"";
    let mut words = vec![cargo().into_string().ok().context("the path of cargo is not UTF-8")?];
    let tests = ["test", "--offline", "--package", "rollcall-e2e", "--no-fail-fast"];
    words.extend(tests.map(String::from));
    words.extend(filter.map(String::from));
    words.extend(["--", "--test-threads=1", "--nocapture"].map(String::from));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = match network {
        Network::Own(unshare) => {
            let mut command = Command::new("unshare");
            command.args(*unshare).args(["sh", "-c", SCRIPT, "sh"]);
            command.env(net::ADDRESSES, address_words());
            in_workspace(command, &words)
        }
        Network::Given => in_workspace(Command::new(words[0]), &words[1..]),
    };
    command.env("ROLLCALL_E2E_BINARIES", layout::cargo_target().join("debug"));
    Ok(command)
}

/// The arguments of `unshare` that work here, if any do.
fn own_network() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];
    let works = |way: &&&[&str]| {
        let probe = ["sh", "-c", "ip link set lo up && ip address add 198.51.100.11 dev lo"];
        Command::new("unshare").args(**way).args(probe).output().is_ok_and(|output| output.status.success())
    };
    WAYS.iter().find(works).copied()
}

/// Addresses that RFC 5737 and RFC 3849 set aside for examples, as [`net::ADDRESSES`] has them.
fn address_words() -> String {
    let v4 = (11..=16).map(|host| IpAddr::from(Ipv4Addr::new(198, 51, 100, host)));
    let v6 = (0x11..=0x12).map(|host| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host)));
    v4.chain(v6).map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
}

/// The closing lines of cargo's tests, which say how many there were.
fn counts(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let running = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut names = running.lines().filter_map(test_name);
    let mut counts = String::new();
    for line in text.lines().filter(|line| line.starts_with("test result: ")) {
        let name = names.next().unwrap_or_default();
        if !line.contains(" 0 passed; 0 failed") {
            counts.push_str(&format!("{line} [{name}]\n"));
        }
    }
    counts
}

/// How many tests have passed.
fn count(output: &Output) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let results =
        text.lines().filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<u64>().ok());
    results.sum::<u64>()
}

/// What cargo says that it runs: "Running unittests src/lib.rs (target/…)", or "Doc-tests NAME".
fn test_name(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} documentation"));
    }
    let (_, file) = line.strip_prefix("Running ")?.split_once(" (")?;
    let file = Path::new(file.trim_end_matches(')')).file_name()?.to_str()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned())
}

fn log(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_run_is_named_by_its_binary() {
        let line = "     Running tests/control_plane.rs (target/debug/deps/control_plane-98c0776ee3875f7c)";
        assert_eq!(test_name(line).as_deref(), Some("control_plane"));
        assert_eq!(test_name("   Doc-tests rollcall_xds").as_deref(), Some("rollcall_xds documentation"));
        assert_eq!(test_name("   Compiling xtask v0.1.0"), None);
    }
}
