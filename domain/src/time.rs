//! Moments. Rules are told the moment, they never look at a clock.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written like 2026-11-21T12:00:00Z (RFC 3339), not {0:?}")]
pub struct TimestampError(String);

/// A moment in UTC, in microseconds since 1970-01-01; written as RFC 3339 with six digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first moment of year 1, as far back as moments are written.
    const LEAST: i64 = -62_135_596_800_000_000;
    /// The last of year 9999.
    const MOST: i64 = 253_402_300_799_999_999;

    /// The moment that many microseconds after 1970-01-01, brought into the years 1 to 9999.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::LEAST {
            Self(Self::LEAST)
        } else if micros > Self::MOST {
            Self(Self::MOST)
        } else {
            Self(micros)
        }
    }

    /// The moment that many whole seconds after 1970-01-01.
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970-01-01.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The moment `span` later.
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// The moment `span` earlier.
    pub fn minus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// How long it is from `earlier` to this moment; zero when it is not later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let moment = DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH);
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl std::fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        DateTime::parse_from_rfc3339(text)
            .map(|moment| Self::from_micros(moment.timestamp_micros()))
            .map_err(|_| TimestampError(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;
    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> String {
        moment.to_string()
    }
}

// For people as RFC 3339, which is what events say; for snapshots, which hold them by the hundred
// thousand, as the number that it is.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { to.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(from).map(Self::from_micros)
        }
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_six_digits_and_read_back() {
        let moment = Timestamp::from_micros(1_795_264_826_000_001);
        assert_eq!(moment.to_string(), "2026-11-21T12:40:26.000001Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }

    #[test]
    fn another_zone_is_brought_to_utc() {
        let moment: Timestamp = "2026-11-21T13:40:26+01:00".parse().expect("RFC 3339");
        assert_eq!(moment.to_string(), "2026-11-21T12:40:26.000000Z");
    }

    #[test]
    fn no_moment_leaves_the_years_that_can_be_written() {
        let far = Timestamp::from_micros(i64::MAX).plus(Duration::MAX);
        assert_eq!(far.to_string().parse(), Ok(far));
        assert_eq!(Timestamp::from_secs(5).since(Timestamp::from_secs(9)), Duration::ZERO);
    }
}
