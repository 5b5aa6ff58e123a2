//! What sensors say, under the paths of the COVESA Vehicle Signal Specification.
//!
//! Any path is taken and kept in the raw file; of those that mean something to us the unit and the range
//! are fixed here, and a message whose odometer is a text is no message.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

/// The VSS paths that mean something to us.
pub mod path {
    /// The odometer, in metres.
    pub const ODOMETER: &str = "Vehicle.TraveledDistance";
    /// The tank, in percent.
    pub const FUEL: &str = "Vehicle.Powertrain.FuelSystem.RelativeLevel";
    /// The battery of an electric vehicle, in percent; read where there is no tank.
    pub const CHARGE: &str = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current";
    /// Whether the driver's door is locked.
    pub const LOCKED: &str = "Vehicle.Cabin.Door.Row1.DriverSide.IsLocked";
    /// In km/h.
    pub const SPEED: &str = "Vehicle.Speed";
    /// Whether it moves.
    pub const MOVING: &str = "Vehicle.IsMoving";
    /// In degrees, north is positive.
    pub const LATITUDE: &str = "Vehicle.CurrentLocation.Latitude";
    /// In degrees, east is positive.
    pub const LONGITUDE: &str = "Vehicle.CurrentLocation.Longitude";
}

/// How many signals one message may carry.
const MOST_SIGNALS: usize = 128;
/// How long a path may be, in bytes.
const LONGEST_PATH: usize = 128;
/// How long a text may be, in bytes.
const LONGEST_TEXT: usize = 256;
/// No odometer says more, in metres: a vehicle that circles the earth 250,000 times.
const MOST_METRES: f64 = 1e10;
/// No vehicle is faster, in km/h (VSS has no limit).
const FASTEST_KMH: f64 = 1_000.0;

/// What one sensor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Signal {
    /// Yes or no.
    Flag(bool),
    /// A number, as it stands.
    Number(Number),
    /// A word.
    Text(String),
}

impl From<bool> for Signal {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Signal {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<f64> for Signal {
    /// A number that JSON cannot say (NaN, infinite) is said as 0.
    fn from(number: f64) -> Self {
        Self::Number(Number::from_f64(number).unwrap_or_else(|| 0.into()))
    }
}

/// What the sensors of one vehicle say at one moment, by path.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Signals(BTreeMap<String, Signal>);

impl Signals {
    /// What is said under `path`.
    pub fn get(&self, path: &str) -> Option<&Signal> {
        self.0.get(path)
    }

