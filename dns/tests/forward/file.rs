//! A file that goes when a test ends, however it ends.

use std::path::{Path, PathBuf};

pub(crate) struct TempFile(PathBuf);

// === impl TempFile ===

impl TempFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rollcall-{name}-{}.conf", std::process::id()));
        let file = Self(path);
        file.write(text);
        file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}
