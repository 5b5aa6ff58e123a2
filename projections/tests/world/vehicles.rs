//! The fleet's part of the world: vehicles that obey, dawdle, vanish and come back, and what was found on
//! them afterwards.

use holdfast_domain::vehicle::{
    Answer, Command as C, CommandKind, IgnoredWhy, LockReason, ReleaseReason, Telemetry,
};

use super::*;

/// The inspection of that number.
fn inspection_id(number: u64) -> InspectionId {
    InspectionId(derive(&["inspection", &number.to_string()]))
}

impl World {
    /// Four vans.
    pub async fn open_fleet(&mut self) {
        for number in 1..=4 {
            let register = C::Register {
                vin_ref: format!("VIN-{number}"),
                type_pool: sku("van"),
                odometer_m: 1_000 * number,
                fuel_pct: (number != 3).then_some(20 * number as u8),
            };
            self.vehicle(van(number), register).await;
        }
    }

    /// A few things happen to one van at the same moment, or nearly so.
    pub(super) async fn step_vehicle(&mut self, dice: &mut Dice) {
        let id = van(1 + dice.below(4));
        for _ in 0..=dice.below(4) {
            self.now = self.now.plus(Duration::from_millis(dice.below(8_000)));
            let command = self.vehicle_command(&id, dice);
            self.vehicle(id.clone(), command).await;
            let given = self.vehicles[&id].command().map(|it| it.command_id);
            self.commands.extend(given.filter(|given| !self.commands.contains(given)));
        }
    }

