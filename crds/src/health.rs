//! The word for how an endpoint is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::open_enum;

/// How an endpoint is: Passing, Warning, Critical, Unknown, or Maintenance (an operator's will). A word that this
/// version does not know reads as Unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = open_enum)]
pub enum Health {
    /// All that is known of it is good.
    Passing,
    /// It works, and something about it needs attention.
    Warning,
    /// A check decided that it does not work. Callers do not get it.
    Critical,
    /// An operator took it out. Callers do not get it.
    Maintenance,
    /// No verdict yet, or a word of a newer version.
    #[default]
    #[serde(other)]
    Unknown,
}

// === impl Health ===

impl Health {
    /// The word as it stands in objects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "Passing",
            Self::Warning => "Warning",
            Self::Critical => "Critical",
            Self::Maintenance => "Maintenance",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
