//! Log lines on their way to standard error: a bounded queue and a thread that writes.
//!
//! Whoever reads standard error (a pipe, the container runtime) may be slow or stand still. A write would then block the
//! task that logs, and with it the answers to everybody else: so the queue takes what it can, and the rest is counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use super::{counts, escape};

#[cfg(test)]
mod tests;

/// The log's queue. Clones are the same.
#[derive(Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
    colours: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    /// There is a line.
    more: Condvar,
    /// There is none, and none is being written.
    idle: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Box<str>>,
    /// Of all lines.
    bytes: usize,
    writing: bool,
    closed: bool,
}

/// Bytes that wait at most.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Longer lines are dropped: half of one would be worse to read, as JSON above all.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes in one write, but for a longer line.
const WRITE_BYTES: usize = 64 << 10;
/// Pause before the next attempt where standard error takes nothing at the moment (it was set not to block).
const RETRY: Duration = Duration::from_millis(10);
/// Between two summaries.
const SUMMARY_EVERY: Duration = Duration::from_secs(10);

// === impl Lines ===

impl Lines {
    /// Starts the thread that writes to `sink`. About each 10 s, if no line waits, it calls `summary`, which may log.
    pub(super) fn to(
        sink: impl Write + Send + 'static,
        colours: bool,
        summary: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), more: Condvar::new(), idle: Condvar::new() });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(sink, summary))?;
        Ok(Self { shared, colours })
    }

    /// Waits until all that was said is written, for so long at most.
    pub(super) fn flush(&self, at_most: Duration) {
        let waits = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        drop(self.shared.idle.wait_timeout_while(self.shared.queue(), at_most, waits));
    }

    fn put(&self, formatted: &[u8]) {
        let text = String::from_utf8_lossy(formatted);
        let line = escape::line(&text, self.colours);
        let mut queue = self.shared.queue();
        if line.len() > LINE_BYTES_MAX || queue.bytes + line.len() > QUEUE_BYTES_MAX {
            counts::DROPPED.add(1);
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.into());
        self.shared.more.notify_one();
    }

    #[cfg(test)]
    fn close(&self) {
        self.shared.queue().closed = true;
        self.shared.more.notify_one();
    }
}

// === impl Shared ===

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut sink: impl Write, mut summary: impl FnMut()) {
        let mut summed_up = Instant::now();
        let mut buffer = Vec::with_capacity(WRITE_BYTES);
        while let Some(lines) = self.take(&mut buffer) {
            if lines > 0 {
                let count = if write_all(&mut sink, &buffer).is_ok() { &counts::WRITTEN } else { &counts::DROPPED };
                count.add(lines);
            }
            if summed_up.elapsed() >= SUMMARY_EVERY {
                summed_up = Instant::now();
                summary();
            }
        }
    }

    /// The next lines, in `buffer`, when there are some within the time of a summary; `None` at the end.
    fn take(&self, buffer: &mut Vec<u8>) -> Option<u64> {
        buffer.clear();
        let mut queue = self.queue();
        queue.writing = false;
        if queue.lines.is_empty() {
            self.idle.notify_all();
            let waits = |queue: &mut Queue| queue.lines.is_empty() && !queue.closed;
            let waited = self.more.wait_timeout_while(queue, SUMMARY_EVERY, waits);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut lines = 0;
        while queue.lines.front().is_some_and(|line| lines == 0 || buffer.len() + line.len() <= WRITE_BYTES) {
            let Some(line) = queue.lines.pop_front() else { break };
            queue.bytes -= line.len();
            buffer.extend_from_slice(line.as_bytes());
            lines += 1;
        }
        queue.writing = lines > 0;
        (lines > 0 || !queue.closed).then_some(lines)
    }
}

/// As [`Write::write_all`], also where the other end was set not to block by another process that has it, too.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    let never = (Mutex::new(()), Condvar::new());
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drop(never.1.wait_timeout(never.0.lock().unwrap_or_else(PoisonError::into_inner), RETRY));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One line. The formatter writes each at once.
pub(super) struct Line<'a>(&'a Lines);

// === impl Line ===

impl Write for Line<'_> {
    fn write(&mut self, formatted: &[u8]) -> io::Result<usize> {
        self.0.put(formatted);
        Ok(formatted.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}
