//! Starting children such that they die with the harness.
//!
//! Linux sends the parent-death signal when the *thread* that started the child ends, and tests run in threads of
//! their own. So one thread, which lives as long as the process, starts them all. Setting the signal in the child itself
//! would need `pre_exec`, which is unsafe; `setpriv` of util-linux does it and then becomes the program, under the same
//! process id.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Order = (Command, Sender<io::Result<Child>>);

/// A command for `program` that the kernel kills when this process ends, where `setpriv` exists.
pub(super) fn dies_with_us(program: &Path) -> Command {
    static SETPRIV: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(setpriv) = SETPRIV.get_or_init(|| crate::tools::on_path("setpriv")) else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts a command from the thread that outlives all others.
pub(super) fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts processes is gone");
    let orders = ORDERS.get_or_init(|| {
        let (send, receive) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in receive {
                // Whoever ordered waits below, so somebody takes the answer.
                let _ = answer.send(command.spawn());
            }
        });
        send
    });
    let (send, receive) = channel();
    orders.send((command, send)).map_err(|_| gone())?;
    receive.recv().map_err(|_| gone())?
}
