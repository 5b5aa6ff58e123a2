//! The payloads: how each looks, and how it is read from bytes that anybody may have sent.
//!
//! Fields that we do not know are let through, so that a vehicle may say more than we ask; fields that we
//! know have their type or the whole message is refused.

use holdfast_domain::vehicle::{self, CommandKind};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CommandRef, Key, MAX_DEPTH, MAX_PAYLOAD_BYTES, Moment, Signals};

/// Why bytes are no payload. Nothing is recorded of them; they are counted by [`Malformed::reason`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It was not even parsed.
    #[error("the payload has {bytes} bytes; {MAX_PAYLOAD_BYTES} are read")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It was not even parsed.
    #[error("the payload nests deeper than {MAX_DEPTH}")]
    TooDeep,
    /// No JSON, or a field that is missing, of another type or out of its range.
    #[error("the payload cannot be read: {0}")]
    Json(String),
}

impl Malformed {
    /// One word for each kind, for counting.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::TooDeep => "too-deep",
            Self::Json(_) => "malformed",
        }
    }
}

/// What a command asks of a vehicle.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Word {
    /// Open for whoever stands beside it.
    Unlock,
    /// Close.
    Lock,
}

impl Word {
    /// As it stands in the payload.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unlock => "UNLOCK",
            Self::Lock => "LOCK",
        }
    }

    /// What a vehicle answers when it has done so.
    pub const fn done(self) -> Status {
        match self {
            Self::Unlock => Status::Unlocked,
            Self::Lock => Status::Locked,
        }
    }
}

/// What a vehicle answers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It is open.
    Unlocked,
    /// It is closed.
    Locked,
    /// The actuator did not move.
    Jammed,
    /// The vehicle will not, now.
    Rejected,
    /// The command came after its `exp`.
    Expired,
}

impl Status {
    /// As it stands in the payload.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unlocked => "UNLOCKED",
            Self::Locked => "LOCKED",
            Self::Jammed => "JAMMED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether this can be an answer to `word`: nobody answers LOCK with UNLOCKED.
    pub const fn answers(self, word: Word) -> bool {
        match self {
            Self::Unlocked => matches!(word, Word::Unlock),
            Self::Locked => matches!(word, Word::Lock),
            Self::Jammed | Self::Rejected | Self::Expired => true,
        }
    }
}

impl From<CommandKind> for Word {
    fn from(kind: CommandKind) -> Self {
        match kind {
            CommandKind::Unlock => Self::Unlock,
            CommandKind::Lock => Self::Lock,
        }
    }
}

impl From<Word> for CommandKind {
    fn from(word: Word) -> Self {
        match word {
            Word::Unlock => Self::Unlock,
            Word::Lock => Self::Lock,
        }
    }
}

impl From<Status> for vehicle::Answer {
    fn from(status: Status) -> Self {
        match status {
            Status::Unlocked => Self::Unlocked,
            Status::Locked => Self::Locked,
            Status::Jammed => Self::Jammed,
            Status::Rejected => Self::Rejected,
            Status::Expired => Self::Expired,
        }
    }
}

/// A command, on `cmd/unlock` or `cmd/lock`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// What to do.
    pub cmd: Word,
    /// Which command: a repeat is answered again without acting.
    pub command_id: CommandRef,
    /// For which reservation; null for a command of the house.
    pub reservation_ref: Option<String>,
    /// Counts the commands of one vehicle.
    pub seq: u64,
    /// Issued at, in Unix seconds.
    pub iat: i64,
    /// Refused by the vehicle after this moment, in Unix seconds.
    pub exp: i64,
    /// See the description of the document.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub mac: String,
}

impl Command {
    /// A command with its `mac`.
    pub fn signed(
        cmd: Word,
        command_id: Uuid,
        reservation_ref: Option<String>,
        seq: u64,
        (iat, exp): (i64, i64),
        key: &Key,
    ) -> Self {
        let command_id = CommandRef::from(command_id);
        let mac = key.sign_command(cmd, &command_id, exp);
        Self { cmd, command_id, reservation_ref, seq, iat, exp, mac }
    }
}

/// A vehicle's answer, on `rsp/unlock` or `rsp/lock`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// What came of it.
    pub status: Status,
    /// The command that is answered.
    pub command_id: CommandRef,
    /// When, by the vehicle's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_time: Option<Moment>,
    /// Counts the answers of one vehicle.
    pub seq: u64,
    /// Without a valid one the answer changes nothing.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub mac: String,
    /// What the sensors say just then; saves the wait for the next telemetry.
    #[serde(default, skip_serializing_if = "Signals::is_empty")]
    pub signals: Signals,
}

