//! What changed since goes into the next file, which takes the place of the last one whole.
//!
//! A write reads the last file and leaves out what is newer in memory: so memory holds what changed, not the catalog. The
//! last file is held open, and is what this process wrote or read: whoever else writes at the same path replaces the
//! name, never the content, so two servers on one path lose nothing but each other's file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use rollcall_xds::client::Update;
use rollcall_xds::resource::ResourceType;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::format::{FormatError, Writer};
use super::load::Saved;
use super::{FILE_BYTES_MAX, metrics::Metrics};

/// Between two writes, however much changes; longer where a write takes long, so that it is a fiftieth of the time at most.
pub const PAUSE: Duration = Duration::from_secs(10);
const SHARE_OF_TIME: u32 = 50;
/// Changes that are written without waiting for the pause, in bytes: those of a first catalog.
const SOON_BYTES: usize = 4 << 20;
/// Changes that may wait for the disk, in bytes. With more there is no file any more: a part would be wrong.
const PENDING_BYTES_MAX: usize = 32 << 20;

/// Takes note of what changes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Saver {
    shared: Arc<Shared>,
}

/// Writes the files.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    base: Option<Saved>,
    saver: Saver,
    metrics: Arc<Metrics>,
    clock: fn() -> Duration,
    /// What went wrong last, so that it is said once.
    said: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// Something is to be written before the next pause is over.
    soon: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    changes: Changes,
    /// What is known is what the catalog says now.
    in_step: bool,
    /// Everything has been seen once.
    whole: bool,
    /// More waited than may.
    overflowed: bool,
}

/// Version and value of a resource.
type Body = (Arc<str>, Bytes);

/// Resources by type and name, as they are now; `None` for those that are gone.
#[derive(Debug, Default)]
struct Changes {
    of: HashMap<(ResourceType, Arc<str>), Option<Body>>,
    bytes: usize,
}

// === impl Saver ===

impl Saver {
    /// An update was applied, but for what `is_refused` by name.
    pub fn note(&self, update: &Update, is_refused: impl Fn(&str) -> bool) {
        let mut pending = self.pending();
        if pending.overflowed {
            return;
        }
        for name in &update.removed {
            pending.changes.set(update.ty, Arc::clone(name), None);
        }
        for one in update.upserts.iter().filter(|one| !is_refused(&one.name)) {
            // A copy: the bytes share the memory of the whole response.
            let value = Bytes::copy_from_slice(&one.value);
            pending.changes.set(update.ty, Arc::clone(&one.name), Some((Arc::clone(&one.version), value)));
        }
        let first = update.ty == ResourceType::Zone && !pending.whole;
        if update.ty == ResourceType::Zone {
            (pending.whole, pending.in_step) = (true, true);
        }
        if pending.changes.bytes > PENDING_BYTES_MAX {
            (pending.overflowed, pending.changes) = (true, Changes::default());
        }
        if first || pending.overflowed || pending.changes.bytes > SOON_BYTES {
            self.shared.soon.notify_one();
        }
    }

    /// The stream is lost: from now on what is known grows older.
    pub fn lost(&self) {
        self.pending().in_step = false;
    }

    /// There is a stream again, after one that had brought everything.
    pub fn found(&self) {
        let mut pending = self.pending();
        pending.in_step = pending.whole;
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Keeper ===

impl Keeper {
    /// Writes at `path` what `saver` notes; `base` is what was read there at the start.
    pub fn new(
        path: PathBuf,
        base: Option<Saved>,
        saver: Saver,
        metrics: Arc<Metrics>,
        clock: fn() -> Duration,
    ) -> Self {
        Self { path, base, saver, metrics, clock, said: None }
    }

    /// Works until `stop`, then once more.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = PAUSE;
        loop {
            let shared = Arc::clone(&self.saver.shared);
            let due = async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = shared.soon.notified() => {}
                }
            };
            let stopped = stop.run_until_cancelled(due).await.is_none();
            let begin = Instant::now();
            let Ok(keeper) = tokio::task::spawn_blocking(move || self.step()).await else { return };
            self = keeper;
            pause = PAUSE.max(begin.elapsed() * SHARE_OF_TIME);
            if stopped || self.saver.pending().overflowed {
                return;
            }
        }
    }

    /// Writes what is to be written, or says that the file is still right.
    fn step(mut self) -> Self {
        let now = (self.clock)();
        let (changes, in_step, whole, overflowed) = {
            let mut pending = self.saver.pending();
            let changes = std::mem::take(&mut pending.changes);
            let whole = pending.whole || self.base.as_ref().is_some_and(|base| base.whole);
            (changes, pending.in_step, whole, pending.overflowed)
        };
        if overflowed {
            self.give_up("more changes waited for the disk than may; is it full, or very slow?");
            return self;
        }
        let as_of = if in_step { now } else { self.base.as_ref().map_or(Duration::ZERO, |base| base.as_of) };
        if changes.of.is_empty() {
            let touched = in_step.then(|| self.base.as_mut().map(|base| base.touch(now))).flatten();
            if touched.is_some_and(|touched| touched.is_ok()) {
                self.metrics.as_of(as_of);
            }
            return self;
        }
        match write(&self.path, self.base.as_ref(), &changes, whole, as_of) {
            Ok(Written::Done(saved, bytes)) => {
                self.metrics.written(bytes, as_of);
                self.base = Some(saved);
                self.said = None;
            }
            Ok(Written::Busy) => self.saver.pending().put_back(changes),
            Err(FormatError::Io(error)) => {
                self.saver.pending().put_back(changes);
                self.metrics.failed();
                self.say(format!("cannot write the snapshot {}: {error}; trying again", self.path.display()));
            }
            Err(error) => {
                let mut pending = self.saver.pending();
                (pending.overflowed, pending.changes) = (true, Changes::default());
                drop(pending);
                self.give_up(&error.to_string());
            }
        }
        self
    }

    /// A file of which a part is missing is worse than none.
    fn give_up(&mut self, reason: &str) {
        self.base = None;
        self.metrics.failed();
        drop(fs::remove_file(&self.path));
        self.say(format!(
            "the snapshot {} was removed and is not written until the next start: {reason}",
            self.path.display()
        ));
    }

    fn say(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            tracing::warn!("{what}");
            self.said = Some(what);
        }
    }
}