    /// Says `signal` under `path`.
    pub fn with(mut self, path: &str, signal: impl Into<Signal>) -> Self {
        self.0.insert(path.to_owned(), signal.into());
        self
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The odometer, in metres.
    pub fn odometer_m(&self) -> Option<u64> {
        self.number(path::ODOMETER).map(|metres| metres as u64)
    }

    /// The tank or the battery, in percent.
    pub fn fuel_pct(&self) -> Option<u8> {
        self.number(path::FUEL).or_else(|| self.number(path::CHARGE)).map(|percent| percent as u8)
    }

    /// Whether the driver's door is locked.
    pub fn is_locked(&self) -> Option<bool> {
        match self.get(path::LOCKED)? {
            Signal::Flag(locked) => Some(*locked),
            Signal::Number(_) | Signal::Text(_) => None,
        }
    }

    /// In km/h.
    pub fn speed_kmh(&self) -> Option<u16> {
        self.number(path::SPEED).map(|speed| speed.abs() as u16)
    }

    /// Latitude and longitude, in millionths of a degree: 0.1 m.
    pub fn position_microdeg(&self) -> Option<(i64, i64)> {
        let (north, east) = (self.number(path::LATITUDE)?, self.number(path::LONGITUDE)?);
        Some(((north * 1e6).round() as i64, (east * 1e6).round() as i64))
    }

    fn number(&self, path: &str) -> Option<f64> {
        match self.get(path)? {
            Signal::Number(number) => number.as_f64(),
            Signal::Flag(_) | Signal::Text(_) => None,
        }
    }
}

/// Between which numbers a signal that we know must lie; none for what is no number of ours.
fn range(path: &str) -> Option<(f64, f64)> {
    match path {
        path::ODOMETER => Some((0.0, MOST_METRES)),
        path::FUEL | path::CHARGE => Some((0.0, 100.0)),
        path::SPEED => Some((-FASTEST_KMH, FASTEST_KMH)),
        path::LATITUDE => Some((-90.0, 90.0)),
        path::LONGITUDE => Some((-180.0, 180.0)),
        _ => None,
    }
}

fn fits(path: &str, signal: &Signal) -> bool {
    match signal {
        Signal::Flag(_) => range(path).is_none(),
        Signal::Text(text) => range(path).is_none() && !is_flag(path) && text.len() <= LONGEST_TEXT,
        Signal::Number(number) => {
            let within = |(least, most): (f64, f64)| {
                number.as_f64().is_some_and(|number| (least..=most).contains(&number))
            };
            !is_flag(path) && range(path).is_none_or(within)
        }
    }
}

fn is_flag(path: &str) -> bool {
    path == path::LOCKED || path == path::MOVING
}

fn is_path(text: &str) -> bool {
    (1..=LONGEST_PATH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_')
}

impl<'de> Deserialize<'de> for Signals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Signals;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "at most {MOST_SIGNALS} signals by their VSS path")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Signals, A::Error> {
                let mut signals = BTreeMap::new();
                while let Some((path, signal)) = map.next_entry::<String, Signal>()? {
                    if signals.len() == MOST_SIGNALS {
                        return Err(A::Error::invalid_length(MOST_SIGNALS + 1, &self));
                    }
                    if !is_path(&path) {
                        return Err(A::Error::custom("a signal's name is no VSS path"));
                    }
                    if !fits(&path, &signal) {
                        return Err(A::Error::custom(format_args!("{path} is out of its range")));
                    }
                    if signals.insert(path, signal).is_some() {
                        return Err(A::Error::custom("a signal is said twice"));
                    }
                }
                Ok(Signals(signals))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl JsonSchema for Signals {
    fn schema_name() -> Cow<'static, str> {
        "Signals".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = |what: &str, (least, most): (f64, f64)| json_schema!({ "description": what, "type": "number", "minimum": least, "maximum": most });
        let known = |path: &str| range(path).unwrap_or((f64::MIN, f64::MAX));
        json_schema!({
            "description": "What sensors say, by their path in the COVESA Vehicle Signal Specification.",
            "type": "object",
            "maxProperties": MOST_SIGNALS,
            "propertyNames": { "pattern": "^[A-Za-z0-9._]{1,128}$" },
            "properties": {
                path::ODOMETER: number("The odometer, in metres.", known(path::ODOMETER)),
                path::FUEL: number("The tank, in percent.", known(path::FUEL)),
                path::CHARGE: number("The battery, in percent.", known(path::CHARGE)),
                path::SPEED: number("In km/h.", known(path::SPEED)),
                path::LATITUDE: number("In degrees.", known(path::LATITUDE)),
                path::LONGITUDE: number("In degrees.", known(path::LONGITUDE)),
                path::LOCKED: { "description": "The driver's door.", "type": "boolean" },
                path::MOVING: { "type": "boolean" }
            },
            "additionalProperties": {
                "oneOf": [
                    { "type": "boolean" },
                    { "type": "number" },
                    { "type": "string", "maxLength": LONGEST_TEXT }
                ]
            }
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Signals, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn signals_are_read_in_our_units() {
        let signals = read(
            r#"{"Vehicle.TraveledDistance":12345678,"Vehicle.Speed":-31.6,
            "Vehicle.Powertrain.FuelSystem.RelativeLevel":82,"Vehicle.LowVoltageSystemState":"ON",
            "Vehicle.Cabin.Door.Row1.DriverSide.IsLocked":true,
            "Vehicle.CurrentLocation.Latitude":52.5162746,"Vehicle.CurrentLocation.Longitude":13.3777041}"#,
        )
        .unwrap();
        assert_eq!(signals.odometer_m(), Some(12_345_678));
        assert_eq!(signals.fuel_pct(), Some(82));
        assert_eq!(signals.speed_kmh(), Some(31));
        assert_eq!(signals.is_locked(), Some(true));
        assert_eq!(signals.position_microdeg(), Some((52_516_275, 13_377_704)));
    }

    #[test]
    fn an_electric_vehicle_tells_its_battery() {
        let signals = Signals::default().with(path::CHARGE, 40.9);
        assert_eq!(signals.fuel_pct(), Some(40));
    }

    #[test]
    fn a_signal_out_of_its_range_is_refused() {
        for (path, value) in [
            (path::ODOMETER, "-1"),
            (path::ODOMETER, "\"12\""),
            (path::ODOMETER, "true"),
            (path::ODOMETER, "1e300"),
            (path::FUEL, "101"),
            (path::FUEL, "null"),
            (path::LATITUDE, "90.1"),
            (path::LOCKED, "1"),
            (path::LOCKED, "\"yes\""),
            ("Vehicle.Anything", "[1]"),
            ("Vehicle.Anything", "{\"a\":1}"),
            ("Vehicle Anything", "1"),
            ("", "1"),
        ] {
            let json = format!("{{\"{path}\":{value}}}");
            assert!(read(&json).is_err(), "{json}");
        }
        assert!(read(r#"{"Vehicle.Speed":1,"Vehicle.Speed":2}"#).is_err());
        let many: Vec<String> = (0..=MOST_SIGNALS).map(|n| format!("\"S{n}\":1")).collect();
        assert!(read(&format!("{{{}}}", many.join(","))).is_err());
    }
}
