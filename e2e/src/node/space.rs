//! Namespaces, held open by one process that does nothing else. When it is killed, the kernel ends everything in them:
//! processes, mounts, network devices, rules.
//!
//! Programs enter with `nsenter`, from outside: they are children of this process, with a log, an exit status and signals
//! as any [`Process`] of the harness, and can be killed, frozen and started again one by one.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::cgroups::Group;
use crate::clock;
use crate::process::{Process, Program};

/// Writes its process id to each file before `--`, and becomes what comes after it.
const JOIN: &str = r#"while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@""#;

const OPEN_BOUND: Duration = Duration::from_secs(60);

/// Namespaces of a cluster, or of one of its nodes.
#[derive(Debug)]
pub(super) struct Space {
    holder: Process,
    /// The process that is in the namespaces, as it is called outside of them.
    pid: u32,
    group: Group,
}

// === impl Space ===

impl Space {
    /// All namespaces that a cluster needs: mounts, network, processes, host name, IPC and control groups.
    pub(super) fn open(pause: &Path, mut group: Group, logs: &Path) -> Result<Self> {
        const UNSHARE: [&str; 11] = [
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--uts",
            "--ipc",
            "--cgroup",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation=private",
        ];
        let args = joining(&group).chain(UNSHARE.map(String::from)).chain([path(pause)?, "pause".into()]);
        let holder = Program::new("namespaces", "sh", logs).args(args).start()?;
        let (holder, pid) = held(holder, pause)?;
        group.delegate()?;
        Ok(Self { holder, pid, group })
    }

    /// Namespaces of a node inside of these: all but that of processes, which is shared.
    pub(super) fn open_node(&self, name: &str, pause: &Path, logs: &Path) -> Result<Self> {
        const UNSHARE: [&str; 7] =
            ["unshare", "--mount", "--net", "--uts", "--ipc", "--cgroup", "--propagation=private"];
        let mut group = self.group.child(name)?;
        let args = joining(&group).chain(self.enter()).chain(UNSHARE.map(String::from));
        let args = args.chain([path(pause)?, "pause".into()]);
        let holder = Program::new(format!("{name}-namespaces"), "sh", logs).args(args).start()?;
        let (holder, pid) = held(holder, pause)?;
        group.delegate()?;
        Ok(Self { holder, pid, group })
    }

    /// The process id by which others name the namespaces.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The process that holds them.
    pub(super) fn holder(&mut self) -> &mut Process {
        &mut self.holder
    }

    /// The words before a command to run it in all of the namespaces.
    fn enter(&self) -> impl Iterator<Item = String> + use<> {
        let pid = self.pid.to_string();
        let words = ["nsenter", "--target", &pid, "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--"];
        words.map(String::from).into_iter()
    }

    /// The words before a command to run it in the network alone, with the files and processes of the machine.
    pub(super) fn enter_network(&self) -> Vec<String> {
        ["nsenter", "--target", &self.pid.to_string(), "--net", "--"].map(String::from).to_vec()
    }

    /// A program in all of the namespaces and control groups.
    pub(super) fn program(&self, name: &str, binary: &Path, logs: &Path) -> Result<Program> {
        let args = joining(&self.group).chain(self.enter()).chain([path(binary)?]);
        Ok(Program::new(name, "sh", logs).args(args))
    }

    /// A command in all of the namespaces.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.enter().skip(1)).arg(program);
        command
    }

    /// A command in the network alone.
    pub(super) fn network_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(&self.enter_network()[1..]).arg(program);
        command
    }

    /// Runs a command in all of the namespaces and returns its output.
    pub(super) fn run(&self, words: &[&str]) -> Result<String> {
        let (program, args) = words.split_first().context("a command without a program")?;
        output(self.command(program).args(args), &words.join(" "))
    }

    /// Calls a function on a thread that is in the network. Sockets that it opens are there, and `/proc/sys/net` is the
    /// network's own; processes that it starts by [`Program`] are not.
    pub(super) fn inside<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        inside(&self.network()?, body)
    }

    /// Connects from the network, also when this is away, until all in it have ended.
    pub(super) fn door(&self) -> Result<impl Fn(SocketAddr) -> Result<TcpStream> + Send + Sync + use<>> {
        let network = self.network()?;
        Ok(move |address| inside(&network, || Ok(TcpStream::connect(address)?)))
    }

    fn network(&self) -> Result<File> {
        let file = format!("/proc/{}/ns/net", self.pid);
        File::open(&file).with_context(|| format!("opening {file}: has the cluster ended?"))
    }

    /// A path of the namespaces' files, as it is called outside of them.
    pub(super) fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    /// Ends everything in the namespaces, and removes their control groups.
    pub(super) fn close(&mut self) -> Result<()> {
        self.holder.kill()?;
        let gone = || !Path::new(&format!("/proc/{}", self.pid)).exists();
        let start = clock::now();
        // Not `wait_until`: an interrupt is often why it shall end.
        while !gone() && start.elapsed() < OPEN_BOUND {
            clock::pause(Duration::from_millis(10));
        }
        self.group.remove()
    }
}

/// Calls a function on a thread in a network.
fn inside<T: Send>(network: &File, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let work = || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).context("entering the network")?;
        body()
    };
    let outcome = std::thread::scope(|scope| scope.spawn(work).join());
    outcome.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => anyhow!("{text}"),
        Err(panic) => anyhow!("{}", panic.downcast_ref::<&str>().unwrap_or(&"a panic without a message")),
    })?
}

/// The words before a command to run it in the control groups.
fn joining(group: &Group) -> impl Iterator<Item = String> + use<> {
    let doors = group.doors().into_iter().map(|door| door.display().to_string());
    ["-c", JOIN, "sh"].map(String::from).into_iter().chain(doors).chain(["--".into()])
}

/// The holder once `pause` runs, and the process id of that.
fn held(mut holder: Process, pause: &Path) -> Result<(Process, u32)> {
    let parent = holder.pid().context("the holder of the namespaces has not been started")?;
    let pid = holder.wait_until("namespaces", OPEN_BOUND, || Ok(child_running(parent, pause)))?;
    Ok((holder, pid))
}

/// The child of a process that is this program by now.
fn child_running(parent: u32, program: &Path) -> Option<u32> {
    let processes = Path::new("/proc").read_dir().ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        parent_of(*pid) == Some(parent)
            && std::fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|running| running.file_name() == program.file_name())
    })
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn output(command: &mut Command, words: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{words}: starting nsenter"))?;
    if !output.status.success() {
        bail!("{words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn path(path: &Path) -> Result<String> {
    path.to_str().map(String::from).with_context(|| format!("{} is not UTF-8", path.display()))
}
