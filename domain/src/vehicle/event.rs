//! What may have happened to a vehicle. Field names are stored: they never change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::seatmap;
use crate::{AttemptId, Epoch, Period, ReservationId, Sku, Timestamp, UserId};

/// Which way the lock is to turn.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CommandKind {
    /// Open it.
    Unlock,
    /// Close it.
    Lock,
}

/// Why a command to a vehicle came to nothing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailCode {
    /// It did not answer by the deadline.
    Timeout,
    /// The same, and its connection was known to be lost.
    Offline,
    /// It says that its lock is stuck.
    Jammed,
    /// It says no.
    Rejected,
    /// It says that the command came too late.
    Expired,
}

/// Why a vehicle is locked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LockReason {
    /// Its customer wants it so.
    User,
    /// The rental is over.
    Return,
    /// It was unlocked too late, for somebody who is not entitled any more. D31.
    LateUnlock,
    /// An operator wants it so.
    Operator,
    /// Nobody may have it open, and it is not known to be locked.
    Secure,
}

/// Why a reservation's claim on a vehicle ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReleaseReason {
    /// Its time was up.
    Expired,
    /// The reservation was cancelled.
    Cancelled,
    /// The payment was declined.
    PaymentFailed,
    /// The customer gave it back.
    User,
    /// The money went back.
    Refunded,
    /// Late money was not taken.
    LateRejected,
    /// It could not be delivered.
    Oversold,
    /// The rental is over.
    Completed,
    /// The acquisition was refused elsewhere.
    Refused,
    /// The rental's period went by and nobody came.
    NoShow,
    /// The reservation has another vehicle, or wants none any more.
    NotNeeded,
}

impl ReleaseReason {
    /// Whether it also ends what is paid for. DOMAIN.md C.5.
    pub fn ends_commitment(self) -> bool {
        match self {
            Self::Cancelled
            | Self::Refunded
            | Self::LateRejected
            | Self::Oversold
            | Self::Completed
            | Self::NoShow
            | Self::NotNeeded => true,
            Self::Expired | Self::PaymentFailed | Self::User | Self::Refused => false,
        }
    }
}

/// The reasons that pools, limits and seat maps know.
impl From<seatmap::ReleaseReason> for ReleaseReason {
    fn from(reason: seatmap::ReleaseReason) -> Self {
        use seatmap::ReleaseReason as R;
        match reason {
            R::Expired => Self::Expired,
            R::Cancelled => Self::Cancelled,
            R::PaymentFailed => Self::PaymentFailed,
            R::User => Self::User,
            R::Refunded => Self::Refunded,
            R::LateRejected => Self::LateRejected,
            R::Oversold => Self::Oversold,
            R::Completed => Self::Completed,
            R::Refused => Self::Refused,
        }
    }
}

/// Why a vehicle's answer changed nothing; kept for the audit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IgnoredWhy {
    /// It has said so before.
    Duplicate,
    /// Nobody gave such a command. V3
    UnknownCommand,
    /// It is not signed with the vehicle's key. D35
    BadMac,
    /// The command has ended otherwise, or a newer one has taken its place.
    Stale,
    /// A late UNLOCKED of somebody who has given the vehicle up, while it stands open for another.
    NotEntitled,
}

/// What may have happened to a vehicle. Stored as `vehicle.{kebab}`. Metres, percent, millionths of a
/// degree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// It belongs to the fleet.
    Registered {
        vin_ref: String,
        type_pool: Sku,
        odometer_m: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fuel_pct: Option<u8>,
    },
    /// Claimed for a reservation; `confirmed`: paid for already, it does not lapse.
    Reserved {
        reservation_id: ReservationId,
        user_id: UserId,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Period>,
        confirmed: bool,
    },
    /// Held until later, or another attempt holds it too.
    ReservationExtended {
        reservation_id: ReservationId,
        expires_at: Timestamp,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
    },
    /// Paid for: from now on its customer may unlock it.
    ReservationConfirmed { reservation_id: ReservationId, epoch: Epoch },
    /// One attempt at acquiring gave up; others still hold the claim.
    AttemptWithdrawn { reservation_id: ReservationId, attempt: AttemptId },
    /// The reservation has no claim any more; `freed` is false when it had none and only the fence
    /// rises. Without `epoch` it leaves no tombstone.
    ReservationReleased {
        reservation_id: ReservationId,
        reason: ReleaseReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        freed: bool,
    },
    /// It is to unlock; the command is sent on account of this fact, once for each attempt. `at` is the
    /// attempt's moment.
    UnlockRequested {
        command_id: Uuid,
        reservation_id: ReservationId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
        seq: u64,
        at: Timestamp,
        deadline: Timestamp,
        attempt: u8,
    },
    /// It says that it is unlocked. `late`: after the deadline, or after the command had ended
    /// otherwise. `accepted` is false when nobody is entitled: then a lock follows in the same append.
    Unlocked {
        command_id: Uuid,
        reservation_id: ReservationId,
        odometer_m: u64,
        fuel_pct: u8,
        device_time: Timestamp,
        latency_ms: u64,
        late: bool,
        accepted: bool,
    },
    /// The unlock came to nothing.
    UnlockFailed { command_id: Uuid, reservation_id: ReservationId, code: FailCode },
    /// It is to lock; as `UnlockRequested`.
    LockRequested {
        command_id: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reservation_id: Option<ReservationId>,
        seq: u64,
        at: Timestamp,
        deadline: Timestamp,
        attempt: u8,
        reason: LockReason,
    },
    /// It says that it is locked.
    Locked {
        command_id: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reservation_id: Option<ReservationId>,
        device_time: Timestamp,
        latency_ms: u64,
        late: bool,
    },
    /// The lock came to nothing.
    LockFailed {
        command_id: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reservation_id: Option<ReservationId>,
        code: FailCode,
    },
    /// An answer that changed nothing: repeated, late, foreign or forged.
    AnswerIgnored {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command_id: Option<Uuid>,
        status: String,
        why: IgnoredWhy,
        at: Timestamp,
    },
    /// An unlock that nobody is entitled to is taken back: a lock follows it, in the same append or as
    /// soon as the command that is under way has ended.
    LateUnlockCompensated { command_id: Uuid },
    /// Nobody can reach it.
    ConnectionLost { last_seen: Timestamp },
    /// It can be reached, since its `boot`-th start.
    ConnectionRestored { boot: u64 },
    /// The customer drives.
    TripStarted { reservation_id: ReservationId, odometer_m: u64, fuel_pct: u8 },
    /// The customer has given it back.
    TripEnded { reservation_id: ReservationId, odometer_m: u64, fuel_pct: u8, distance_m: u64 },
    /// What it tells of itself, now and then; `at` by our clock.
    TelemetrySampled {
        boot: u64,
        seq: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        odometer_m: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fuel_pct: Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        is_locked: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        latitude_udeg: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        longitude_udeg: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed_kmh: Option<u16>,
        device_time: Timestamp,
        at: Timestamp,
    },
    /// It tells of fewer metres than it has driven. V4
    OdometerAnomaly { known_m: u64, told_m: u64, at: Timestamp },
    /// Nobody may rent it for now.
    OutOfService { reason: String },
    /// It may be rented again.
    ReturnedToService,
}
