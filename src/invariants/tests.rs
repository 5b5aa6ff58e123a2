//! The checker is judged by logs that are wrong: each offence must be found, and a right log has none.

use holdfast_domain::payment::{Event as Pay, Flow, Kind, Via};
use holdfast_domain::reservation::{Capture, Channel, Claim, Event as Res, Policies};
use holdfast_domain::seatmap::{Event as Map, Owner, ReleaseReason};
use holdfast_domain::{
    AttemptId, Currency, LockId, Money, PaymentId, ReservationId, SeatId, SeatMapId, Sku, UserId,
    derive, inventory,
};
use holdfast_schemas::StoredEvent;
use holdfast_store::StreamId;

use super::*;

const START: i64 = 1_795_264_826;

struct Log {
    checker: Checker,
    position: u64,
    now: i64,
}

impl Log {
    fn new() -> Self {
        Self { checker: Checker::new(), position: 0, now: START }
    }

    fn see(&mut self, stream: String, event: &impl StoredEvent) -> &mut Self {
        self.position += 1;
        self.checker.see(&RecordedEvent {
            position: Position(self.position),
            stream: StreamId::new(stream),
            stream_version: 0,
            recorded_at_micros: self.now * 1_000_000,
            id: derive(&["event", &self.position.to_string()]),
            kind: event.kind().into(),
            schema_version: event.schema_version(),
            metadata: "{}".into(),
            data: event.encode().into(),
        });
        self
    }

    fn map(&mut self, event: Map) -> &mut Self {
        self.see("seatmap-hall".into(), &event)
    }

    fn pool(&mut self, event: inventory::Event) -> &mut Self {
        self.see("inventory-mug".into(), &event)
    }

    fn reservation(&mut self, who: &str, event: Res) -> &mut Self {
        self.see(format!("reservation-{}", reservation(who)), &event)
    }

    fn payment(&mut self, who: &str, event: Pay) -> &mut Self {
        self.see(format!("payment-{}", payment(who)), &event)
    }

    fn later(&mut self, secs: i64) -> &mut Self {
        self.now += secs;
        self
    }

    /// What is found when the server has been at work for some minutes more.
    fn found(&mut self) -> Vec<String> {
        self.later(600);
        self.pool(inventory::Event::Received { qty: 1, by: user() });
        self.later(600);
        self.pool(inventory::Event::Received { qty: 1, by: user() });
        let checker = std::mem::take(&mut self.checker);
        checker.finish().offences.into_iter().map(|offence| offence.what).collect()
    }
}

fn reservation(who: &str) -> ReservationId {
    ReservationId(derive(&["reservation", who]))
}

fn payment(who: &str) -> PaymentId {
    reservation(who).payment_id()
}

fn user() -> UserId {
    UserId::new("ada").expect("a name")
}

fn seat(name: &str) -> SeatId {
    SeatId::new(name).expect("a seat")
}

fn hall() -> SeatMapId {
    SeatMapId::new("hall").expect("a name")
}

fn moment(secs: i64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

fn euros(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::new("EUR").expect("a currency"))
}

fn attempt() -> AttemptId {
    AttemptId(derive(&["attempt"]))
}

fn locked(who: &str, seats: &[&str]) -> Map {
    Map::SeatsLocked {
        lock_id: None,
        reservation_id: Some(reservation(who)),
        user_id: user(),
        seat_ids: seats.iter().map(|name| seat(name)).collect(),
        expires_at: Some(moment(60)),
        epoch: 1,
        attempt: Some(attempt()),
    }
}

