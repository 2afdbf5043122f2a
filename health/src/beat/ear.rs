//! Whether this process judges the beats of an endpoint, as those who are at the endpoint say.

/// Whether and since when beats are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ear {
    /// Another replica judges them.
    Rests,
    /// This one does.
    Judges,
    /// This one does, and begins now: what is known of the endpoint came from another one, and stands for a full period.
    Begins,
}

// === impl Ear ===

impl Ear {
    /// What two come to, of which the second was not seen alone: to judge on is not to begin anew, but does not undo it either.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        match (self, later) {
            // Between the two it was not judged.
            (Self::Begins | Self::Rests, Self::Judges) => Self::Begins,
            (Self::Judges | Self::Begins | Self::Rests, later) => later,
        }
    }
}