impl Answer {
    /// An answer with its `mac`.
    pub fn signed(
        status: Status,
        command_id: CommandRef,
        device_time: Option<Moment>,
        seq: u64,
        key: &Key,
    ) -> Self {
        let mac = key.sign_answer(status, &command_id, seq);
        Self { status, command_id, device_time, seq, mac, signals: Signals::default() }
    }
}

/// What sensors say, on `tel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// When, by the vehicle's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<Moment>,
    /// Counts the messages of one boot: what comes after a later one is old.
    pub seq: u64,
    /// Which boot; without it that of the last `state/conn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// What they say.
    pub signals: Signals,
}

/// What has happened to the vehicle, on `evt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// What: DOOR_OPENED, DOOR_CLOSED, TAMPER, TRIP_STARTED and so on.
    #[serde(alias = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub event: String,
    /// Counts the notices of one boot.
    pub seq: u64,
    /// When, by the vehicle's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<Moment>,
    /// What the sensors say just then.
    #[serde(default, skip_serializing_if = "Signals::is_empty")]
    pub signals: Signals,
}

impl Notice {
    /// Whether somebody lays hands on the vehicle.
    pub fn is_tampering(&self) -> bool {
        self.event.to_ascii_uppercase().contains("TAMPER")
    }
}

/// Whether the vehicle is connected, on `state/conn`, retained; the Last Will says `{"online":false}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// Whether it is.
    pub online: bool,
    /// Which boot, or which connection, says so; never counts down. A will that names its own cannot
    /// override a later connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// When, by the vehicle's clock; a will has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<Moment>,
}

macro_rules! payload {
    ($($name:ident),+) => {
        $(impl $name {
            /// Reads it from bytes that anybody may have sent.
            pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
                read(bytes)
            }

            /// As it goes over the wire.
            pub fn write(&self) -> Vec<u8> {
                serde_json::to_vec(self).expect("payloads are JSON")
            }
        })+
    };
}
payload!(Command, Answer, Telemetry, Notice, Connection);

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(Malformed::TooLong { bytes: bytes.len() });
    }
    if depth(bytes) > MAX_DEPTH {
        return Err(Malformed::TooDeep);
    }
    serde_json::from_slice(bytes).map_err(|error| Malformed::Json(error.to_string()))
}