    fn vehicle_command(&self, id: &VehicleId, dice: &mut Dice) -> C {
        let state = &self.vehicles[id];
        let number = dice.below(12);
        // Mostly whose it is.
        let reservation_id = match state.reservation() {
            Some(assigned) if !dice.chance(4) => assigned.reservation_id,
            _ => reservation_id(number),
        };
        let holder = state.reservation().map(|it| it.user_id.clone());
        let user_id = holder.filter(|_| !dice.chance(8)).unwrap_or_else(|| user(number % 4));
        let by = match dice.below(4) {
            0 => By::Operator(user(0)),
            _ => By::Owner(user_id.clone()),
        };
        let epoch = 1 + (dice.below(8) / 6) as u32;
        let attempt = AttemptId(derive(&["attempt", &dice.below(3).to_string()]));
        let expires_at = self.until(dice);
        let fresh =
            derive(&["vehicle-command", &self.events.to_string(), &dice.roll().to_string()]);
        let under_way = state.command().filter(|_| !dice.chance(4));
        let known = under_way.map(|it| it.command_id);
        let known = known.or_else(|| self.commands.last().copied());
        let known = known.filter(|_| !dice.chance(10)).unwrap_or(fresh);
        let kind = under_way.map_or(CommandKind::Unlock, |it| it.kind);
        let deadline = self.now.plus(Duration::from_secs(20));
        match dice.below(32) {
            0..=3 => C::Reserve {
                reservation_id,
                user_id,
                epoch,
                expires_at: dice.chance(2).then_some(expires_at),
                attempt,
                period: None,
                confirmed: dice.chance(3),
            },
            4 => C::ExtendReservation { reservation_id, expires_at, epoch },
            5 => C::Withdraw { reservation_id, attempt },
            6..=8 => C::ConfirmReservation { reservation_id, epoch },
            9 => C::Reacquire { reservation_id, user_id, epoch: epoch + 1, period: None },
            10 | 11 => {
                let reasons = [
                    ReleaseReason::Cancelled,
                    ReleaseReason::Completed,
                    ReleaseReason::NoShow,
                    ReleaseReason::PaymentFailed,
                ];
                C::ReleaseReservation { reservation_id, epoch, reason: *dice.one(&reasons) }
            }
            12 => C::DropLapsed { reservation_id },
            13..=16 => C::RequestUnlock { command_id: fresh, reservation_id, by, deadline },
            17 => C::RequestLock {
                command_id: fresh,
                reservation_id: Some(reservation_id),
                by,
                deadline,
                reason: LockReason::User,
            },
            18 => C::Secure { command_id: fresh },
            19 => C::RetryCommand { command_id: known, attempt: 2 },
            20 => C::CommandTimedOut { command_id: known },
            21..=24 => C::Answer {
                command_id: known,
                kind,
                answer: match (dice.below(6), kind) {
                    (0, _) => *dice.one(&[Answer::Jammed, Answer::Rejected, Answer::Expired]),
                    (_, CommandKind::Unlock) => Answer::Unlocked,
                    (_, CommandKind::Lock) => Answer::Locked,
                },
                device_time: self.now,
                odometer_m: dice.chance(2).then(|| dice.below(2_000_000)),
                fuel_pct: dice.chance(2).then(|| dice.below(101) as u8),
                grace: Duration::from_secs(30),
            },
            25 => {
                let why = *dice.one(&[IgnoredWhy::BadMac, IgnoredWhy::UnknownCommand]);
                C::IgnoreAnswer { command_id: Some(known), status: "UNLOCKED".into(), why }
            }
            26 => C::StartTrip { reservation_id },
            27 => C::EndTrip {
                reservation_id,
                odometer_m: dice.below(3_000_000),
                fuel_pct: dice.below(101) as u8,
                lock: !dice.chance(3),
            },
            28 | 29 => C::ReportTelemetry {
                telemetry: Telemetry {
                    boot: 1 + dice.below(2),
                    seq: self.events,
                    odometer_m: dice.chance(2).then(|| dice.below(3_000_000)),
                    fuel_pct: dice.chance(2).then(|| dice.below(101) as u8),
                    is_locked: dice.chance(2).then(|| dice.chance(2)),
                    latitude_udeg: dice.chance(2).then(|| dice.below(100_000_000) as i64),
                    longitude_udeg: dice.chance(2).then(|| -(dice.below(100_000_000) as i64)),
                    speed_kmh: None,
                    device_time: self.now,
                },
                low_fuel: 15,
            },
            30 if dice.chance(2) => {
                C::ConnectionLost { last_seen: self.now, boot: 1 + dice.below(2) }
            }
            30 => C::ConnectionRestored { boot: 1 + dice.below(3) },
            _ if dice.chance(2) => {
                C::SetOutOfService { by: By::Operator(user(0)), reason: "a dent".into() }
            }
            _ => C::ReturnToService { by: By::Operator(user(0)) },
        }
    }
    pub(super) async fn step_inspection(&mut self, dice: &mut Dice) {
        use inspection::Command as I;
        let number = dice.below(6);
        let id = inspection_id(number);
        let reservation_id = reservation_id(number);
        let payment_id = reservation_id.damage_payment_id(&id);
        let (by, reason) = (By::Operator(user(0)), Some("seen".into()));
        let amount = dice.chance(2).then(|| euros(20_000));
        let command = match dice.below(9) {
            0..=2 => I::Submit {
                reservation_id,
                user_id: user(number % 4),
                description: if number == 5 { String::new() } else { "a scratch".into() },
                photos: vec![inspection::Photo {
                    sha256: "0a".repeat(32),
                    media_type: "image/jpeg".into(),
                    url: "https://photos.example/1".into(),
                }],
                odometer_m: number.is_multiple_of(2).then_some(12_345),
                estimate: number.is_multiple_of(3).then(|| euros(20_000)),
                auto_charge_limit: dice.chance(2).then(|| euros(30_000)),
            },
            3 | 4 => I::Approve { by, amount },
            5 => I::Reject { by, reason },
            6 if dice.chance(2) => I::Dispute { by, reason },
            6 => I::Waive { by, reason },
            7 => I::RecordCharged { payment_id, amount: euros(20_000) },
            _ => I::RecordChargeFailed {
                payment_id,
                attempt: dice.chance(2).then_some(1),
                code: "card_declined".into(),
            },
        };
        self.inspection(id, command).await;
        self.step_damage_charge(number, dice).await;
    }

    async fn step_damage_charge(&mut self, number: u64, dice: &mut Dice) {
        let inspection = inspection_id(number);
        let reservation_id = reservation_id(number);
        let (id, inspection_id) = match dice.below(3) {
            0 => (reservation_id.extra_payment_id("fuel"), None),
            _ => (reservation_id.damage_payment_id(&inspection), Some(inspection)),
        };
        let gateway_ref = format!("later-{number}");
        let command = if dice.chance(2) {
            payment::Command::ChargeLater {
                reservation_id,
                inspection_id,
                amount: euros(20_000),
                attempt: 1,
                means: Some(payment::Means { gateway: "sandbox".into(), gateway_ref }),
                tenant: "main".into(),
            }
        } else {
            let word = payment::Word::Succeeded {
                gateway_ref,
                amount: euros(20_000),
                approval_code: None,
            };
            let via = payment::Via::Sync;
            payment::Command::Record { attempt: 1, via, gateway_event_id: None, word }
        };
        self.payment(id, command).await;
    }
}
