//! What later steps need is made while earlier ones run: programs from Go modules, and images. It has the same share of the processor
//! as lints and builds: then images are there when the end-to-end tests begin, which wait for others more than they compute, and
//! those on a real node run beside them.

use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use rollcall_e2e::tools;

use crate::image;

/// What is being made, in this order.
pub(super) struct Ahead {
    end_to_end: Receiver<Result<()>>,
    /// The thread ends with it.
    node: JoinHandle<Result<()>>,
}

// === impl Ahead ===

impl Ahead {
    /// Begins. Only what is wanted is made; nothing of the second part where no node can run.
    pub(super) fn begin(with_end_to_end: bool, node_images: Option<image::Options>) -> Self {
        let (made, end_to_end) = channel();
        let node = std::thread::spawn(move || {
            // Nobody receives when the test was interrupted.
            let _ = made.send(if with_end_to_end { tools::all() } else { Ok(()) });
            node_images.map_or(Ok(()), |images| node_tools(&images))
        });
        Self { end_to_end, node }
    }

    /// Waits for what the end-to-end tests run.
    pub(super) fn end_to_end(&self) -> Result<()> {
        self.end_to_end.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Waits for what the tests on a real node run.
    pub(super) fn node(self) -> Result<()> {
        self.node.join().unwrap_or_else(|_| Err(ended()))
    }
}

fn node_tools(images: &image::Options) -> Result<()> {
    tools::node()?;
    image::made(images).map(drop)
}

fn ended() -> anyhow::Error {
    anyhow!("the thread that makes it has ended: its message is above")
}
