//! The file as it is on disk: a ConfigMap that is changed is another file after a while.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_util::sync::CancellationToken;

use super::{BYTES_MAX, Hosts, Table};

/// How often it is looked at.
const EACH: Duration = Duration::from_secs(5);

/// Reads the file again when it changes.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    text: String,
    table: Table,
}

// === impl Keeper ===

impl Keeper {
    /// Reads the file, which must be there and without a fault.
    pub fn new(path: PathBuf) -> anyhow::Result<Self> {
        let text = read(&path)?;
        let hosts = Hosts::parse(&text).with_context(|| format!("--hosts {}", path.display()))?;
        Ok(Self { path, text, table: Table::new(hosts) })
    }

    /// What it says, now and later.
    pub fn table(&self) -> Table {
        self.table.clone()
    }

    /// Keeps the table in step until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EACH)).await.is_some() {
            self.look();
        }
    }

    /// What cannot be read leaves what was read before.
    fn look(&mut self) {
        match read(&self.path) {
            Ok(text) if text == self.text => {}
            Ok(text) => {
                match Hosts::parse(&text) {
                    Ok(hosts) => {
                        tracing::info!(path = %self.path.display(), "the hosts file has changed");
                        self.table.set(hosts);
                    }
                    Err(error) => {
                        tracing::warn!("--hosts {}: {error}; the names before are kept", self.path.display());
                    }
                }
                // A fault is told once.
                self.text = text;
            }
            Err(error) => tracing::warn!("{error:#}; the names before are kept"),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(|| format!("--hosts {}", path.display()))?;
    let read = file.take(BYTES_MAX as u64 + 1).read_to_string(&mut text);
    read.with_context(|| format!("--hosts {}", path.display()))?;
    ensure!(text.len() <= BYTES_MAX, "--hosts {}: more than {BYTES_MAX} bytes; give a shorter file", path.display());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    #[test]
    fn a_change_is_read_and_a_fault_leaves_what_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let error = format!("{:#}", Keeper::new(path.clone()).unwrap_err());
        assert!(error.contains("--hosts") && error.contains("No such file"), "{error}");
        std::fs::write(&path, "10.0.0.1 a\nb").unwrap();
        let error = format!("{:#}", Keeper::new(path.clone()).unwrap_err());
        assert!(error.contains("line 2: `b`"), "{error}");

        std::fs::write(&path, "192.0.2.1 a.example").unwrap();
        let mut keeper = Keeper::new(path.clone()).unwrap();
        let table = keeper.table();
        let told = || {
            let data = table.of(&Name::from_ascii("a.example.").unwrap(), RecordType::A);
            data.map(|data| data.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("192.0.2.2 a.example", Some("192.0.2.2")),
            ("nonsense", Some("192.0.2.2")),
            ("192.0.2.3 b.example", None),
            ("192.0.2.4 a.example", Some("192.0.2.4")),
        ] {
            std::fs::write(&path, text).unwrap();
            keeper.look();
            assert_eq!(told(), expected.map(|address| vec![address.to_owned()]), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        keeper.look();
        assert!(told().is_some());
        std::fs::write(&path, vec![b'#'; BYTES_MAX + 1]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("give a shorter file"));
    }
}
