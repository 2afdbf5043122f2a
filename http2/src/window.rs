//! Windows: what one side may still send (RFC 9113 §5.2).

/// What the client may be sent. It is below zero when the client has made its windows smaller (RFC 9113 §6.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending(i32);

/// What the client may send, and what of it has been read since it was told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiving {
    left: u32,
    read: u32,
    whole: u32,
}

/// A window that would be larger than one may be (RFC 9113 §6.9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

// === impl Sending ===

impl Sending {
    pub(crate) fn of(bytes: u32) -> Self {
        Self(i32::try_from(bytes).unwrap_or(i32::MAX))
    }

    pub(crate) fn left(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub(crate) fn grow(&mut self, bytes: i64) -> Result<(), Overflow> {
        self.0 = i32::try_from(i64::from(self.0) + bytes).map_err(|_| Overflow)?;
        Ok(())
    }

    /// No more than is left.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(i32::try_from(bytes).unwrap_or(i32::MAX));
    }
}

// === impl Receiving ===

impl Receiving {
    pub(crate) fn of(whole: u32) -> Self {
        Self { left: whole, read: 0, whole }
    }

    /// The client sent so much.
    pub(crate) fn came(&mut self, bytes: u32) -> Result<(), Overflow> {
        self.left = self.left.checked_sub(bytes).ok_or(Overflow)?;
        Ok(())
    }

    /// What has been read since the client was told.
    #[cfg(test)]
    pub(crate) fn unsaid(self) -> u32 {
        self.read
    }

    /// So much of it has been read. What the client is to be told, if that is worth a frame.
    pub(crate) fn read(&mut self, bytes: u32) -> Option<u32> {
        self.read += bytes;
        if self.read < self.whole / 2 {
            return None;
        }
        self.left += self.read;
        Some(std::mem::take(&mut self.read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_to_send_in_may_be_below_zero_and_never_too_large() {
        let mut window = Sending::of(100);
        window.spend(80);
        window.grow(-50).expect("small");
        assert_eq!((window.left(), window), (0, Sending(-30)));
        window.grow(31).expect("small");
        assert_eq!(window.left(), 1);
        assert_eq!(window.grow(i64::from(i32::MAX)), Err(Overflow));
    }

    #[test]
    fn what_has_been_read_is_told_by_halves() {
        let mut window = Receiving::of(1000);
        window.came(1000).expect("room");
        assert_eq!(window.came(1), Err(Overflow));
        assert_eq!([window.read(499), window.read(1), window.read(3)], [None, Some(500), None]);
        window.came(500).expect("room again");
        assert_eq!(window.came(1), Err(Overflow));
    }
}
