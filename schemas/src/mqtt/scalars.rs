//! The small parts of payloads: moments as devices tell them, and a command's id as it stands.

use std::borrow::Cow;

use holdfast_domain::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// From here on a number counts milliseconds, not seconds: devices that think in milliseconds are common,
/// and as seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;
/// The last number that is a moment: the end of the year 9999, in milliseconds.
const LAST: f64 = 253_402_300_799_999.0;

/// A moment as a device tells it. It is told by the device's own clock, which may lie: it is recorded,
/// and nothing is decided by it.
///
/// Read from Unix seconds (fractions allowed), Unix milliseconds (numbers from 10^11 on), or RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = self.0.micros();
        match micros % 1_000_000 {
            0 => serializer.serialize_i64(micros / 1_000_000),
            // 53 bits hold milliseconds until the year 287396.
            _ => serializer.serialize_f64((micros / 1_000) as f64 / 1e3),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Moment;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a moment: Unix seconds, or RFC 3339")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Moment, E> {
                self.visit_f64(number as f64)
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Moment, E> {
                self.visit_f64(number as f64)
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Moment, E> {
                if !(0.0..=LAST).contains(&number) {
                    return Err(E::invalid_value(Unexpected::Float(number), &self));
                }
                let scale = if number < MILLISECONDS_FROM { 1e6 } else { 1e3 };
                Ok(Moment(Timestamp::from_micros((number * scale).round() as i64)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
                text.parse().map(Moment).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A moment by the vehicle's clock: Unix seconds, fractions allowed; Unix \
                milliseconds from 10^11 on; or RFC 3339.",
            "oneOf": [
                { "type": "number", "minimum": 0, "maximum": 253_402_300_799_999_i64 },
                { "type": "string", "format": "date-time" }
            ]
        })
    }
}

/// A command's id, and how it was written: the `mac` is made over the text as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRef {
    id: Uuid,
    text: String,
}

impl CommandRef {
    /// The longest text that is a UUID, `urn:uuid:` before it.
    const LONGEST: usize = 45;

    /// The id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// As it stands in the JSON.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<Uuid> for CommandRef {
    fn from(id: Uuid) -> Self {
        Self { id, text: id.as_hyphenated().to_string() }
    }
}

impl Serialize for CommandRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for CommandRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > Self::LONGEST {
            return Err(D::Error::invalid_length(text.len(), &"a UUID"));
        }
        let id = Uuid::parse_str(&text).map_err(D::Error::custom)?;
        Ok(Self { id, text })
    }
}

impl JsonSchema for CommandRef {
    fn schema_name() -> Cow<'static, str> {
        "CommandId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The command's id, a UUID; an answer repeats it as it was.",
            "type": "string",
            "format": "uuid"
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn micros(json: &str) -> Option<i64> {
        serde_json::from_str::<Moment>(json).ok().map(|moment| moment.0.micros())
    }

    #[test]
    fn a_moment_is_told_in_seconds_milliseconds_or_words() {
        let expected = Some(1_795_264_826_250_000);
        assert_eq!(micros("1795264826.25"), expected);
        assert_eq!(micros("1795264826250"), expected);
        assert_eq!(micros("\"2026-11-21T12:40:26.25Z\""), expected);
        assert_eq!(micros("1795264826"), Some(1_795_264_826_000_000));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for json in ["-1", "1e999", "NaN", "1e300", "\"noon\"", "null", "[]", "true", "{}"] {
            assert_eq!(micros(json), None, "{json}");
        }
    }

    #[test]
    fn a_moment_is_written_in_seconds_and_read_back() {
        for micros in [0, 1_795_264_826_000_000, 1_795_264_826_250_000] {
            let moment = Moment(Timestamp::from_micros(micros));
            let json = serde_json::to_string(&moment).unwrap();
            assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment, "{json}");
        }
    }

    #[test]
    fn a_command_id_keeps_its_spelling() {
        let json = "\"018F6C1A-0000-7000-8000-000000000001\"";
        let read: CommandRef = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!(CommandRef::from(read.id()).id(), read.id());
    }
}
