//! What vehicles and Holdfast say to each other over MQTT: topics, payloads, and the `mac` by which one
//! knows the other. CONTRACT.md, *MQTT*, is the rule; `asyncapi/vehicles.v1.json` publishes it.
//!
//! ```text
//!   hf/v1/v/{vehicle}/cmd/unlock ───────►  {"cmd":"UNLOCK","command_id",…,"exp","mac"}   QoS 1
//!   hf/v1/v/{vehicle}/rsp/unlock ◄───────  {"status":"UNLOCKED","command_id",…,"mac"}    QoS 1
//!   hf/v1/v/{vehicle}/tel        ◄───────  {"t","seq","signals":{"Vehicle.Speed":31}}    QoS 0
//!   hf/v1/v/{vehicle}/evt        ◄───────  {"event":"DOOR_OPENED","seq","t"}             QoS 1
//!   hf/v1/v/{vehicle}/state/conn ◄───────  {"online":true,"boot","t"}                    QoS 1, retained
//! ```
//!
//! Whatever comes from a vehicle is judged before it is believed: its length and its depth before it is
//! parsed, every field by its type, every signal that we know by its range. What does not fit is a
//! [`Malformed`], never a guess and never a panic.

mod mac;
mod payload;
mod scalars;
mod signals;

use holdfast_domain::VehicleId;

pub use mac::Key;
pub use payload::{Answer, Command, Connection, Malformed, Notice, Status, Telemetry, Word};
pub use scalars::{CommandRef, Moment};
pub use signals::{Signal, Signals, path};

/// Before the vehicle's name in every topic.
pub const PREFIX: &str = "hf/v1/v/";

/// The longest payload that is read, in bytes. A full set of signals takes a tenth of it.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

/// How deep a payload may nest; ours nest twice.
pub const MAX_DEPTH: usize = 8;

/// What a message is about: the part of a topic behind the vehicle's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A command to the vehicle.
    Command(Word),
    /// The vehicle's answer to a command.
    Answer(Word),
    /// What the vehicle's sensors say.
    Telemetry,
    /// What has happened to the vehicle: doors, tampering, trips.
    Notice,
    /// Whether the vehicle is connected; its Last Will speaks here too.
    Connection,
}

impl Topic {
    /// All of them.
    pub const ALL: [Topic; 7] = [
        Topic::Command(Word::Unlock),
        Topic::Command(Word::Lock),
        Topic::Answer(Word::Unlock),
        Topic::Answer(Word::Lock),
        Topic::Telemetry,
        Topic::Notice,
        Topic::Connection,
    ];

    /// The part behind the vehicle's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Command(Word::Unlock) => "cmd/unlock",
            Self::Command(Word::Lock) => "cmd/lock",
            Self::Answer(Word::Unlock) => "rsp/unlock",
            Self::Answer(Word::Lock) => "rsp/lock",
            Self::Telemetry => "tel",
            Self::Notice => "evt",
            Self::Connection => "state/conn",
        }
    }

    /// The topic of one vehicle.
    pub fn of(self, vehicle: &VehicleId) -> String {
        format!("{PREFIX}{vehicle}/{}", self.suffix())
    }

    /// The filter that matches this topic of every vehicle.
    pub fn of_all(self) -> String {
        format!("{PREFIX}+/{}", self.suffix())
    }

    /// Which vehicle and what about; none when the topic is not one of these.
    pub fn parse(topic: &str) -> Option<(VehicleId, Topic)> {
        let (vehicle, suffix) = topic.strip_prefix(PREFIX)?.split_once('/')?;
        let topic = Self::ALL.into_iter().find(|topic| topic.suffix() == suffix)?;
        Some((VehicleId::new(vehicle).ok()?, topic))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_read_back_as_it_was_written() {
        let vehicle = VehicleId::new("car-1.a@b:c").unwrap();
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(&topic.of(&vehicle)), Some((vehicle.clone(), topic)));
        }
        assert_eq!(Topic::Telemetry.of_all(), "hf/v1/v/+/tel");
    }

    #[test]
    fn a_topic_that_is_none_of_ours_is_nobodys() {
        for topic in [
            "",
            "hf/v1/v/",
            "hf/v1/v//tel",
            "hf/v1/v/car-1",
            "hf/v1/v/car-1/",
            "hf/v1/v/car-1/tel/",
            "hf/v1/v/car-1/cmd/start",
            "hf/v1/v/car 1/tel",
            "hf/v2/v/car-1/tel",
            "$SYS/broker/version",
        ] {
            assert_eq!(Topic::parse(topic), None, "{topic}");
        }
    }
}
