//! What follows from each fact of a vehicle.

use super::*;
use crate::vehicle::{Answer, FailCode, LockReason, ReleaseReason};
use crate::{AttemptId, By, Decider, ReservationId, Sku, UserId};

fn van() -> VehicleId {
    VehicleId::new("van-7").expect("a vehicle")
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn reservation() -> ReservationId {
    ReservationId(derive(&["r"]))
}

fn press() -> Uuid {
    derive(&["press"])
}

/// A vehicle and what its processes have been told.
struct Story {
    state: State,
    settings: Settings,
}

impl Story {
    /// Paid for, and in reach.
    fn paid() -> Self {
        let mut story = Self { state: State::default(), settings: Settings::default() };
        let ada = UserId::new("ada").expect("a user");
        for command in [
            vehicle::Command::Register {
                vin_ref: "VIN".into(),
                type_pool: Sku::new("van").expect("a sku"),
                odometer_m: 0,
                fuel_pct: None,
            },
            vehicle::Command::ConnectionRestored { boot: 1 },
            vehicle::Command::Reserve {
                reservation_id: reservation(),
                user_id: ada,
                epoch: 1,
                expires_at: None,
                attempt: AttemptId(derive(&["attempt"])),
                period: None,
                confirmed: true,
            },
        ] {
            story.asks(&command, 0);
        }
        story
    }

    /// In use since second 101.
    fn stopped() -> Self {
        let mut story = Self::paid();
        story.unlock(100);
        story.answer(press(), CommandKind::Unlock, Answer::Unlocked, 101);
        story
    }

    /// What follows from what a command records.
    fn asks(&mut self, command: &vehicle::Command, secs: i64) -> Vec<Ask> {
        let id = van();
        let events = self.state.decide(&id, command, at(secs)).expect("granted");
        let mut asks = Vec::new();
        for event in events {
            self.state.evolve(&event);
            let what = What::Vehicle(&id, &event, &self.state);
            asks.extend(react(&Fact { at: at(secs), what }, &self.settings));
        }
        asks
    }

    fn unlock(&mut self, secs: i64) -> Vec<Ask> {
        let unlock = vehicle::Command::RequestUnlock {
            command_id: press(),
            reservation_id: reservation(),
            by: By::System,
            deadline: at(secs).plus(self.settings.unlock_deadline),
        };
        self.asks(&unlock, secs)
    }

    fn answer(&mut self, id: Uuid, kind: CommandKind, answer: Answer, secs: i64) -> Vec<Ask> {
        let told = vehicle::Command::Answer {
            command_id: id,
            kind,
            answer,
            device_time: at(secs),
            odometer_m: None,
            fuel_pct: None,
            grace: self.settings.late_grace,
        };
        self.asks(&told, secs)
    }

    fn end_trip(&mut self, secs: i64) -> Vec<Ask> {
        let end = vehicle::Command::EndTrip {
            reservation_id: reservation(),
            odometer_m: 10,
            fuel_pct: 50,
            lock: true,
        };
        self.asks(&end, secs)
    }

    fn under_way(&self) -> Uuid {
        self.state.command().expect("under way").command_id
    }
}

/// Shortly: what is asked, and when.
fn short(asks: &[Ask]) -> Vec<String> {
    let line = |ask: &Ask| match ask {
        Ask::Vehicle(call) => format!("send {:?} attempt {}", call.kind, call.attempt),
        Ask::Wake { at, then, .. } => {
            let what = match &**then {
                Ask::Do(Command::Vehicle(_, command)) => format!("{command:?}"),
                Ask::Alarm(alarm) => format!("{alarm:?}"),
                other => panic!("a wake for {other:?}"),
            };
            let what = what.split([' ', '{']).next().unwrap_or_default().to_owned();
            format!("at {} {what}", at.micros() / 1_000_000)
        }
        Ask::Forget(key) => format!("forget {}", key.to_string().split(':').next().unwrap_or("")),
        Ask::Alarm(alarm) => {
            let name = format!("{alarm:?}");
            format!("alarm {}", name.split([' ', '{']).next().unwrap_or_default())
        }
        Ask::Do(_) | Ask::Steps(_) | Ask::Gateway(_) | Ask::Charge(_) | Ask::Assign { .. } => {
            panic!("not asked for by unlock: {ask:?}")
        }
    };
    asks.iter().map(line).collect()
}

#[test]
fn an_unlock_is_sent_and_watched() {
    let asks = Story::paid().unlock(100);
    assert_eq!(
        short(&asks),
        ["send Unlock attempt 1", "at 105 RetryCommand", "at 120 CommandTimedOut"]
    );
    let Ask::Vehicle(call) = &asks[0] else { panic!("{asks:?}") };
    assert_eq!((call.command_id, call.seq, call.reservation_id), (press(), 1, Some(reservation())));
    assert_eq!((call.iat, call.exp), (at(100), at(120)));
}

/// D30, fault 43: the same name and deadline each time, at most three times.
#[test]
fn an_unanswered_command_is_sent_three_times_within_its_deadline() {
    let mut story = Story::paid();
    story.unlock(100);
    let retry = |attempt| vehicle::Command::RetryCommand { command_id: press(), attempt };
    let second = story.asks(&retry(2), 105);
    assert_eq!(short(&second), ["send Unlock attempt 2", "at 110 RetryCommand"]);
    let third = story.asks(&retry(3), 110);
    assert_eq!(short(&third), ["send Unlock attempt 3"]);
    let Ask::Vehicle(call) = &third[0] else { panic!("{third:?}") };
    assert_eq!((call.command_id, call.seq, call.exp), (press(), 1, at(120)));
}

#[test]
fn attempts_that_would_come_after_the_deadline_are_not_planned() {
    let mut story = Story::paid();
    story.settings.unlock_deadline = Duration::from_secs(5);
    assert_eq!(short(&story.unlock(100)), ["send Unlock attempt 1", "at 105 CommandTimedOut"]);
}

#[test]
fn a_command_that_has_ended_is_watched_no_more() {
    let over = ["forget command", "forget command", "forget command"];
    let mut story = Story::paid();
    story.unlock(100);
    let unlocked = story.answer(press(), CommandKind::Unlock, Answer::Unlocked, 101);
    assert_eq!(short(&unlocked), over);
    let mut story = Story::paid();
    story.unlock(100);
    let failed = story.asks(&vehicle::Command::CommandTimedOut { command_id: press() }, 120);
    assert_eq!(short(&failed), over, "the customer who is still entitled may try again");
}

#[test]
fn a_timeout_that_comes_too_early_is_asked_for_again() {
    let mut story = Story::paid();
    story.unlock(100);
    let command = vehicle::Command::CommandTimedOut { command_id: press() };
    let refusal = story.state.decide(&van(), &command, at(119)).expect_err("not due");
    let instead = refused(&Command::Vehicle(van(), command), &refusal.into());
    assert_eq!(short(&instead), ["at 120 CommandTimedOut"]);
}

#[test]
fn a_return_is_locked_and_a_lock_that_fails_is_asked_for_later_and_later() {
    let mut story = Story::stopped();
    let locked =
        ["send Lock attempt 1", "at 505 RetryCommand", "at 520 CommandTimedOut", "forget relock"];
    assert_eq!(short(&story.end_trip(500)), locked);
    let mut now = 500;
    for (nth, wait) in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600].into_iter().enumerate() {
        let id = story.under_way();
        now += 20;
        let failed = story.asks(&vehicle::Command::CommandTimedOut { command_id: id }, now);
        let due = format!("at {} Secure", now + wait);
        assert_eq!(short(&failed)[3..], ["alarm VehicleLockFailed".to_owned(), due], "{nth}");
        let Some(Ask::Wake { then, .. }) = failed.last() else { panic!("{failed:?}") };
        let Ask::Do(Command::Vehicle(_, secure)) = &**then else { panic!("{then:?}") };
        now += wait;
        let again = story.asks(secure, now);
        assert_eq!(short(&again)[0], "send Lock attempt 1");
    }
    let id = story.under_way();
    let done = story.answer(id, CommandKind::Lock, Answer::Locked, now + 1);
    assert_eq!(short(&done)[3..], ["forget relock"]);
}

