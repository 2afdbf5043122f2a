//! Durations as Kubernetes users write them: `10s`, `1m30s`, `500ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in the Gateway API's format (GEP-2257): whole numbers up to 99999, each with its unit `h`, `m`, `s` or `ms`,
/// such as `1m30s`. Whole milliseconds, never negative. Written with one to four numbers; more are read all the same, as
/// are zeros in front, since the rules of the definitions let them pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiDuration(Duration);

/// Why a text is not an [`ApiDuration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Nothing there.
    #[error("empty duration: give a number and a unit, such as 10s")]
    Empty,
    /// A unit without a number: a sign, a space or a decimal point end up here too.
    #[error("duration {0:?}: expected a whole number at {1:?}; write 1500ms for 1.5s")]
    NoNumber(String, String),
    /// A larger number than GEP-2257 allows.
    #[error("duration {0:?}: a number has more than 5 digits; use a larger unit")]
    NumberTooLong(String),
    /// Not one of the four units.
    #[error("duration {0:?}: unknown unit {1:?}; use h, m, s or ms")]
    UnknownUnit(String, String),
}

// === impl ApiDuration ===

impl ApiDuration {
    /// The largest value of the format, 99999h, about 11 years.
    pub const MAX: Self = Self(Duration::from_secs(99_999 * 3600));
    /// What the schema asks of the text (GEP-2257).
    const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

    /// Whole milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The nearest value that is not shorter, at most [`Self::MAX`]: a stated bound must not be understated.
    pub fn rounded_up(duration: Duration) -> Self {
        let milliseconds = duration.as_nanos().div_ceil(1_000_000);
        Self(u64::try_from(milliseconds).map_or(Self::MAX.0, Duration::from_millis)).min(Self::MAX)
    }

    /// As the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<ApiDuration> for Duration {
    fn from(duration: ApiDuration) -> Self {
        duration.0
    }
}

/// As Go prints durations, without fractions: `1h2m3s4ms`, leaving out what is zero.
impl fmt::Display for ApiDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 3600, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (self.0.subsec_millis().into(), "ms"),
        ];
        parts.iter().filter(|(number, _)| *number > 0).try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

impl FromStr for ApiDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ParseDurationError::Empty);
        }
        let mut total_ms = 0u64;
        let mut rest = text;
        while !rest.is_empty() {
            let (part_ms, after) = parse_part(text, rest)?;
            total_ms = total_ms.saturating_add(part_ms);
            rest = after;
        }
        Ok(Self::from_millis(total_ms).min(Self::MAX))
    }
}

impl Serialize for ApiDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ApiDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for ApiDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ApiDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // No `format: duration`: it accepts more than GEP-2257 (`1 day`).
        json_schema!({"type": "string", "pattern": Self::PATTERN, "maxLength": 28})
    }
}

/// Cuts one number and unit off `rest`: its milliseconds, and what follows.
fn parse_part<'a>(text: &str, rest: &'a str) -> Result<(u64, &'a str), ParseDurationError> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest_after) = rest.split_at(digits);
    let number = match number.parse::<u64>() {
        Ok(number @ 0..=99_999) => number,
        _ if digits == 0 => return Err(ParseDurationError::NoNumber(text.into(), rest.into())),
        _ => return Err(ParseDurationError::NumberTooLong(text.into())),
    };
    let letters = rest_after.len() - rest_after.trim_start_matches(|c: char| c.is_alphabetic()).len();
    let (unit, after) = rest_after.split_at(letters);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(ParseDurationError::UnknownUnit(text.into(), unit.into())),
    };
    Ok((number * unit_ms, after))
}

#[cfg(test)]
mod tests;
