//! A file at the start.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::format::{self, Entry, FormatError, Reader};

/// A file that was found whole.
#[derive(Debug)]
pub struct Saved {
    /// Of the file as it is now, whatever takes its place.
    file: File,
    /// When what is in it was last known to be right, as time since the epoch.
    pub as_of: Duration,
    /// Whether everything that there was is in it.
    pub(super) whole: bool,
}

// === impl Saved ===

impl Saved {
    /// Opens a file and reads all of it once, to see that it is what was written. `None` when there is none.
    ///
    /// # Errors
    /// When it is of no use. Nothing of it has been believed then.
    pub fn open(path: &Path) -> Result<Option<Self>, FormatError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let about = file.metadata()?;
        format::verify(BufReader::new(&file), about.len())?;
        (&file).rewind()?;
        let header = Reader::new(BufReader::new(&file))?;
        if !header.whole {
            return Err(FormatError::Partial);
        }
        // While nothing changes the file stays as it is, and its time of modification goes on.
        let touched = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let as_of = touched.unwrap_or_default().max(Duration::from_secs(header.unix_time));
        Ok(Some(Self { file, as_of, whole: true }))
    }

    /// How old it is at `now`, a time since the epoch. From the future, as by a clock that was wrong, counts as of now.
    pub fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.as_of)
    }

    /// Its entries. They have been found whole; an error is one of the disk.
    pub fn read(&self, mut each: impl FnMut(Entry)) -> Result<(), FormatError> {
        (&self.file).rewind()?;
        let mut reader = Reader::new(BufReader::with_capacity(64 << 10, &self.file))?;
        while let Some(entry) = reader.next_entry()? {
            each(entry);
        }
        Ok(())
    }

    pub(super) fn of(file: File, as_of: Duration, whole: bool) -> Self {
        Self { file, as_of, whole }
    }

    /// What is in it is right as of `now`.
    pub(super) fn touch(&mut self, now: Duration) -> std::io::Result<()> {
        self.as_of = self.as_of.max(now);
        self.file.set_modified(UNIX_EPOCH + now)
    }
}