/// Its customer may have it open: a lock that fails is the customer's to ask for again.
#[test]
fn a_customers_lock_that_fails_is_no_alarm() {
    let mut story = Story::stopped();
    let lock = vehicle::Command::RequestLock {
        command_id: derive(&["lock"]),
        reservation_id: Some(reservation()),
        by: By::System,
        deadline: at(220),
        reason: LockReason::User,
    };
    story.asks(&lock, 200);
    let id = story.under_way();
    let failed = story.answer(id, CommandKind::Lock, Answer::Jammed, 201);
    assert_eq!(short(&failed), ["forget command", "forget command", "forget command"]);
}

/// D31.
#[test]
fn a_late_unlock_that_is_taken_back_is_an_alarm_and_a_lock() {
    let mut story = Story::paid();
    story.unlock(100);
    story.asks(&vehicle::Command::CommandTimedOut { command_id: press() }, 120);
    let release = vehicle::Command::ReleaseReservation {
        reservation_id: reservation(),
        epoch: 1,
        reason: ReleaseReason::Cancelled,
    };
    story.asks(&release, 121);
    let secure = story.under_way();
    story.answer(secure, CommandKind::Lock, Answer::Locked, 122);
    let late = story.answer(press(), CommandKind::Unlock, Answer::Unlocked, 130);
    let late = short(&late);
    assert_eq!(late[3..5], ["alarm VehicleUnlockedByNobody", "send Lock attempt 1"]);
}

