//! What may be asked of a vehicle, and how it says no.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{CommandKind, IgnoredWhy, LockReason, ReleaseReason};
use crate::{AttemptId, By, Epoch, Period, ReservationId, Sku, Timestamp, UserId};

/// What a vehicle answers to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Answer {
    /// It is open.
    Unlocked,
    /// It is closed.
    Locked,
    /// Its lock is stuck.
    Jammed,
    /// It will not.
    Rejected,
    /// The command came after its `exp`.
    Expired,
}

impl Answer {
    /// As it is written on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unlocked => "UNLOCKED",
            Self::Locked => "LOCKED",
            Self::Jammed => "JAMMED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// One message of telemetry, as far as rules look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// How often the vehicle had started when it said this.
    pub boot: u64,
    /// Its number since that start.
    pub seq: u64,
    /// Metres driven.
    pub odometer_m: Option<u64>,
    /// Percent of fuel or charge.
    pub fuel_pct: Option<u8>,
    /// Whether its doors are locked.
    pub is_locked: Option<bool>,
    /// Millionths of a degree, north.
    pub latitude_udeg: Option<i64>,
    /// Millionths of a degree, east.
    pub longitude_udeg: Option<i64>,
    /// Kilometres an hour.
    pub speed_kmh: Option<u16>,
    /// What the vehicle's clock said.
    pub device_time: Timestamp,
}

/// What may be asked of a vehicle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Put it into the fleet.
    Register { vin_ref: String, type_pool: Sku, odometer_m: u64, fuel_pct: Option<u8> },
    /// Claim it: until `expires_at`, or, `confirmed`, for good (a paid rental's period begins).
    Reserve {
        reservation_id: ReservationId,
        user_id: UserId,
        epoch: Epoch,
        expires_at: Option<Timestamp>,
        attempt: AttemptId,
        period: Option<Period>,
        confirmed: bool,
    },
    /// Hold the claim until later.
    ExtendReservation { reservation_id: ReservationId, expires_at: Timestamp, epoch: Epoch },
    /// An attempt at acquiring was refused elsewhere: take its name off the claim.
    Withdraw { reservation_id: ReservationId, attempt: AttemptId },
    /// The claim is paid for.
    ConfirmReservation { reservation_id: ReservationId, epoch: Epoch },
    /// Take it again and keep it.
    Reacquire {
        reservation_id: ReservationId,
        user_id: UserId,
        epoch: Epoch,
        period: Option<Period>,
    },
    /// A fact of the reservation ends the claim. Refused while its customer uses the vehicle, or may do
    /// so the next moment (D32).
    ReleaseReservation { reservation_id: ReservationId, epoch: Epoch, reason: ReleaseReason },
    /// Drop the claim if it has lapsed.
    DropLapsed { reservation_id: ReservationId },
    /// Open it for the customer of that reservation; another unlock of the same that is under way is
    /// joined.
    RequestUnlock { command_id: Uuid, reservation_id: ReservationId, by: By, deadline: Timestamp },
    /// Close it. Without a reservation only an operator or a process may ask.
    RequestLock {
        command_id: Uuid,
        reservation_id: Option<ReservationId>,
        by: By,
        deadline: Timestamp,
        reason: LockReason,
    },
    /// Lock it if it is not known to be locked and nobody may have it open.
    Secure { command_id: Uuid },
    /// No answer yet: the next attempt at what is under way.
    RetryCommand { command_id: Uuid, attempt: u8 },
    /// The deadline of a command may have passed.
    CommandTimedOut { command_id: Uuid },
    /// The vehicle answered; signed by its key. `grace`: how long after its deadline an UNLOCKED still
    /// counts.
    Answer {
        command_id: Uuid,
        kind: CommandKind,
        answer: Answer,
        device_time: Timestamp,
        odometer_m: Option<u64>,
        fuel_pct: Option<u8>,
        grace: Duration,
    },
    /// Something came that is no answer of this vehicle: kept for the audit.
    IgnoreAnswer { command_id: Option<Uuid>, status: String, why: IgnoredWhy },
    /// The rental has begun.
    StartTrip { reservation_id: ReservationId },
    /// The rental is over; `lock`: it has a lock that we turn.
    EndTrip { reservation_id: ReservationId, odometer_m: u64, fuel_pct: u8, lock: bool },
    /// The vehicle tells of itself. `low_fuel`: the percentage below which somebody should see to it.
    ReportTelemetry { telemetry: Telemetry, low_fuel: u8 },
    /// Its Last Will says that it is gone; `boot`: since which start it had been there.
    ConnectionLost { last_seen: Timestamp, boot: u64 },
    /// It is there.
    ConnectionRestored { boot: u64 },
    /// Nobody may rent it for now.
    SetOutOfService { by: By, reason: String },
    /// It may be rented again.
    ReturnToService { by: By },
}

/// How a vehicle says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such vehicle, or it is not reserved for you")]
    NotFound,
    #[error("there is already another vehicle of this id")]
    AlreadyExists,
    #[error("{0}")]
    InvalidRegistration(InvalidRegistration),
    #[error("this vehicle is reserved for somebody else")]
    Taken,
    #[error("this vehicle is not in service")]
    Unavailable,
    #[error("the reservation of this vehicle is not confirmed")]
    NotConfirmed,
    #[error("this rental has not started")]
    NotStarted,
    #[error("this rental is over")]
    Completed,
    #[error("this vehicle is in use")]
    InUse,
    #[error("this vehicle cannot be reached; try again in a moment")]
    Offline,
    #[error("a command to this vehicle is under way; wait for its outcome")]
    UnlockInProgress { command_id: Uuid },
    #[error("this reservation has no claim here")]
    NoClaim,
    #[error("this claim was already given up")]
    StaleEpoch,
    #[error("the deadline has passed")]
    TooLate,
    #[error("the command is not due before {until}")]
    NotDue { until: Timestamp },
    #[error("fuel is a percentage from 0 to 100, not {0}")]
    InvalidFuel(u8),
}

/// What is wrong with a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum InvalidRegistration {
    #[error("a VIN must have 1 to 64 characters")]
    Vin,
    #[error("an odometer stands at most at {} m", super::MOST_METRES)]
    Odometer,
}
