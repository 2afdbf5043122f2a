//! What is to be written.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf as _, Bytes};

use crate::frame::{self, DATA, END_STREAM};

/// Frames until the network has them. Holds no memory when it is empty.
#[derive(Debug, Default)]
pub(crate) struct Output {
    parts: VecDeque<Bytes>,
    /// What is put together from small frames, after all parts.
    tail: Vec<u8>,
    bytes: usize,
}

/// More than this waits for the network: nothing is asked of a body, and nothing is read that might have to be answered.
const FULL: usize = 64 << 10;
/// A content up to this is copied behind its head.
const SMALL: usize = 1024;

// === impl Output ===

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.parts.capacity() + self.tail.capacity()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= FULL
    }

    /// Adds what `write` writes.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.bytes += self.tail.len() - before;
    }

    /// Adds a piece of a body, no larger than a frame may be.
    pub(crate) fn data(&mut self, stream: u32, content: Bytes, last: bool) {
        let flags = if last { END_STREAM } else { 0 };
        self.put(|tail| frame::head(DATA, flags, stream, content.len(), tail));
        if content.len() <= SMALL {
            return self.put(|tail| tail.extend_from_slice(&content));
        }
        self.close_tail();
        self.bytes += content.len();
        self.parts.push_back(content);
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push_back(std::mem::take(&mut self.tail).into());
        }
    }

    /// What is to be written first, in as many slices as there are at most. How many there are.
    pub(crate) fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.close_tail();
        let filled = slices.iter_mut().zip(&self.parts).map(|(slice, part)| *slice = IoSlice::new(part));
        filled.count()
    }

    /// So many bytes were written.
    pub(crate) fn written(&mut self, mut bytes: usize) {
        self.bytes -= bytes;
        while let Some(first) = self.parts.front_mut() {
            if first.len() > bytes {
                return first.advance(bytes);
            }
            bytes -= first.len();
            self.parts.pop_front();
        }
        self.parts = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_written_in_order_however_it_goes() {
        for step in [1, 7, 100, 5_000] {
            let mut output = Output::default();
            output.put(|tail| frame::short(frame::PING, 0, 0, &[1; 8], tail));
            output.data(1, Bytes::from(vec![2; 3_000]), false);
            output.data(3, Bytes::from_static(b"small"), true);
            let (mut wire, all) = (Vec::new(), output.bytes);
            assert_eq!(all, 17 + 3_009 + 14);
            while !output.is_empty() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = output.slices(&mut slices);
                let bytes = slices[..filled].iter().map(|slice| &**slice).collect::<Vec<_>>().concat();
                let part = &bytes[..step.min(bytes.len())];
                wire.extend_from_slice(part);
                let written = part.len();
                output.written(written);
            }
            assert_eq!(wire.len(), all, "{step} at a time");
            assert_eq!(
                (&wire[17..26], &wire[3_026..]),
                (&[0, 11, 184, 0, 0, 0, 0, 0, 1][..], &b"\0\0\x05\0\x01\0\0\0\x03small"[..])
            );
            assert_eq!(output.parts.capacity(), 0, "nothing is kept");
        }
    }
}
