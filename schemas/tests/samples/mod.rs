//! One sample of every event, as a shop would record it.

use holdfast_domain::inventory::ReleaseReason;
use holdfast_domain::notification::{About, Channel as NoticeChannel};
use holdfast_domain::payment::{Action, BackReason, Flow, IgnoredWhy, Kind, LostWhy, Via};
use holdfast_domain::process::{Ask, Command};
use holdfast_domain::reservation::{
    CancelReason, CancelledBy, Capture, Channel, Claim, ExtensionReason, HoldReleaseReason,
    LatePayment, LateReason, Line, LineKind, OnDecline, Policies, Status,
};
use holdfast_domain::seatmap::{Category, Owner, Plan, Section};
use holdfast_domain::{
    AttemptId, Currency, InspectionId, LockId, Money, Period, RefundId, ReservationId, SeatId,
    SeatMapId, Sku, Timestamp, UserId, VehicleId, derive, inspection, inventory, item, limit,
    notification, payment, reservation, seatmap, ticket, vehicle,
};
use holdfast_schemas::{Actor, DeadLetterEvent, Metadata, StoredEvent};

/// An event as it is stored, with the stream that it would stand in.
pub struct Sample {
    pub stream: String,
    pub kind: &'static str,
    pub schema_version: u16,
    pub data: Vec<u8>,
}

const AT: Timestamp = Timestamp::from_secs(1_795_262_400);

fn later(minutes: u64) -> Timestamp {
    AT.plus(std::time::Duration::from_secs(60 * minutes))
}

fn euros(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::new("EUR").unwrap())
}

pub fn reservation_id() -> ReservationId {
    ReservationId(derive(&["sample", "reservation"]))
}

fn seats() -> Vec<SeatId> {
    ["A-3-11", "A-3-12"].map(|id| SeatId::new(id).unwrap()).to_vec()
}

fn sample<E: StoredEvent>(stream: String, event: E) -> Sample {
    let data = event.encode();
    Sample { stream, kind: event.kind(), schema_version: event.schema_version(), data }
}

