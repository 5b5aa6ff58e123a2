//! A vehicle: whose it is just now, whether it can be reached, and what its lock is doing. Three regions
//! that go on independently of each other. DOMAIN.md C.6.
//!
//! ```text
//!   rental   AVAILABLE ─Reserve─► RESERVED ─Unlocked─► STOPPED ─StartTrip─► ON_TRIP
//!                ▲                   │                   │                    │
//!                │ known to be       │ Release           │ EndTrip            │ EndTrip
//!                │ locked            ▼                   ▼                    ▼
//!            NON_OPERATIONAL ◄── nobody's: until a lock is confirmed, or while out of service
//!
//!   contact  never seen ──► online ◄──► offline (shown as NON_CONTACTABLE, then as before)
//!
//!   lock     LOCKED ─RequestUnlock─► UNLOCKING ─Unlocked─► UNLOCKED ─RequestLock─► LOCKING ─► LOCKED
//!                                     │ at most 3 attempts within the deadline        │
//!                                     └── failed: UNKNOWN after silence ◄─────────────┘
//! ```
//!
//! **Who may open it** is decided here and nowhere else: the claim, its confirmation and the unlock stand
//! in one stream, so that a cancellation and an unlock of the same moment have an order (D32).
//!
//! **One command at a time** (V2). Each attempt is a fact, and the message is sent on account of it; the
//! vehicle acts once on a command id, however often it comes. An answer counts for the command that it
//! names: in time, or late while the reservation still entitles (D31). A late UNLOCKED of somebody who is
//! not entitled is answered by a lock, in the same append.
//!
//! **Whoever leaves it open**: when a claim goes and the vehicle is not known to be locked, by its own
//! signed word, a lock is asked for in the same append, and again until one is confirmed. Until then
//! nobody else gets it (V5).

mod answers;
mod claims;
mod command;
mod decide;
mod doors;
mod event;
mod evolve;
mod signals;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test builds is well formed")]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::claim::{Claim, Ledger};
use crate::{Epoch, Period, ReservationId, Sku, Timestamp, UserId, VehicleId, derive};

pub use command::{Answer, Command, InvalidRegistration, Refusal, Telemetry};
pub use event::{CommandKind, Event, FailCode, IgnoredWhy, LockReason, ReleaseReason};

/// No odometer stands higher: a million kilometres a thousand times over.
pub const MOST_METRES: u64 = 1_000_000_000_000;
/// How long a vehicle may take to obey a lock that nobody but this aggregate asked for.
pub const LOCK_WITHIN: Duration = Duration::from_secs(20);
/// How many ended commands are remembered.
pub const ENDED_KEPT: usize = 64;

/// Where the rental stands; MDS's names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Rental {
    /// There is no such vehicle.
    #[default]
    None,
    /// Anybody may have it.
    Available,
    /// Claimed; not opened yet.
    Reserved,
    /// Opened by its customer, or between two drives.
    Stopped,
    /// Under way.
    OnTrip,
    /// Nobody may have it: out of service, or not known to be locked.
    NonOperational,
    /// Not of the fleet any more.
    Removed,
}

/// What the fleet's feeds show: the rental, or that nobody can reach it. MDS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the rental's names, and MDS's for a lost connection")]
pub enum Reported {
    Available,
    Reserved,
    Stopped,
    OnTrip,
    NonOperational,
    Removed,
    NonContactable,
}

/// What the lock is doing, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the states of DOMAIN.md C.6")]
pub enum LockState {
    Locked,
    Unlocking,
    Unlocked,
    Locking,
    /// A command came to nothing; nobody knows whether it was obeyed.
    Unknown,
}

/// The reservation that has the vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned<'a> {
    /// Which.
    pub reservation_id: ReservationId,
    /// Whose it is.
    pub user_id: &'a UserId,
    /// At which epoch it was claimed.
    pub epoch: Epoch,
    /// Whether it is paid for: only then may it be opened.
    pub confirmed: bool,
    /// When it may be used; none: from the confirmation on.
    pub period: Option<Period>,
    /// Until when it is held, unpaid.
    pub expires_at: Option<Timestamp>,
}

