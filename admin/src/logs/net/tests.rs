//! Tests: a net beneath all lines.

use std::io::{self, Write};
use std::sync::Mutex;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::*;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<String>>);

// === impl Page ===

impl Write for Page {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_library_that_speaks_of_each_packet_is_bounded_and_summed_up() {
    let (page, net) = (Page::default(), Net::default());
    let to = page.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || to.clone()).with_ansi(false);
    let filter = tracing_subscriber::filter::FilterExt::and(LevelFilter::DEBUG, net.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.with_filter(filter)), || {
        (0..3200).for_each(|packet| tracing::warn!(target: "hickory_proto::rr", packet, "malformed option"));
        (0..100).for_each(|number| tracing::warn!(target: "rollcall_dns", number, "ours"));
        (0..100).for_each(|number| tracing::debug!(target: "hickory_proto::rr", number, "asked for"));
        net.summary()();
    });
    let page = page.0.lock().unwrap();
    let count = |words: &str| page.lines().filter(|line| line.contains(words)).count();
    assert_eq!((count("malformed option"), count("ours"), count("asked for")), (5, 100, 100), "{page}");
    assert!(page.contains("withheld=3195") && page.contains("hickory_proto::rr"), "{page}");
}