/// D35.
#[test]
fn what_nobody_signed_is_an_alarm() {
    let mut story = Story::paid();
    let forged = |why| vehicle::Command::IgnoreAnswer {
        command_id: Some(press()),
        status: "UNLOCKED".into(),
        why,
    };
    let alarms = ["alarm SpoofedAnswer"];
    assert_eq!(short(&story.asks(&forged(IgnoredWhy::BadMac), 1)), alarms);
    assert_eq!(short(&story.asks(&forged(IgnoredWhy::UnknownCommand), 1)), alarms);
    assert_eq!(short(&story.asks(&forged(IgnoredWhy::Duplicate), 1)), [""; 0]);
}

#[test]
fn a_vehicle_that_is_silent_for_a_day_is_an_alarm() {
    let mut story = Story::paid();
    let lost = vehicle::Command::ConnectionLost { last_seen: at(90), boot: 1 };
    assert_eq!(short(&story.asks(&lost, 100)), ["at 86500 VehicleSilent"]);
    let back = vehicle::Command::ConnectionRestored { boot: 2 };
    assert_eq!(short(&story.asks(&back, 200)), ["forget silence"]);
}

#[test]
fn an_odometer_that_goes_back_is_an_alarm() {
    let mut story = Story::paid();
    let told = |seq, odometer_m| vehicle::Command::ReportTelemetry {
        telemetry: vehicle::Telemetry {
            boot: 1,
            seq,
            odometer_m: Some(odometer_m),
            ..vehicle::Telemetry::default()
        },
        low_fuel: 15,
    };
    assert_eq!(short(&story.asks(&told(1, 90_000), 100)), [""; 0]);
    assert_eq!(short(&story.asks(&told(2, 10_000), 101)), ["alarm OdometerAnomaly"]);
}

#[test]
fn a_failed_code_is_told_with_the_alarm() {
    let mut story = Story::stopped();
    story.end_trip(500);
    let id = story.under_way();
    let failed = story.answer(id, CommandKind::Lock, Answer::Jammed, 501);
    let alarm = Alarm::VehicleLockFailed { vehicle_id: van(), code: FailCode::Jammed };
    assert!(failed.contains(&Ask::Alarm(alarm)));
}