/// The command that the vehicle has not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Its name, also on the wire.
    pub command_id: Uuid,
    /// What it should do.
    pub kind: CommandKind,
    /// For which reservation.
    pub reservation_id: Option<ReservationId>,
    /// Its number among the vehicle's commands.
    pub seq: u64,
    /// How often it was sent.
    pub attempt: u8,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// From when on it has failed, and the vehicle itself refuses it.
    pub deadline: Timestamp,
    /// Why it should lock.
    pub reason: Option<LockReason>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandOutcome {
    /// It is open. `accepted` is false when a lock follows.
    Unlocked {
        /// After the deadline, or after it had failed.
        late: bool,
        /// Whether its customer may have it open.
        accepted: bool,
    },
    /// It is closed.
    Locked {
        /// After the deadline, or after it had failed.
        late: bool,
    },
    /// Nothing came of it.
    Failed(FailCode),
}

/// A command that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    command: UnderWay,
    outcome: CommandOutcome,
}

/// What a reservation's claim says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Holder {
    user_id: UserId,
    period: Option<Period>,
}

/// What is painted on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Registration {
    vin_ref: String,
    type_pool: Sku,
}

/// The rental that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trip {
    started: bool,
    odometer_m: u64,
}

/// What its own signed answers say of the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Bolt {
    #[default]
    Locked,
    Unlocked,
    Unknown,
}

/// Whether anybody can reach it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Contact {
    #[default]
    Never,
    Online,
    Offline,
}

/// The last telemetry that was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    boot: u64,
    seq: u64,
    at: Timestamp,
    odometer_m: Option<u64>,
    fuel_pct: Option<u8>,
    is_locked: Option<bool>,
}

/// An answer that was ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ignored {
    command_id: Option<Uuid>,
    why: IgnoredWhy,
    at: Timestamp,
}

/// All that is known of a vehicle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    registration: Option<Registration>,
    odometer_m: u64,
    fuel_pct: Option<u8>,
    claims: Ledger<Holder>,
    trip: Option<Trip>,
    out_of_service: Option<String>,
    contact: Contact,
    last_seen: Option<Timestamp>,
    boot: u64,
    bolt: Bolt,
    /// What telemetry said of the doors since the last signed answer.
    doors: Option<bool>,
    command: Option<UnderWay>,
    ended: VecDeque<Ended>,
    /// The number of the last command.
    seq: u64,
    /// A lock that is asked for as soon as the command under way has ended.
    owed: Option<LockReason>,
    /// How many locks in a row came to nothing.
    lock_failures: u32,
    sample: Option<Sample>,
    anomaly: Option<u64>,
    ignored: VecDeque<Ignored>,
}

impl State {
    /// Whether it belongs to the fleet.
    pub fn is_registered(&self) -> bool {
        self.registration.is_some()
    }

    /// What names it on paper.
    pub fn vin_ref(&self) -> Option<&str> {
        self.registration.as_ref().map(|it| it.vin_ref.as_str())
    }

    /// Its class: the pool that it counts in.
    pub fn type_pool(&self) -> Option<&Sku> {
        self.registration.as_ref().map(|it| &it.type_pool)
    }

    /// Where the rental stands.
    pub fn rental(&self) -> Rental {
        match (&self.registration, &self.trip) {
            (None, _) => Rental::None,
            (Some(_), Some(Trip { started: true, .. })) => Rental::OnTrip,
            (Some(_), Some(Trip { started: false, .. })) => Rental::Stopped,
            (Some(_), None) if self.out_of_service.is_some() => Rental::NonOperational,
            (Some(_), None) if self.holder().is_some() => Rental::Reserved,
            (Some(_), None) if !self.is_secured() => Rental::NonOperational,
            (Some(_), None) => Rental::Available,
        }
    }

    /// What the fleet's feeds show; none before it is registered.
    pub fn reported(&self) -> Option<Reported> {
        let rental = match self.rental() {
            Rental::None => return None,
            Rental::Available => Reported::Available,
            Rental::Reserved => Reported::Reserved,
            Rental::Stopped => Reported::Stopped,
            Rental::OnTrip => Reported::OnTrip,
            Rental::NonOperational => Reported::NonOperational,
            Rental::Removed => Reported::Removed,
        };
        Some(if self.is_offline() { Reported::NonContactable } else { rental })
    }