fn hold(seats: &[&str]) -> Res {
    let seat_ids = seats.iter().map(|name| seat(name)).collect();
    Res::HoldCreated {
        user_id: user(),
        lines: vec![],
        total: euros(100),
        claims: vec![Claim::SeatMap { r#ref: hall(), seat_ids }],
        claim_epoch: 1,
        hold_expires_at: moment(30),
        absolute_deadline: moment(600),
        channel: Channel::Other,
        policies: Policies { capture: Capture::OnConfirm, ..Policies::default() },
    }
}

fn initiated(who: &str) -> Pay {
    Pay::Initiated {
        reservation_id: reservation(who),
        kind: Kind::Reservation,
        amount: euros(100),
        gateway: "sandbox".into(),
        tenant: "main".into(),
        attempt: 1,
        gateway_idempotency_key: "k".into(),
        flow: Flow::Direct,
        again_of: None,
    }
}

fn captured() -> Pay {
    Pay::Succeeded {
        attempt: 1,
        amount: euros(100),
        gateway_ref: "pi".into(),
        via: Via::Sync,
        gateway_event_id: None,
        kept: true,
    }
}

fn confirmed(who: &str, secs: i64) -> Res {
    Res::Confirmed {
        payment_id: payment(who),
        attempt: 1,
        confirmed_at: moment(secs),
        claim_epoch: 1,
    }
}

fn booked(who: &str, seats: &[&str]) -> Map {
    let seat_ids = seats.iter().map(|name| seat(name)).collect();
    Map::SeatsBooked { reservation_id: reservation(who), seat_ids, epoch: 1 }
}

fn bought(log: &mut Log) -> &mut Log {
    log.map(locked("a", &["A-1-1"]))
        .reservation("a", hold(&["A-1-1"]))
        .payment("a", initiated("a"))
        .payment("a", captured())
        .reservation("a", confirmed("a", 5))
        .map(booked("a", &["A-1-1"]))
        .reservation("a", Res::Finalized { vehicle_id: None })
}

#[test]
fn a_booking_that_went_well_has_no_offence() {
    let mut log = Log::new();
    assert_eq!(bought(&mut log).found(), Vec::<String>::new());
}

#[test]
fn a_seat_that_is_given_to_two_is_found() {
    let mut log = Log::new();
    log.map(locked("a", &["A-1-1"])).map(locked("b", &["A-1-1"]));
    let found = log.found();
    assert!(found[0].contains("seat A-1-1 was given to"), "{found:?}");
}

#[test]
fn a_seat_booked_or_released_for_somebody_who_has_it_not_is_found() {
    let mut log = Log::new();
    log.map(locked("a", &["A-1-1"])).map(booked("b", &["A-1-1"]));
    log.map(Map::SeatsReleased {
        owner: Owner::Lock(LockId(derive(&["lock"]))),
        seat_ids: vec![seat("A-1-1")],
        reason: ReleaseReason::User,
        epoch: None,
    });
    let found = log.found();
    assert!(found[0].contains("was booked for"), "{found:?}");
    assert!(found[1].contains("was released for"), "{found:?}");
}

#[test]
fn more_claims_than_there_are_things_are_found_also_over_time() {
    let held = |who: &str, qty, period| inventory::Event::Held {
        reservation_id: reservation(who),
        qty,
        remaining: 0,
        expires_at: moment(900),
        epoch: 1,
        attempt: attempt(),
        period,
    };
    let mut log = Log::new();
    log.pool(inventory::Event::Received { qty: 3, by: user() });
    log.pool(held("a", 2, None)).pool(held("b", 2, None));
    assert!(log.found()[0].contains("4 are claimed of 3"));

    let day = |from: i64, until: i64| {
        Some(holdfast_domain::Period { from: moment(from), until: moment(until) })
    };
    let mut log = Log::new();
    log.pool(inventory::Event::Received { qty: 1, by: user() });
    log.pool(held("a", 1, day(10, 12))).pool(held("b", 1, day(12, 14)));
    assert_eq!(log.found(), Vec::<String>::new(), "back to back");
    let mut log = Log::new();
    log.pool(inventory::Event::Received { qty: 1, by: user() });
    log.pool(held("a", 1, day(10, 12))).pool(held("b", 1, day(11, 13)));
    assert!(log.found()[0].contains("2 are claimed of 1"));
}

#[test]
fn a_hold_that_nobody_ends_is_found_only_while_the_server_is_at_work() {
    let mut log = Log::new();
    log.reservation("a", hold(&[]));
    let checker = std::mem::take(&mut log.checker);
    assert_eq!(checker.finish().offences, vec![], "stopped in time");
    let mut log = Log::new();
    log.reservation("a", hold(&[]));
    assert!(log.found()[0].contains("still open"));
}

#[test]
fn a_hold_that_ends_too_early_and_a_confirmation_that_comes_too_late_are_found() {
    let mut log = Log::new();
    log.reservation("a", hold(&[]));
    let was_status = holdfast_domain::reservation::Status::Hold;
    log.reservation("a", Res::HoldExpired { expired_at: moment(29), was_status });
    log.reservation("b", hold(&[])).reservation("b", confirmed("b", 30));
    let found = log.found();
    assert!(found[0].contains("expired at"), "{found:?}");
    assert!(found.iter().any(|what| what.contains("was confirmed at")), "{found:?}");
}

#[test]
fn money_that_is_kept_for_nothing_is_found_and_money_on_its_way_back_is_not() {
    let expire = || Res::HoldExpired {
        expired_at: moment(31),
        was_status: holdfast_domain::reservation::Status::AwaitingPayment,
    };
    let mut log = Log::new();
    log.reservation("a", hold(&[])).payment("a", initiated("a")).payment("a", captured());
    log.reservation("a", expire());
    let found = log.found();
    assert!(found[0].contains("neither kept for it nor given back"), "{found:?}");

    let mut log = Log::new();
    log.reservation("a", hold(&[])).payment("a", initiated("a")).payment("a", captured());
    log.reservation("a", expire());
    log.payment(
        "a",
        Pay::RefundRequested {
            attempt: 1,
            refund_id: holdfast_domain::RefundId(derive(&["refund"])),
            amount: euros(100),
            reason: holdfast_domain::payment::BackReason::Late,
            r#try: 1,
        },
    );
    assert_eq!(log.found(), Vec::<String>::new());
}

#[test]
fn a_seat_without_its_money_is_found() {
    let mut log = Log::new();
    log.map(locked("a", &["A-1-1"]))
        .reservation("a", hold(&["A-1-1"]))
        .payment("a", initiated("a"))
        .reservation("a", confirmed("a", 5))
        .map(booked("a", &["A-1-1"]))
        .reservation("a", Res::Finalized { vehicle_id: None });
    let found = log.found();
    assert!(found.iter().any(|what| what.contains("without its money")), "{found:?}");
}

#[test]
fn a_claim_that_outlives_its_reservation_is_found() {
    let mut log = Log::new();
    log.map(locked("a", &["A-1-1"])).reservation("a", hold(&["A-1-1"]));
    let reason = holdfast_domain::reservation::HoldReleaseReason::User;
    log.reservation("a", Res::HoldReleased { reason });
    let found = log.found();
    assert!(found[0].contains("which has ended"), "{found:?}");
}

#[test]
fn an_event_that_cannot_be_read_is_found() {
    let mut log = Log::new();
    let sku = Sku::new("mug").expect("a name");
    log.see(format!("melon-{sku}"), &inventory::Event::Closed);
    assert!(log.found()[0].contains("no name that Holdfast gives"));
}

#[test]
fn what_is_not_ours_is_counted_and_not_judged() {
    let log = Log::new();
    let mut checker = log.checker;
    checker.see(&RecordedEvent {
        position: Position(1),
        stream: StreamId::new("bench-1"),
        stream_version: 0,
        id: uuid::Uuid::nil(),
        kind: "bench.appended".into(),
        schema_version: 1,
        recorded_at_micros: START,
        metadata: b"{}".to_vec().into(),
        data: b"{}".to_vec().into(),
    });
    let found = checker.finish();
    assert_eq!((found.foreign, found.events, found.offences), (1, 1, vec![]));
}
