//! The streams that are served, and whose turn it is.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;
use http::Response;
use http_body::Body;

use crate::{
    bell::Bell,
    inbox::Inbox,
    protocol::Protocol,
    work::{Turn, Work},
};

/// What is done for all streams. Nobody has a second turn while others wait for their first.
pub(crate) struct Queue<F, B> {
    /// By the number of their stream.
    works: Vec<Work<F, B>>,
    /// Who can go on.
    due: VecDeque<u32>,
    /// Who has no window to send in, the one that was served last behind the others.
    full: Vec<u32>,
}

/// Turns until what was written has to go. More if more streams are due.
const TURNS: usize = 64;

// === impl Queue ===

impl<F, B> Default for Queue<F, B> {
    fn default() -> Self {
        Self { works: Vec::new(), due: VecDeque::new(), full: Vec::new() }
    }
}

impl<F, B> Queue<F, B> {
    fn place(&self, stream: u32) -> Option<usize> {
        self.works.binary_search_by_key(&stream, |work| work.stream).ok()
    }

    /// A stream that is due has its turn once, however often it is told so.
    fn is_due(&mut self, stream: u32) {
        if let Some(at) = self.place(stream)
            && !mem::replace(&mut self.works[at].is_due, true)
        {
            self.due.push_back(stream);
        }
    }

    fn is_full(&mut self, at: usize) {
        let Work { stream, is_full, .. } = &mut self.works[at];
        if !mem::replace(is_full, true) {
            self.full.push(*stream);
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.works.capacity() + self.due.capacity() + self.full.capacity()
    }

    /// A stream is no more, nor what is done for it.
    pub(crate) fn remove(&mut self, stream: u32) {
        let Some(at) = self.place(stream) else { return };
        let Work { is_due, is_full, .. } = self.works.remove(at);
        if is_full {
            self.full.retain(|full| *full != stream);
        }
        if is_due {
            self.due.retain(|due| *due != stream);
        }
        if self.works.is_empty() {
            *self = Self::default(); // it may have been many
        }
    }
}

impl<F, B> Queue<F, B>
where
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + Unpin,
{
    /// A stream that was opened after all others.
    pub(crate) fn add(&mut self, stream: u32, inbox: Arc<Inbox>, bare: bool, answer: F) {
        if self.works.is_empty() {
            self.works.reserve_exact(1); // most connections have one
        }
        self.works.push(Work::new(stream, inbox, bare, answer));
        self.is_due(stream);
    }

    /// Goes on with the streams that can, until there is no room to write in. Whether there were any.
    pub(crate) fn run(&mut self, protocol: &mut Protocol, bell: &Bell) -> bool {
        bell.rung().into_iter().for_each(|stream| self.is_due(stream));
        if protocol.has_widened() {
            self.look_for_room(protocol);
        }
        let (mut ran, mut served) = (false, Vec::new());
        for _ in 0..self.due.len().max(TURNS) {
            if protocol.out.is_full() {
                break;
            }
            let Some(stream) = self.due.pop_front() else { break };
            let Some(at) = self.place(stream) else { continue };
            ran = true;
            self.works[at].is_due = false;
            match self.works[at].turn(protocol) {
                Turn::Waits => {}
                Turn::Goes => self.is_due(stream),
                Turn::Full => self.is_full(at),
                Turn::Spent => served.push(stream),
                Turn::Done => self.remove(stream),
            }
        }
        for stream in served {
            match self.place(stream) {
                Some(at) if self.due.is_empty() => self.is_full(at),
                _ => self.is_due(stream), // behind those that find no window now
            }
        }
        if self.due.is_empty() {
            self.due = VecDeque::new();
        }
        ran
    }

    /// Windows have grown.
    fn look_for_room(&mut self, protocol: &Protocol) {
        for stream in mem::take(&mut self.full) {
            let Some(at) = self.place(stream) else { continue };
            self.works[at].is_full = false;
            match protocol.room(stream) {
                0 => self.is_full(at),
                _ => self.is_due(stream),
            }
        }
    }
}

impl<F, B> std::fmt::Debug for Queue<F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.works).finish()
    }
}
