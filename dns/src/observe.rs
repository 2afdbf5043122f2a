//! What is asked, for people: who asks most and for what, and by choice each query.
//!
//! - [`top`]: names and clients by counters that are bounded, of a sample of the queries
//! - [`log`]: a line for each query; [`tap`]: the same for what reads dnstap
//! - [`Observer`]: what workers tell; it never makes them wait

pub mod flags;
pub mod log;
pub mod tap;
pub mod top;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::registry::Registry;
use rollcall_admin::page;
use tokio::sync::broadcast;

use crate::answer::wire;
use crate::answer::{Asker, Transport};
use top::Top;

/// One query of so many is counted, by each worker.
pub const SAMPLED: u32 = 16;
/// Queries that wait to be written. Beyond these the oldest are left out, and counted.
const WAITING_MAX: usize = 8192;

/// A query with its answer.
#[derive(Debug)]
pub struct Seen {
    /// When, since the epoch.
    pub at: Duration,
    /// Who asked.
    pub from: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// As it came.
    pub query: Box<[u8]>,
    /// The answer, as it is sent; `None` when another server is asked first.
    pub answer: Option<Box<[u8]>>,
}

/// What workers tell about queries.
#[derive(Debug, Default)]
pub struct Observer {
    top: Mutex<Top>,
    each: Option<broadcast::Sender<Arc<Seen>>>,
    left_out: AtomicU64,
    /// So many of each kind are told as metrics.
    top_metrics: usize,
}

// === impl Observer ===

impl Observer {
    /// One that has each query told to those who [listen](Self::listen), if `each`.
    pub fn new(each: bool) -> Self {
        Self { each: each.then(|| broadcast::channel(WAITING_MAX).0), ..Self::default() }
    }

    /// Has the first of each kind told as metrics, so many of them.
    pub fn telling(self, most: u8) -> Self {
        Self { top_metrics: most.into(), ..self }
    }

    /// Each query from now on; `None` when they are not told.
    pub fn listen(&self) -> Option<broadcast::Receiver<Arc<Seen>>> {
        self.each.as_ref().map(broadcast::Sender::subscribe)
    }

    /// A query came. `turn` counts those of one worker.
    pub fn saw(&self, query: &[u8], answer: Option<&[u8]>, asker: &Asker, turn: u32) {
        if turn.is_multiple_of(SAMPLED)
            && let Some(name) = name(query)
        {
            let denied = answer.is_some_and(|answer| answer.get(3).is_some_and(|flags| flags & 0x0f == 3));
            // Whoever holds it counts one query.
            self.top.lock().unwrap_or_else(PoisonError::into_inner).count(&name, asker.from, denied, asker.now_s);
        }
        if let Some(each) = &self.each {
            let seen = Seen {
                at: crate::clock::since_epoch(),
                from: asker.from,
                transport: asker.transport,
                query: query.into(),
                answer: answer.map(Into::into),
            };
            // Without anybody who listens it is told to nobody.
            drop(each.send(Arc::new(seen)));
        }
    }

    /// So many queries could not be written in time.
    pub fn left_out(&self, number: u64) {
        self.left_out.fetch_add(number, Relaxed);
    }

    /// How many those were.
    pub fn left_out_total(&self) -> u64 {
        self.left_out.load(Relaxed)
    }

    /// Registers those metrics.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        let most = self.top_metrics;
        if most == 0 {
            return;
        }
        let observer = Arc::clone(self);
        page::register(registry, move |page| {
            let first = observer.top.lock().unwrap_or_else(PoisonError::into_inner).first(most);
            let values = first.iter().flat_map(|(kind, all)| {
                all.iter().map(move |(of, count)| ([("kind", *kind), ("of", of.as_str())], *count as f64))
            });
            let help = "About how many queries of the last minutes were for the most frequent names (kind name), for the most frequent ones \
                        that do not exist (denied), and from the clients that ask most (client); as many of each as --top-metrics says.";
            page.gauges("rollcall_dns_top_queries", help, values)
        });
    }

    /// Who asks most, and for what, as text.
    pub fn page(&self) -> String {
        self.top.lock().unwrap_or_else(PoisonError::into_inner).page()
    }
}

/// The name that a query asks for, in lower case; `None` when it cannot be read.
pub(crate) fn name(query: &[u8]) -> Option<String> {
    let (mut at, mut name) = (wire::HEADER_BYTES, String::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            return Some(if name.is_empty() { ".".to_owned() } else { name });
        }
        if length > 63 || name.len() > 1024 {
            return None;
        }
        for byte in query.get(at + 1..at + 1 + length)? {
            match byte {
                // What would end a line, a label or a text is written as in files of zones (RFC 1035 §5.1).
                b'.' | b'"' | b'\\' => name.extend(['\\', char::from(*byte)]),
                byte if byte.is_ascii_graphic() => name.push(char::from(byte.to_ascii_lowercase())),
                byte => name.push_str(&format!("\\{byte:03}")),
            }
        }
        name.push('.');
        at += 1 + length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &[u8]) -> Vec<u8> {
        [&[0; 12][..], name, &[0, 0, 1, 0, 1]].concat()
    }

    #[test]
    fn names_are_written_so_that_a_line_stays_one() {
        assert_eq!(name(&query(b"\x03WwW\x02ex")).as_deref(), Some("www.ex."));
        assert_eq!(name(&query(b"\x05a\n\".\\")).as_deref(), Some("a\\010\\\"\\.\\\\."));
        assert_eq!(name(&query(b"")).as_deref(), Some("."));
        assert_eq!((name(b"short"), name(&[&[0; 12][..], b"\xc0\x0c"].concat())), (None, None));
    }

    #[test]
    fn one_of_sixteen_is_counted_and_each_is_told_if_somebody_listens() {
        let observer = Observer::new(true);
        let mut each = observer.listen().unwrap();
        let asker = Asker::from(Transport::Udp);
        for turn in 0..32 {
            observer.saw(&query(b"\x01a"), Some(&[0, 0, 0x84, 0x03]), &asker, turn);
        }
        assert!(observer.page().contains("2 a.") && observer.page().contains("2 0.0.0.0"), "{}", observer.page());
        assert_eq!(each.try_recv().unwrap().answer.as_deref(), Some(&[0, 0, 0x84, 0x03][..]));
        assert!(Observer::new(false).listen().is_none());
    }
}