/// The metadata that every sample has.
pub fn metadata() -> Metadata {
    Metadata {
        occurred_at: AT,
        command_id: derive(&["sample", "command"]),
        actor: Actor::user("ada"),
        tenant_id: "main".into(),
        correlation_id: Some(reservation_id().to_string()),
        causation_id: Some(derive(&["sample", "cause"]).to_string()),
        idempotency_key: Some("5f1d".into()),
        fingerprint: Some("1b4f0e98".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

/// Every event.
pub fn samples() -> Vec<Sample> {
    let mut all = Vec::new();
    all.extend(reservations());
    all.extend(payments());
    all.extend(seat_maps());
    all.extend(pools());
    all.extend(others());
    all.extend(vehicles());
    all.extend(inspections());
    all
}

fn reservations() -> Vec<Sample> {
    use reservation::Event as E;
    let id = reservation_id();
    let (payment_id, attempt, claim_epoch) = (id.payment_id(), 1, 1);
    let gala = Sku::new("gala").unwrap();
    let hall = SeatMapId::new("hall").unwrap();
    let user_id = UserId::new("ada").unwrap();
    let vehicle_id = VehicleId::new("van-7").unwrap();
    let period = Period { from: later(60), until: later(180) };
    let lines = vec![
        Line {
            line_id: 1,
            kind: LineKind::Seat,
            sku: Some(gala.clone()),
            quantity: 2,
            seat_map_id: Some(hall.clone()),
            seat_ids: seats(),
            period: None,
            vehicle_id: None,
            unit_price: euros(4_500),
        },
        Line {
            line_id: 2,
            kind: LineKind::Vehicle,
            sku: Some(Sku::new("van").unwrap()),
            quantity: 1,
            seat_map_id: None,
            seat_ids: vec![],
            period: Some(period),
            vehicle_id: Some(vehicle_id.clone()),
            unit_price: euros(9_900),
        },
    ];
    let claims = vec![
        Claim::Limit { r#ref: format!("gala/{user_id}").parse().unwrap(), quantity: 2, max: 10 },
        Claim::Inventory { r#ref: gala, quantity: 2, period: None, consumed: false },
        Claim::SeatMap { r#ref: hall, seat_ids: seats() },
        Claim::Vehicle { r#ref: vehicle_id.clone() },
    ];
    let events = vec![
        E::HoldCreated {
            user_id,
            lines,
            total: euros(18_900),
            claims,
            claim_epoch,
            hold_expires_at: later(15),
            absolute_deadline: later(120),
            channel: Channel::Graphql,
            policies: Policies {
                on_decline: OnDecline::Release,
                late_payment: LatePayment::TryReacquire,
                capture: Capture::OnConfirm,
                remote_unlock: true,
            },
        },
        E::HoldExtended {
            old_expires_at: later(15),
            new_expires_at: later(20),
            reason: ExtensionReason::PaymentStarted,
        },
        E::PaymentRequested {
            payment_id,
            attempt,
            amount: euros(18_900),
            gateway: "sandbox".into(),
            flow: Flow::Direct,
        },
        E::PaymentDeclined { payment_id, attempt },
        E::MoneyLost { payment_id, attempt },
        E::Confirmed { payment_id, attempt, confirmed_at: later(3), claim_epoch },
        E::ClaimsLost { claim_epoch: 2 },
        E::ClaimsRetaken { claim_epoch: 2 },
        E::Finalized { vehicle_id: Some(vehicle_id.clone()) },
        E::HoldReleased { reason: HoldReleaseReason::PaymentFailed },
        E::HoldExpired { expired_at: later(15), was_status: Status::AwaitingPayment },
        E::LatePaymentReceived { payment_id, attempt, claim_epoch: 2 },
        E::LatePaymentAccepted { payment_id, attempt, claim_epoch: 2 },
        E::LatePaymentRejected { payment_id, attempt, reason: LateReason::Gone },
        E::Cancelled {
            by: CancelledBy::User,
            reason: CancelReason::User,
            refund: Some(euros(18_900)),
        },
        E::VehicleAssigned { vehicle_id: vehicle_id.clone() },
        E::VehicleWithdrawn { vehicle_id: vehicle_id.clone() },
        E::NoShow { at: later(180) },
        E::RentalStarted {
            vehicle_id,
            odometer_start_m: 12_345_678,
            fuel_start_pct: 82,
            at: later(60),
        },
        E::RentalCompleted {
            odometer_end_m: 12_390_678,
            fuel_end_pct: 64,
            distance_m: 45_000,
            duration_s: 7_200,
            location: Some("north gate".into()),
            at: later(180),
        },
    ];
    events.into_iter().map(|event| sample(format!("reservation-{id}"), event)).collect()
}

fn payments() -> Vec<Sample> {
    use payment::Event as E;
    let reservation_id = reservation_id();
    let (attempt, amount) = (1, euros(18_900));
    let refund_id = RefundId(derive(&["sample", "refund"]));
    let gateway_ref = || "pi_3".to_owned();
    let gateway_event_id = Some("evt_9".to_owned());
    let gateway_idempotency_key = || "hf_mfrggzdfmztwq2lknnwg23tpoa".to_owned();
    let reason = BackReason::Cancelled;
    let events = vec![
        E::Initiated {
            reservation_id,
            kind: Kind::Reservation,
            amount,
            gateway: "sandbox".into(),
            attempt,
            gateway_idempotency_key: gateway_idempotency_key(),
            flow: Flow::Direct,
            tenant: "main".into(),
            again_of: None,
        },
        E::SessionCreated {
            attempt,
            gateway_ref: gateway_ref(),
            redirect_url: Some("https://pay.example/s/3".into()),
            client_secret_ref: Some("secret:3".into()),
            expires_at: Some(later(30)),
        },
        E::ActionRequired {
            attempt,
            action: Action::ThreeDs,
            url: "https://pay.example/3ds/3".into(),
        },
        E::Authorized {
            attempt,
            gateway_ref: gateway_ref(),
            approval_code: "A1B2".into(),
            amount,
            authorization_expires_at: Some(later(7 * 24 * 60)),
            via: Via::Sync,
            gateway_event_id: gateway_event_id.clone(),
        },
        E::CaptureRequested { attempt, amount, r#try: 1 },
        E::Succeeded {
            attempt,
            amount,
            gateway_ref: gateway_ref(),
            via: Via::Webhook,
            gateway_event_id,
            kept: true,
        },
        E::Failed {
            attempt,
            code: "card_declined".into(),
            decline_code: Some("insufficient_funds".into()),
            retryable: true,
        },
        E::VoidRequested { attempt, reason: BackReason::Expired, r#try: 1 },
        E::Voided { attempt, reason: BackReason::Expired },
        E::VoidFailed { attempt, code: "processing".into(), r#try: 1 },
        E::CaptureFailed { attempt, code: "processing".into(), retryable: true, r#try: 1 },
        E::RefundRequested { attempt, refund_id, amount, reason, r#try: 1 },
        E::RefundSucceeded { attempt, refund_id, amount },
        E::RefundFailed { attempt, refund_id, failure: "busy".into(), r#try: 1 },
        E::ChargebackOpened { attempt, amount, gateway_event_id: "evt_10".into() },
        E::MoneyLost { attempt, why: LostWhy::AuthorizationLapsed },
        E::Closed { reason },
        E::DamageChargeCreated {
            inspection_id: derive(&["sample", "inspection"]),
            amount: euros(25_000),
            gateway_idempotency_key: gateway_idempotency_key(),
        },
        E::GatewayEventIgnored {
            attempt,
            gateway_event_id: "evt_9".into(),
            why: IgnoredWhy::Duplicate,
        },
    ];
    let id = reservation_id.payment_id();
    events.into_iter().map(|event| sample(format!("payment-{id}"), event)).collect()
}

fn seat_maps() -> Vec<Sample> {
    use seatmap::Event as E;
    let reservation_id = reservation_id();
    let lock_id = LockId(derive(&["sample", "lock"]));
    let attempt = AttemptId(derive(&["sample", "attempt"]));
    let user_id = UserId::new("ada").unwrap();
    let (seat_ids, expires_at, epoch) = (seats(), later(16), 1);
    let plan = Plan {
        name: "The hall".into(),
        sku: Some(Sku::new("gala").unwrap()),
        categories: vec![Category { name: "stalls".into(), price: euros(4_500) }],
        sections: vec![Section {
            name: "A".into(),
            category: "stalls".into(),
            rows: 20,
            seats_per_row: 30,
        }],
    };
    let events = vec![
        E::Published { plan: plan.clone() },
        E::Changed { plan, removed_seats: vec![SeatId::new("A-21-1").unwrap()] },
        E::SeatsLocked {
            lock_id: Some(lock_id),
            reservation_id: None,
            user_id: user_id.clone(),
            seat_ids: seat_ids.clone(),
            expires_at: Some(later(10)),
            epoch,
            attempt: None,
        },
        E::SeatsAttached {
            lock_id,
            reservation_id,
            user_id: user_id.clone(),
            seat_ids: seat_ids.clone(),
            expires_at,
            epoch,
            attempt,
        },
        E::SeatLockExtended { reservation_id, expires_at, epoch, attempt: Some(attempt) },
        E::SeatsBooked { reservation_id, seat_ids: seat_ids.clone(), epoch },
        E::SeatsReleased {
            owner: Owner::Reservation(reservation_id),
            seat_ids: seat_ids.clone(),
            reason: ReleaseReason::Expired,
            epoch: Some(epoch),
        },
        E::AttemptWithdrawn { reservation_id, attempt },
        E::LockRestored {
            lock_id,
            reservation_id,
            user_id,
            seat_ids: seat_ids.clone(),
            expires_at: later(10),
        },
        E::SeatsBlocked { seat_ids: seat_ids.clone(), reason: "a pillar".into() },
        E::SeatsUnblocked { seat_ids },
    ];
    events.into_iter().map(|event| sample("seatmap-hall".into(), event)).collect()
}

fn pools() -> Vec<Sample> {
    use inventory::Event as E;
    let reservation_id = reservation_id();
    let attempt = AttemptId(derive(&["sample", "attempt"]));
    let period = Some(Period { from: later(60), until: later(180) });
    let by = UserId::new("olga").unwrap();
    let (qty, epoch, expires_at) = (2, 1, later(16));
    let events = vec![
        E::Held { reservation_id, qty, remaining: 98, expires_at, epoch, attempt, period },
        E::HoldExtended { reservation_id, expires_at, epoch, attempt: Some(attempt) },
        E::Locked { reservation_id, qty, epoch },
        E::Released {
            reservation_id,
            qty,
            reason: ReleaseReason::PaymentFailed,
            epoch: Some(epoch),
        },
        E::AttemptWithdrawn { reservation_id, attempt },
        E::Reacquired { reservation_id, qty, epoch: 2, period: None },
        E::Sold { reservation_id, qty },
        E::Returned { reservation_id, qty, epoch },
        E::Received { qty: 100, by: by.clone() },
        E::Adjusted { delta: -3, reason: "counted".into(), by },
        E::Closed,
        E::Opened,
        E::OversubscriptionDetected { by: 1 },
    ];
    events.into_iter().map(|event| sample("inventory-gala".into(), event)).collect()
}

fn vehicles() -> Vec<Sample> {
    use vehicle::{Event as E, FailCode, IgnoredWhy, LockReason, ReleaseReason};
    let reservation_id = reservation_id();
    let of = Some(reservation_id);
    let user_id = UserId::new("ada").unwrap();
    let attempt_id = Some(AttemptId(derive(&["sample", "attempt"])));
    let command_id = derive(&["sample", "vehicle-command"]);
    let deadline = AT.plus(std::time::Duration::from_secs(20));
    let (epoch, seq, at, attempt) = (1, 7, AT, 1);
    let (odometer_m, fuel_pct) = (12_345_678, 82);
    let events = [
        E::Registered {
            vin_ref: "WVWZZZ1JZXW000001".into(),
            type_pool: Sku::new("van").unwrap(),
            odometer_m,
            fuel_pct: Some(fuel_pct),
        },
        E::Reserved {
            reservation_id,
            user_id: user_id.clone(),
            epoch,
            expires_at: Some(later(16)),
            attempt: attempt_id,
            period: Some(Period { from: later(60), until: later(600) }),
            confirmed: false,
        },
        E::ReservationExtended {
            reservation_id,
            expires_at: later(26),
            epoch,
            attempt: attempt_id,
        },
        E::ReservationConfirmed { reservation_id, epoch },
        E::AttemptWithdrawn { reservation_id, attempt: AttemptId(derive(&["sample", "attempt"])) },
        E::ReservationReleased {
            reservation_id,
            reason: ReleaseReason::Completed,
            epoch: Some(epoch),
            freed: true,
        },
        E::UnlockRequested {
            command_id,
            reservation_id,
            user_id: Some(user_id),
            seq,
            at,
            deadline,
            attempt,
        },
        E::Unlocked {
            command_id,
            reservation_id,
            odometer_m,
            fuel_pct,
            device_time: AT,
            latency_ms: 412,
            late: false,
            accepted: true,
        },
        E::UnlockFailed { command_id, reservation_id, code: FailCode::Timeout },
        E::LockRequested {
            command_id,
            reservation_id: of,
            seq,
            at,
            deadline,
            attempt,
            reason: LockReason::Return,
        },
        E::Locked { command_id, reservation_id: of, device_time: AT, latency_ms: 380, late: false },
        E::LockFailed { command_id, reservation_id: of, code: FailCode::Jammed },
        E::AnswerIgnored {
            command_id: Some(command_id),
            status: "UNLOCKED".into(),
            why: IgnoredWhy::BadMac,
            at,
        },
        E::LateUnlockCompensated { command_id },
        E::ConnectionLost { last_seen: AT },
        E::ConnectionRestored { boot: 3 },
        E::TripStarted { reservation_id, odometer_m, fuel_pct },
        E::TripEnded { reservation_id, odometer_m: 12_399_000, fuel_pct: 64, distance_m: 53_322 },
        E::TelemetrySampled {
            boot: 3,
            seq: 41,
            odometer_m: Some(odometer_m),
            fuel_pct: Some(fuel_pct),
            is_locked: Some(true),
            latitude_udeg: Some(52_520_008),
            longitude_udeg: Some(13_404_954),
            speed_kmh: Some(0),
            device_time: AT,
            at,
        },
        E::OdometerAnomaly { known_m: odometer_m, told_m: 11_000_000, at },
        E::OutOfService { reason: "inspection is due".into() },
        E::ReturnedToService,
    ];
    events.into_iter().map(|event| sample("vehicle-van-7".into(), event)).collect()
}

fn inspections() -> Vec<Sample> {
    use inspection::Event as E;
    let reservation_id = reservation_id();
    let id = InspectionId(derive(&["sample", "inspection"]));
    let user_id = UserId::new("ada").unwrap();
    let payment_id = reservation_id.damage_payment_id(&id);
    let by = Some(UserId::new("olga").unwrap());
    let ada = Some(user_id.clone());
    let reason = |text: &str| Some(text.to_owned());
    let events = [
        E::Submitted {
            reservation_id,
            user_id: user_id.clone(),
            description: "a scratch on the left door".into(),
            photos: vec![inspection::Photo {
                sha256: "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9".into(),
                media_type: "image/jpeg".into(),
                url: "https://photos.example/5feceb66".into(),
            }],
            odometer_m: Some(12_399_000),
        },
        E::DamageAssessed {
            claim_id: derive(&["sample", "claim"]),
            reservation_id,
            user_id,
            amount_estimate: Some(euros(25_000)),
            auto_charge: false,
        },
        E::ClaimApproved { amount: euros(21_000), by: by.clone() },
        E::ClaimRejected { by: by.clone(), reason: reason("it was there before") },
        E::ClaimDisputed { by: ada, reason: reason("it was there before") },
        E::ClaimWaived { by, reason: reason("a good customer") },
        E::ClaimCharged { payment_id, amount: euros(21_000) },
        E::ChargeFailed { payment_id, attempt: Some(1), code: "card_declined".into() },
    ];
    events.into_iter().map(|event| sample(format!("inspection-{id}"), event)).collect()
}

fn others() -> Vec<Sample> {
    let reservation_id = reservation_id();
    let attempt = AttemptId(derive(&["sample", "attempt"]));
    let user_id = UserId::new("ada").unwrap();
    let (qty, epoch, expires_at) = (2, 1, later(16));
    let limits = [
        limit::Event::Taken { reservation_id, qty, expires_at, epoch, attempt },
        limit::Event::Extended { reservation_id, expires_at, epoch, attempt: Some(attempt) },
        limit::Event::Kept { reservation_id, qty, epoch },
        limit::Event::Released {
            reservation_id,
            qty,
            reason: ReleaseReason::User,
            epoch: Some(epoch),
        },
        limit::Event::AttemptWithdrawn { reservation_id, attempt },
    ];
    let description = item::Description {
        name: "Gala night".into(),
        kind: item::Kind::Ticket,
        category: Some("concerts".into()),
        price: euros(4_500),
        max_per_user: Some(10),
        on_decline: OnDecline::Release,
        late_payment: LatePayment::TryReacquire,
        remote_unlock: false,
    };
    let hall = SeatMapId::new("hall").unwrap();
    let items = [
        item::Event::Created { description: description.clone() },
        item::Event::Changed { description, seat_map_id: Some(hall.clone()) },
    ];
    let tickets = [
        ticket::Event::Issued {
            reservation_id,
            user_id: user_id.clone(),
            sku: Some(Sku::new("gala").unwrap()),
            seat_map_id: Some(hall),
            seat_id: Some(seats()[0].clone()),
            unit: "A-3-11".into(),
        },
        ticket::Event::CheckedIn { nonce: "n-1".into(), gate: Some("north".into()) },
        ticket::Event::Revoked,
    ];
    let notice = notification::Event::Requested {
        user_id,
        channel: NoticeChannel::InApp,
        about: About::Confirmed,
        reservation_id,
        amount: Some(euros(18_900)),
    };
    let id = derive(&["sample", "letter"]);
    let letters = [
        DeadLetterEvent::Parked {
            id,
            position: 41,
            event_id: derive(&["sample", "event"]),
            ask: Some(Box::new(Ask::Do(Command::Payment(
                reservation_id.payment_id(),
                payment::Command::Capture { attempt: 1 },
            )))),
            error: "the gateway does not answer".into(),
            attempts: 3,
            first_failed_at: AT,
            last_failed_at: later(1),
            correlation_id: Some(reservation_id.to_string()),
        },
        DeadLetterEvent::Redriven { id, by: "user:olga".into() },
        DeadLetterEvent::Settled { id },
    ];
    let mut all: Vec<Sample> = Vec::new();
    all.extend(limits.into_iter().map(|event| sample("limit-gala/ada".into(), event)));
    all.extend(items.into_iter().map(|event| sample("item-gala".into(), event)));
    let ticket = reservation_id.ticket_id("A-3-11");
    all.extend(tickets.into_iter().map(|event| sample(format!("ticket-{ticket}"), event)));
    let notification = derive(&["sample", "notice"]);
    all.push(sample(format!("notification-{notification}"), notice));
    all.extend(letters.into_iter().map(|event| sample("deadletter-payment".into(), event)));
    all
}
