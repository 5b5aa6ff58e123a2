//! Moments. Rules are told the moment, they never look at a clock.

use std::time::Duration;

use chrono::DateTime;
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

    /// How long a written moment is, in bytes.
    const LEN: usize = 27;
    /// Microseconds of a day.
    const DAY: i64 = 86_400_000_000;

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

    /// As it is written. By hand, since every event is written with two of them and read by several
    /// followers: a calendar library takes ten times as long for the same digits.
    fn text(self) -> [u8; Self::LEN] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |from: usize, to: usize, mut number: u64| {
            for digit in text[from..to].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        let (year, month, day) = date_of(self.0.div_euclid(Self::DAY));
        let micros = self.0.rem_euclid(Self::DAY) as u64;
        let secs = micros / 1_000_000;
        put(0, 4, year);
        put(5, 7, month);
        put(8, 10, day);
        put(11, 13, secs / 3_600);
        put(14, 16, secs / 60 % 60);
        put(17, 19, secs % 60);
        put(20, 26, micros % 1_000_000);
        text
    }

    /// A moment that is written just as we write it; none for whatever else is one, or is none.
    fn read(text: &str) -> Option<Self> {
        const MARKS: [(usize, u8); 7] =
            [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
        let text: &[u8; Self::LEN] = text.as_bytes().try_into().ok()?;
        if MARKS.iter().any(|&(at, mark)| text[at] != mark) {
            return None;
        }
        let number = |from: usize, to: usize| {
            text[from..to].iter().try_fold(0i64, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
            })
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let micros = number(20, 26)?;
        let days = days_to(year, month, day);
        // A day that no calendar has, or a leap second: the library judges.
        let there = date_of(days) == (year as u64, month as u64, day as u64);
        if year == 0 || !there || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let secs = hour * 3_600 + minute * 60 + second;
        Some(Self(days * Self::DAY + secs * 1_000_000 + micros))
    }

    /// How long it is from `earlier` to this moment; zero when it is not later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("digits and marks"))
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
        if let Some(moment) = Self::read(text) {
            return Ok(moment);
        }
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
        if to.is_human_readable() {
            to.serialize_str(std::str::from_utf8(&self.text()).expect("digits and marks"))
        } else {
            to.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            from.deserialize_str(Text)
        } else {
            i64::deserialize(from).map(Self::from_micros)
        }
    }
}

/// Reads a moment out of its text where that stands.
struct Text;

impl serde::de::Visitor<'_> for Text {
    type Value = Timestamp;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a moment as in RFC 3339")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }
}

/// The years of a leap day's whole round, in days.
const ROUND: i64 = 146_097;
/// From 0000-03-01, where the years of the reckoning begin, to 1970-01-01.
const TO_1970: i64 = 719_468;

/// Year, month and day so many days after 1970-01-01 (Howard Hinnant's `civil_from_days`: years begin
/// in March, so that the leap day is a year's last).
fn date_of(days: i64) -> (u64, u64, u64) {
    let days = days + TO_1970;
    let round = days.div_euclid(ROUND);
    let day = days.rem_euclid(ROUND);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + round * 400 + i64::from(month <= 2);
    (year as u64, month as u64, date as u64)
}

/// The reverse (`days_from_civil`); of a date that no calendar has, the days of another one.
fn days_to(year: i64, month: i64, date: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let round = year.div_euclid(400);
    let of_round = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + date - 1;
    let day = of_round * 365 + of_round / 4 - of_round / 100 + of_year;
    round * ROUND + day - TO_1970
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
    fn every_moment_is_written_and_read_as_the_calendar_library_does() {
        let theirs = |micros: i64| {
            let moment = DateTime::from_timestamp_micros(micros).expect("within the years");
            moment.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
        };
        let span = Timestamp::MOST.abs_diff(Timestamp::LEAST);
        let spread = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % span;
        let somewhere = (1..20_000u64).map(|n| Timestamp::LEAST + spread(n) as i64);
        // Every day from 1890 to 2110, and every day around the turns of centuries.
        let days = (-29_000..51_000).map(|day| day * Timestamp::DAY + day.unsigned_abs() as i64);
        let turns = (1..100).flat_map(|century| {
            let turn = days_to(century * 100, 2, 28);
            (turn - 60..turn + 310).map(|day| day * Timestamp::DAY)
        });
        let ends = [Timestamp::LEAST, Timestamp::MOST, -1, 0, 1];
        for micros in somewhere.chain(days).chain(turns).chain(ends) {
            let moment = Timestamp::from_micros(micros);
            let text = moment.to_string();
            assert_eq!(text, theirs(moment.0));
            assert_eq!(Timestamp::read(&text), Some(moment), "{text}");
            assert_eq!(serde_json::from_str::<Timestamp>(&format!("{text:?}")).ok(), Some(moment));
        }
    }

    #[test]
    fn a_day_that_no_calendar_has_is_no_moment() {
        for text in [
            "2026-02-29T00:00:00.000000Z",
            "2100-02-29T00:00:00.000000Z",
            "2026-00-10T00:00:00.000000Z",
            "2026-13-10T00:00:00.000000Z",
            "2026-04-31T00:00:00.000000Z",
            "2026-04-00T00:00:00.000000Z",
            "2026-04-30T24:00:00.000000Z",
            "2026-04-30T00:60:00.000000Z",
            "2026-04-30T00:00:00.0000/0Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!("2024-02-29T23:59:59.999999Z".parse::<Timestamp>().is_ok());
    }

    #[test]
    fn no_moment_leaves_the_years_that_can_be_written() {
        let far = Timestamp::from_micros(i64::MAX).plus(Duration::MAX);
        assert_eq!(far.to_string().parse(), Ok(far));
        assert_eq!(Timestamp::from_secs(5).since(Timestamp::from_secs(9)), Duration::ZERO);
    }
}
