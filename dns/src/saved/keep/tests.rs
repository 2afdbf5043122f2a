//! Tests: one file after the other.

use std::collections::BTreeMap;

use rollcall_xds::client::Upsert;

use super::*;
use crate::saved::format::Entry;

const NOW: Duration = Duration::from_secs(1_700_000_000);

struct Bench {
    folder: tempfile::TempDir,
    saver: Saver,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), saver: Saver::default(), metrics: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("catalog")
    }

    fn keeper(&self, base: Option<Saved>) -> Keeper {
        Keeper::new(self.path(), base, self.saver.clone(), Arc::clone(&self.metrics), || NOW)
    }

    fn note(&self, ty: ResourceType, upserts: &[(&str, &str)], removed: &[&str]) {
        let upserts = upserts.iter().map(|(name, value)| Upsert {
            name: Arc::from(*name),
            version: Arc::from(*value),
            value: Bytes::copy_from_slice(value.as_bytes()),
        });
        let removed = removed.iter().map(|name| Arc::from(*name)).collect();
        self.saver.note(&Update { ty, upserts: upserts.collect(), removed }, |name| name == "refused");
    }

    fn held(&self) -> BTreeMap<String, String> {
        let mut held = BTreeMap::new();
        let saved = Saved::open(&self.path()).unwrap().expect("a file");
        saved
            .read(|Entry { resource, .. }| {
                let value = String::from_utf8(resource.value.to_vec()).unwrap();
                assert_eq!(*resource.version, *value, "versions belong to values");
                assert_eq!(held.insert(resource.name.to_string(), value), None, "each name once");
            })
            .unwrap();
        held
    }
}

fn map(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn each_file_is_the_last_one_with_what_changed_since() {
    let bench = Bench::new();
    bench.note(ResourceType::Service, &[("a", "1"), ("b", "1"), ("refused", "1")], &[]);
    bench.note(ResourceType::Zone, &[("zone", "1")], &[]);
    let keeper = bench.keeper(None).step();
    assert_eq!(bench.held(), map(&[("a", "1"), ("b", "1"), ("zone", "1")]));

    bench.note(ResourceType::Service, &[("a", "2"), ("c", "1")], &["b"]);
    bench.note(ResourceType::Service, &[("a", "3")], &[]);
    keeper.step();
    assert_eq!(bench.held(), map(&[("a", "3"), ("c", "1"), ("zone", "1")]));

    // The next process begins with the file.
    let next = Bench { saver: Saver::default(), ..bench };
    let saved = Saved::open(&next.path()).unwrap();
    next.note(ResourceType::Service, &[], &["c"]);
    next.keeper(saved).step();
    assert_eq!(next.held(), map(&[("a", "3"), ("zone", "1")]));
    let names: Vec<_> = fs::read_dir(next.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the file and its lock: {names:?}");
}

#[test]
fn before_the_whole_catalog_has_come_the_file_is_for_nobody() {
    let bench = Bench::new();
    bench.note(ResourceType::Service, &[("a", "1")], &[]);
    let keeper = bench.keeper(None).step();
    assert!(matches!(Saved::open(&bench.path()), Err(FormatError::Partial)));
    bench.note(ResourceType::Zone, &[("zone", "1")], &[]);
    keeper.step();
    assert_eq!(bench.held(), map(&[("a", "1"), ("zone", "1")]));
}

#[test]
fn a_file_grows_older_only_without_a_stream() {
    let bench = Bench::new();
    bench.note(ResourceType::Zone, &[("zone", "1")], &[]);
    let mut keeper = bench.keeper(None);
    keeper.clock = || NOW;
    let mut keeper = keeper.step();
    let age = || Saved::open(&bench.path()).unwrap().unwrap().age(NOW + Duration::from_secs(100));
    assert_eq!(age(), Duration::from_secs(100));
    keeper.clock = || NOW + Duration::from_secs(60);
    let mut keeper = keeper.step();
    assert_eq!(age(), Duration::from_secs(40));
    bench.saver.lost();
    keeper.clock = || NOW + Duration::from_secs(90);
    let keeper = keeper.step();
    assert_eq!(age(), Duration::from_secs(40));
    bench.note(ResourceType::Service, &[("a", "1")], &[]);
    let keeper = keeper.step();
    assert_eq!(age(), Duration::from_secs(40), "a change that came before the loss");
    bench.saver.found();
    keeper.step();
    assert_eq!(age(), Duration::from_secs(10));
}

#[test]
fn two_processes_on_one_path_each_leave_a_file_of_their_own() {
    let bench = Bench::new();
    bench.note(ResourceType::Service, &[("a", "1"), ("b", "1")], &[]);
    bench.note(ResourceType::Zone, &[("zone", "1")], &[]);
    let first = bench.keeper(None).step();
    let other = Bench { folder: tempfile::tempdir().unwrap(), saver: Saver::default(), metrics: Arc::default() };
    let second = Keeper { path: bench.path(), ..other.keeper(Saved::open(&bench.path()).unwrap()) };
    bench.note(ResourceType::Service, &[("only-the-first-saw-it", "1")], &[]);
    let first = first.step();
    other.note(ResourceType::Service, &[], &["a"]);
    second.step();
    assert_eq!(bench.held(), map(&[("b", "1"), ("zone", "1")]));
    bench.note(ResourceType::Service, &[], &["only-the-first-saw-it"]);
    first.step();
    assert_eq!(bench.held(), map(&[("a", "1"), ("b", "1"), ("zone", "1")]));

    let lock = File::open(beside(&bench.path(), "lock")).unwrap();
    lock.lock().unwrap();
    bench.note(ResourceType::Service, &[("c", "1")], &[]);
    let first = bench.keeper(Saved::open(&bench.path()).unwrap()).step();
    assert!(!bench.held().contains_key("c"), "another is writing");
    drop(lock);
    first.step();
    assert!(bench.held().contains_key("c"), "nothing is lost meanwhile");
}

#[test]
fn more_than_may_wait_takes_the_file_away() {
    let bench = Bench::new();
    bench.note(ResourceType::Zone, &[("zone", "1")], &[]);
    let keeper = bench.keeper(None).step();
    let value = "x".repeat(PENDING_BYTES_MAX / 4);
    for name in ["a", "b", "c", "d"] {
        bench.note(ResourceType::Service, &[(name, &value)], &[]);
    }
    assert!(bench.saver.pending().changes.of.is_empty(), "nothing is held any more");
    keeper.step();
    assert!(Saved::open(&bench.path()).unwrap().is_none());
    bench.note(ResourceType::Service, &[("a", "1")], &[]);
    assert!(bench.saver.pending().changes.of.is_empty());
}

#[test]
fn what_cannot_be_written_waits() {
    let bench = Bench::new();
    bench.note(ResourceType::Zone, &[("zone", "1")], &[]);
    let keeper = Keeper { path: bench.folder.path().join("missing/catalog"), ..bench.keeper(None) }.step();
    assert!(keeper.said.as_ref().is_some_and(|said| said.contains("cannot write the snapshot")), "{:?}", keeper.said);
    Keeper { path: bench.path(), ..keeper }.step();
    assert_eq!(bench.held(), map(&[("zone", "1")]));
}