enum Written {
    Done(Saved, u64),
    /// Another process is writing there.
    Busy,
}

/// Writes the next file beside the last one, then puts it in its place.
fn write(
    path: &Path,
    base: Option<&Saved>,
    changes: &Changes,
    whole: bool,
    as_of: Duration,
) -> Result<Written, FormatError> {
    // Never removed: whoever holds it, holds it under this name.
    let lock = File::options().create(true).truncate(false).write(true).open(beside(path, "lock"))?;
    if lock.try_lock().is_err() {
        return Ok(Written::Busy);
    }
    let next = beside(path, "new");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&next)?;
    let written = fill(&file, base, changes, whole, as_of).and_then(|bytes| {
        file.sync_data()?;
        file.set_modified(UNIX_EPOCH + as_of)?;
        fs::rename(&next, path)?;
        Ok(bytes)
    });
    match written {
        Ok(bytes) => Ok(Written::Done(Saved::of(file, as_of, whole), bytes)),
        Err(error) => {
            drop(fs::remove_file(&next));
            Err(error)
        }
    }
}

fn fill(
    file: &File,
    base: Option<&Saved>,
    changes: &Changes,
    whole: bool,
    as_of: Duration,
) -> Result<u64, FormatError> {
    let mut writer = Writer::new(BufWriter::with_capacity(64 << 10, file), whole, as_of.as_secs())?;
    let mut failed = Ok(());
    if let Some(base) = base {
        base.read(|entry| {
            let key = (entry.ty, entry.resource.name);
            if failed.is_ok() && !changes.of.contains_key(&key) {
                failed = writer.add(key.0, &key.1, &entry.resource.version, &entry.resource.value);
            }
        })?;
    }
    failed?;
    for ((ty, name), now) in &changes.of {
        if let Some((version, value)) = now {
            writer.add(*ty, name, version, value)?;
        }
    }
    let bytes = writer.bytes();
    if bytes > FILE_BYTES_MAX - 64 {
        return Err(FormatError::TooLarge(bytes));
    }
    writer.finish()?;
    Ok(bytes)
}

/// A file of another ending in the same folder.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

// === impl Pending ===

impl Pending {
    /// What could not be written waits again, where nothing newer has come.
    fn put_back(&mut self, changes: Changes) {
        let newer = std::mem::replace(&mut self.changes, changes);
        newer.of.into_iter().for_each(|((ty, name), now)| self.changes.set(ty, name, now));
        if self.changes.bytes > PENDING_BYTES_MAX {
            (self.overflowed, self.changes) = (true, Changes::default());
        }
    }
}

// === impl Changes ===

impl Changes {
    /// What the table takes for one.
    const ENTRY_BYTES: usize = 96;

    fn set(&mut self, ty: ResourceType, name: Arc<str>, now: Option<(Arc<str>, Bytes)>) {
        let content =
            |now: &Option<(Arc<str>, Bytes)>| now.as_ref().map_or(0, |(version, value)| version.len() + value.len());
        let entry = Self::ENTRY_BYTES + name.len();
        self.bytes += content(&now);
        match self.of.insert((ty, name), now) {
            Some(before) => self.bytes -= content(&before),
            None => self.bytes += entry,
        }
    }
}

#[cfg(test)]
mod tests;