/// How deep JSON nests; of what is no JSON, a number.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use holdfast_domain::Timestamp;
    use proptest::prelude::*;

    use super::super::path;
    use super::*;

    const ID: &str = "018f6c1a-0000-7000-8000-000000000001";

    fn key() -> Key {
        Key::new([7; 32])
    }

    #[test]
    fn a_command_looks_as_the_contract_says() {
        let id = ID.parse().unwrap();
        let command = Command::signed(Word::Unlock, id, Some("r1".into()), 3, (10, 30), &key());
        let json: serde_json::Value = serde_json::from_slice(&command.write()).unwrap();
        let expected = serde_json::json!({ "cmd": "UNLOCK", "command_id": ID, "reservation_ref": "r1",
            "seq": 3, "iat": 10, "exp": 30, "mac": command.mac });
        assert_eq!(json, expected);
        assert_eq!(Command::read(&command.write()), Ok(command));
    }

    #[test]
    fn the_bare_payloads_of_the_contract_are_read() {
        let answer = format!(
            r#"{{"status":"UNLOCKED","command_id":"{ID}","device_time":1795264826,"seq":1,"mac":"00"}}"#
        );
        assert_eq!(Answer::read(answer.as_bytes()).unwrap().status, Status::Unlocked);
        let will = Connection::read(br#"{"online":false}"#).unwrap();
        assert_eq!(will, Connection { online: false, boot: None, t: None });
        let tel = br#"{"t":1795264826,"seq":9,"signals":{"Vehicle.TraveledDistance":12345678,
            "Vehicle.Powertrain.FuelSystem.RelativeLevel":82}}"#;
        let telemetry = Telemetry::read(tel).unwrap();
        assert_eq!(telemetry.signals.odometer_m(), Some(12_345_678));
        assert!(Notice::read(br#"{"type":"tamper","seq":1}"#).unwrap().is_tampering());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let moment = Some(Moment(Timestamp::from_micros(1_795_264_826_250_000)));
        let signals = Signals::default().with(path::ODOMETER, 7_u64).with(path::LOCKED, true);
        let telemetry = Telemetry { t: moment, seq: 1, boot: Some(4), signals: signals.clone() };
        assert_eq!(Telemetry::read(&telemetry.write()), Ok(telemetry));
        let notice = Notice { event: "DOOR_OPENED".into(), seq: 2, t: moment, signals };
        assert_eq!(Notice::read(&notice.write()), Ok(notice));
    }

    #[test]
    fn a_payload_of_a_megabyte_is_refused_unread() {
        let long = vec![b' '; 1 << 20];
        assert_eq!(Answer::read(&long), Err(Malformed::TooLong { bytes: 1 << 20 }));
    }

    #[test]
    fn a_deep_payload_is_refused_unread_wherever_it_is_deep() {
        let deep = format!(r#"{{"online":true,"more":{}{}}}"#, "[".repeat(99), "]".repeat(99));
        assert_eq!(Connection::read(deep.as_bytes()), Err(Malformed::TooDeep));
        assert_eq!(Connection::read("[".repeat(16_000).as_bytes()), Err(Malformed::TooDeep));
        let text = r#"{"online":true,"more":"[[[[[[[[[[\"[["}"#;
        assert!(Connection::read(text.as_bytes()).is_ok());
    }

    #[test]
    fn wrong_types_and_values_are_refused() {
        for json in [
            "",
            "null",
            "[]",
            "{",
            r#"{"online":1}"#,
            r#"{"online":true,"boot":-1}"#,
            r#"{"online":true,"boot":1.5}"#,
            r#"{"online":true,"online":false}"#,
            r#"{"online":true} {}"#,
            "{\"online\":true,\"t\":NaN}",
            "{\"online\":true,\"t\":1e999}",
        ] {
            let read = Connection::read(json.as_bytes());
            assert!(matches!(read, Err(Malformed::Json(_))), "{json}: {read:?}");
        }
        for (status, id, seq) in [
            ("OPEN", ID, "1"),
            ("UNLOCKED", "me", "1"),
            ("UNLOCKED", ID, "1.0"),
            ("UNLOCKED", ID, "-1"),
            ("UNLOCKED", ID, "18446744073709551616"),
            ("UNLOCKED", ID, "\"1\""),
        ] {
            let json =
                format!(r#"{{"status":"{status}","command_id":"{id}","seq":{seq},"mac":"00"}}"#);
            assert!(Answer::read(json.as_bytes()).is_err(), "{json}");
        }
        assert!(Telemetry::read(br#"{"seq":1,"signals":{"Vehicle.Speed":"fast"}}"#).is_err());
    }

    #[test]
    fn nobody_answers_lock_with_unlocked() {
        assert!(!Status::Unlocked.answers(Word::Lock) && !Status::Locked.answers(Word::Unlock));
        assert!(Word::Lock.done().answers(Word::Lock) && Status::Jammed.answers(Word::Lock));
    }

    fn read_all(bytes: &[u8]) {
        let _ = (Command::read(bytes), Answer::read(bytes), Telemetry::read(bytes));
        let _ = (Notice::read(bytes), Connection::read(bytes));
        if let Ok(answer) = Answer::read(bytes) {
            key().signs_answer(&answer);
        }
        if let Ok(Telemetry { signals, .. }) = Telemetry::read(bytes) {
            let _ = (signals.odometer_m(), signals.fuel_pct(), signals.position_microdeg());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read_all(&bytes);
        }

        /// Close to the real thing, so that the readers are entered.
        #[test]
        fn no_nearly_right_payload_panics(
            at in 0..400_usize,
            with in proptest::collection::vec(any::<u8>(), 0..6),
            number in any::<f64>(),
        ) {
            let payloads = [
                format!(r#"{{"t":{number:e},"seq":{},"signals":{{"Vehicle.Speed":{number:e}}}}}"#, at),
                format!(r#"{{"status":"UNLOCKED","command_id":"{ID}","device_time":{number:e},"seq":1,"mac":"ab"}}"#),
                format!(r#"{{"online":true,"boot":{number:e},"t":"2026-11-21T12:40:26Z"}}"#),
            ];
            for payload in payloads {
                let mut bytes = payload.into_bytes();
                let at = at % bytes.len();
                read_all(&bytes);
                bytes.splice(at..at + usize::from(at < bytes.len()), with.iter().copied());
                read_all(&bytes);
            }
        }
    }
}
