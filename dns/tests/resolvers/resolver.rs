//! Resolvers, each a program that looks up what it is told, line by line.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Of c-ares for Python; with it `import pycares` works everywhere that Python packages can be had.
const PYCARES: &str = "pycares==4.11.0";

/// It shares a library with the machine's systemd, so that it has to be of the same version. It is unpacked and not installed: that would
/// have the machine itself ask it.
const FETCH_RESOLVED: &str = "rm -f systemd-resolved_*.deb; apt-get -o Acquire::Retries=0 -o Acquire::http::Timeout=10 download \
                              systemd-resolved=$(dpkg-query --show --showformat='${Version}' systemd) && \
                              dpkg-deb --extract systemd-resolved_*.deb systemd";

/// Whose resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    Glibc,
    Musl,
    Go,
    CAres,
    Jvm,
    /// glibc's as a node has it: it asks systemd-resolved, and that asks the server.
    SystemdResolved,
}

/// One that runs, and ends with this.
pub(crate) struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

// === impl Resolver ===

impl Resolver {
    pub(crate) const ALL: [Self; 6] =
        [Self::Glibc, Self::Musl, Self::Go, Self::CAres, Self::Jvm, Self::SystemdResolved];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
            Self::Go => "go",
            Self::CAres => "c_ares",
            Self::Jvm => "jvm",
            Self::SystemdResolved => "systemd_resolved",
        }
    }

    /// The most addresses that it tells of a name: musl has room for 48.
    pub(crate) fn most(self) -> usize {
        if self == Self::Musl { 48 } else { usize::MAX }
    }

    /// Fetches what has to come over a network, before there is none; without it the resolver is left out later.
    pub(crate) fn fetch() {
        if !runs(&mut with_pycares(&["-c", "import pycares"])) {
            let install = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target"];
            runs(Command::new("python3").args(install).arg(folder().join("pycares")).arg(PYCARES));
        }
        if systemd_resolved().is_none() {
            runs(Command::new("sh").args(["-c", FETCH_RESOLVED]).current_dir(folder()));
        }
    }

    /// Builds what has to be built: the command that looks names up, or why there is none here.
    pub(crate) fn command(self) -> Result<Command, String> {
        let (folder, sources) = (folder(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolvers/clients"));
        let rust = |target: &str| {
            let program = folder.join(target);
            let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let mut build = Command::new(rustc);
            build.args(["--edition", "2024", "--target", target, "-o"]).arg(&program).arg(sources.join("lookup.rs"));
            let missing = || format!("rustc builds nothing for {target}: rustup target add {target}");
            runs(&mut build).then(|| Command::new(program)).ok_or_else(missing)
        };
        let glibc = || rust(&format!("{}-unknown-linux-gnu", env::consts::ARCH));
        match self {
            Self::Glibc => glibc(),
            Self::Musl => rust(&format!("{}-unknown-linux-musl", env::consts::ARCH)),
            Self::Go => {
                let program = folder.join("lookup-go");
                let mut build = Command::new("go");
                build.env("CGO_ENABLED", "0").args(["build", "-o"]).arg(&program).arg(sources.join("lookup.go"));
                runs(&mut build).then(|| Command::new(program)).ok_or_else(|| "go builds nothing here".to_owned())
            }
            Self::CAres => {
                let missing = || format!("python3 has no c-ares, and pip did not fetch {PYCARES}");
                let there = runs(&mut with_pycares(&["-c", "import pycares"]));
                there.then(|| with_pycares(&[&sources.join("lookup.py").display().to_string()])).ok_or_else(missing)
            }
            Self::Jvm => {
                let built = runs(Command::new("javac").arg("-d").arg(&folder).arg(sources.join("Lookup.java")));
                let mut run = Command::new("java");
                // Little is done: no time goes into doing it fast.
                run.args(["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp"]).arg(&folder).arg("Lookup");
                built.then_some(run).ok_or_else(|| "there is no javac here, which is in a JDK".to_owned())
            }
            Self::SystemdResolved => behind_resolved(&glibc()?, &sources),
        }
    }
}

/// For what is built and fetched: kept from run to run.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("resolvers");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A program behind systemd-resolved.
fn behind_resolved(program: &Command, sources: &Path) -> Result<Command, String> {
    let missing = "there is no systemd-resolved here, nor does apt have the one of this machine's systemd";
    let resolved = systemd_resolved().ok_or(missing)?;
    let behind = |program: &OsStr| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
        command.arg(sources.join("behind-resolved.sh")).arg(&resolved).arg(program);
        command
    };
    let starts = runs(&mut behind("true".as_ref()));
    let refused = || "systemd-resolved does not start here: it has to be root".to_owned();
    starts.then(|| behind(program.get_program())).ok_or_else(refused)
}

/// The one of this machine, or the one that was fetched.
fn systemd_resolved() -> Option<PathBuf> {
    let folders = [PathBuf::from("/"), folder().join("systemd")];
    let places = ["usr/lib/systemd/systemd-resolved", "lib/systemd/systemd-resolved"];
    folders.iter().flat_map(|folder| places.map(|place| folder.join(place))).find(|path| path.exists())
}

fn with_pycares(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", folder().join("pycares")).args(arguments);
    command
}

/// Whether a command can be run, and ends well.
fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

// === impl Running ===

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        // Either would change what `/etc/resolv.conf` says.
        command.env_remove("LOCALDOMAIN").env_remove("RES_OPTIONS");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    /// The addresses of a name; none when it has none. Anything else that goes wrong is an error in the resolver's words.
    pub(crate) fn lookup(&mut self, name: &str) -> Result<BTreeSet<IpAddr>, String> {
        writeln!(self.stdin, "{name}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let said = line.trim().strip_prefix(name).ok_or_else(|| format!("{name}: it says {line:?}"))?;
        let words: Vec<_> = said.split_whitespace().collect();
        if let ["!", error @ ..] = &words[..] {
            let error = error.join(" ");
            // As glibc, musl, Go and c-ares call it.
            let nothing = ["Name or service not known", "No address associated", "does not resolve", "no such host"];
            let is_nothing = nothing.iter().chain(&["not found", "no data"]).any(|words| error.contains(words));
            return if is_nothing { Ok(BTreeSet::new()) } else { Err(format!("{name}: {error}")) };
        }
        words.iter().map(|word| word.parse().map_err(|_| format!("{name}: it says {line:?}"))).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