    /// What the lock is doing, as far as is known.
    pub fn lock(&self) -> LockState {
        match (self.command.as_ref().map(|command| command.kind), self.bolt, self.doors) {
            (Some(CommandKind::Unlock), _, _) => LockState::Unlocking,
            (Some(CommandKind::Lock), _, _) => LockState::Locking,
            (None, _, Some(false)) | (None, Bolt::Unlocked, None) => LockState::Unlocked,
            (None, _, Some(true)) | (None, Bolt::Locked, None) => LockState::Locked,
            (None, Bolt::Unknown, None) => LockState::Unknown,
        }
    }

    /// Whether it is known to be locked, by its own signed word, and nothing under way may open it.
    /// Telemetry can only take that away.
    pub fn is_secured(&self) -> bool {
        let unlocking =
            self.command.as_ref().is_some_and(|command| command.kind == CommandKind::Unlock);
        self.bolt == Bolt::Locked && self.doors != Some(false) && self.owed.is_none() && !unlocking
    }

    /// Whether it has said that it is there, and nothing since says that it is gone.
    pub fn is_online(&self) -> bool {
        self.contact == Contact::Online
    }

    /// Whether its Last Will says that it is gone. One that was never seen is neither.
    pub fn is_offline(&self) -> bool {
        self.contact == Contact::Offline
    }

    /// When it last told of itself.
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.last_seen
    }

    /// Since which start it is there.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Why nobody may rent it, if an operator says so.
    pub fn out_of_service(&self) -> Option<&str> {
        self.out_of_service.as_deref()
    }

    /// The reservation that has it; one that has lapsed and lies there still counts.
    pub fn reservation(&self) -> Option<Assigned<'_>> {
        self.holder().map(|(id, claim)| Assigned {
            reservation_id: *id,
            user_id: &claim.what.user_id,
            epoch: claim.epoch,
            confirmed: claim.is_committed(),
            period: claim.what.period,
            expires_at: claim.expires_at(),
        })
    }

    /// The command that it has not answered yet.
    pub fn command(&self) -> Option<&UnderWay> {
        self.command.as_ref()
    }

    /// How a command ended, if it is one of the last [`ENDED_KEPT`].
    pub fn outcome(&self, command_id: &Uuid) -> Option<CommandOutcome> {
        self.ended_command(command_id).map(|ended| ended.outcome)
    }

    /// Metres driven; never fewer than before.
    pub fn odometer_m(&self) -> u64 {
        self.odometer_m
    }

    /// Percent of fuel or charge, once it is known.
    pub fn fuel_pct(&self) -> Option<u8> {
        self.fuel_pct
    }

    /// The number of its next command.
    pub fn next_seq(&self) -> u64 {
        self.seq + 1
    }

    /// How many locks in a row came to nothing.
    pub fn lock_failures(&self) -> u32 {
        self.lock_failures
    }

    /// Whether it lies open, or may, although nobody may have it open: it should be locked.
    pub fn needs_lock(&self) -> bool {
        self.is_nobodys() && !self.is_secured()
    }

    /// Whether nobody may have it open: neither a customer who has paid nor those who work on it.
    fn is_nobodys(&self) -> bool {
        self.is_registered()
            && self.trip.is_none()
            && self.out_of_service.is_none()
            && !self.holder().is_some_and(|(_, claim)| claim.is_committed())
    }

    fn holder(&self) -> Option<(&ReservationId, &Claim<Holder>)> {
        self.claims.iter().next()
    }

    fn held_by(&self, reservation: &ReservationId) -> Option<&Claim<Holder>> {
        self.claims.get(reservation)
    }

    fn ended_command(&self, command_id: &Uuid) -> Option<&Ended> {
        self.ended.iter().rev().find(|ended| ended.command.command_id == *command_id)
    }
}

/// The name of a lock that the vehicle's own rules ask for: one for each number.
fn own_lock(id: &VehicleId, seq: u64) -> Uuid {
    derive(&["vehicle-lock", id.as_str(), &seq.to_string()])
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "vehicle";
    type Id = VehicleId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        id: &VehicleId,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.judge(id, command, now)
    }

    fn evolve(&mut self, event: &Event) {
        self.take_in(event);
    }
}
