//! Resolvers, each a program that looks up what it is told, line by line.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Of c-ares for Python; with it `import pycares` works everywhere that Python packages can be had.
const PYCARES: &str = "pycares==4.11.0";

/// Whose resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    Glibc,
    Musl,
    Go,
    CAres,
    Jvm,
}

/// One that runs, and ends with this.
pub(crate) struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

// === impl Resolver ===

impl Resolver {
    pub(crate) const ALL: [Self; 5] = [Self::Glibc, Self::Musl, Self::Go, Self::CAres, Self::Jvm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
            Self::Go => "go",
            Self::CAres => "c_ares",
            Self::Jvm => "jvm",
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
        match self {
            Self::Glibc => rust(&format!("{}-unknown-linux-gnu", env::consts::ARCH)),
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
        }
    }
}

/// For what is built and fetched: kept from run to run.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("resolvers");
    std::fs::create_dir_all(&folder).unwrap();
    folder
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
