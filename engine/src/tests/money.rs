//! Money that is declined, late, early, doubled, given back or never heard of.

use holdfast_domain::payment::{self, Status as Paid};
use holdfast_domain::process::Refusal;
use holdfast_domain::reservation::{self, Status};
use holdfast_domain::seatmap::SeatStatus;
use holdfast_domain::{ReservationId, seatmap};

use super::bank::{Notice, Standing, authorized, paid};
use super::world::{
    PRICE, World, eur, ids, operator, past, request, seats, secs, settings, sku, user,
};
use crate::settings::Protections;
use crate::{LockSeats, PaymentOutcome, Rejection, Settings, StartPayment};

const TTL: std::time::Duration = std::time::Duration::from_secs(900);

async fn held(world: &World, who: &str, key: &str, seat: &str) -> ReservationId {
    world.reserve(who, key, seats(&[seat])).await.expect("free").id
}

async fn seat(world: &World, id: &str) -> SeatStatus {
    world.map().await.seat(&ids(&[id])[0]).expect("a seat").status
}

#[tokio::test]
async fn a_booking_goes_from_hold_to_tickets() {
    let world = World::new().await;
    world.open_the_hall(10, Some(4)).await;
    let locked = world.lock("ann", "1", &["L-1-1", "L-1-2"]).await.expect("free");
    let made =
        world.reserve("ann", "2", super::world::of_lock(locked.lock_id)).await.expect("hers");
    assert_eq!(made.state.status, Status::Hold);
    assert_eq!(made.state.total, Some(eur(2 * PRICE)));
    let paid = world.pay("ann", "3", made.id, "approve").await.expect("in time");
    assert_eq!(paid.outcome, PaymentOutcome::Settled);
    assert_eq!(paid.reservation.status, Status::Confirmed);
    world.quiet().await;
    let state = world.reservation(made.id).await;
    assert!(state.finalized);
    assert_eq!(seat(&world, "L-1-1").await, SeatStatus::Booked);
    assert_eq!(world.pool("concert").await.committed(), 2);
    assert_eq!(world.bank.kept(), 2 * PRICE);
    for unit in ["L-1-1", "L-1-2"] {
        let ticket = made.id.ticket_id(unit);
        assert_eq!(world.kinds(&format!("ticket-{ticket}")).await, ["ticket.issued"]);
    }
    assert_eq!(world.bank.tokens(), [Some("approve".into())]);
    let used = request("ann", "startPayment", "3").command_id();
    assert_eq!(world.side.method(used).await.expect("readable"), None, "a used token is deleted");
    let log = world.log.read_all(holdfast_store::Position(1), &holdfast_store::Filter::All, 9_999);
    for event in log.await.expect("readable").events {
        let text = String::from_utf8_lossy(&event.data).into_owned();
        assert!(!text.contains("\"approve\""), "a token stands in {}", event.kind);
    }
}

/// D4
#[tokio::test]
async fn expire_confirm_linearizable() {
    for first in ["expiry", "money"] {
        let world = World::new().await;
        world.open_the_hall(10, None).await;
        let id = held(&world, "ann", "1", "L-1-1").await;
        let payment = world.pay_and_leave("ann", "2", id, "late").await;
        world.sim.advance(TTL - secs(1));
        if first == "expiry" {
            world.pass(secs(2)).await;
        }
        let word = world.bank.pay(payment, 1);
        let notice = Notice { id: "evt_1".into(), payment_id: payment, attempt: 1, word };
        world.notice(&notice).await.expect("signed");
        world.pass(secs(5)).await;
        let kinds = world.kinds_of::<reservation::State>(&id).await;
        let confirmed = kinds.iter().filter(|kind| *kind == "reservation.confirmed").count();
        let expired = kinds.iter().filter(|kind| *kind == "reservation.hold-expired").count();
        assert_eq!(confirmed + expired, 1, "{first}: one of the two, never both: {kinds:?}");
        assert_eq!(world.status(id).await, Status::Confirmed, "{first}");
        assert_eq!(world.bank.kept(), PRICE, "{first}");
    }
}

/// D4's twin: two nodes decide on what each believes, and appends do not say what they expect.
async fn both_decide(protections: Protections) -> Vec<String> {
    let world = World::with(settings(), protections).await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.sim.advance(TTL - secs(1));
    let (other, _running) = world.second_node().await;
    other.load::<reservation::State>(&id).await.expect("readable");
    let ask = |command| holdfast_domain::process::Command::Reservation(id, command);
    let payment_id = id.payment_id();
    let confirm = ask(reservation::Command::ConfirmPaid { payment_id, attempt: 1 });
    let context = || {
        let name = world.engine.core().house.ids.fresh();
        crate::dispatch::Context::system("test", name, None)
    };
    world.engine.core().dispatch.run(&confirm, context()).await.expect("in time");
    world.sim.advance(secs(2));
    let expire = ask(reservation::Command::Expire { epoch: 1 });
    let expired = other.core().dispatch.run(&expire, context()).await;
    assert!(expired.is_ok());
    world.kinds_of::<reservation::State>(&id).await
}

#[tokio::test]
async fn a_node_that_was_slower_decides_again_on_what_the_other_recorded() {
    let kinds = both_decide(Protections::default()).await;
    assert!(kinds.contains(&"reservation.confirmed".into()));
    assert!(!kinds.contains(&"reservation.hold-expired".into()));
}

#[tokio::test]
async fn twin_without_expected_versions_a_reservation_is_confirmed_and_expires() {
    let off = Protections { expected_version: false, ..Protections::default() };
    let kinds = both_decide(off).await;
    assert!(kinds.contains(&"reservation.confirmed".into()));
    assert!(kinds.contains(&"reservation.hold-expired".into()));
}

/// D5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_times_n() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let payment = world.pay_and_leave("ann", "2", id, "late").await;
    let word = world.bank.pay(payment, 1);
    let notice = Notice { id: "evt_1".into(), payment_id: payment, attempt: 1, word };
    let told = futures::future::join_all((0..5).map(|_| world.notice(&notice))).await;
    assert!(told.iter().all(Result::is_ok));
    world.quiet().await;
    let kinds = world.kinds_of::<payment::State>(&payment).await;
    let count = |wanted: &str| kinds.iter().filter(|kind| *kind == wanted).count();
    assert_eq!(count("payment.succeeded"), 1);
    assert_eq!(count("payment.gateway-event-ignored"), 4);
    assert_eq!(world.status(id).await, Status::Confirmed);
}

#[tokio::test]
async fn a_webhook_without_a_good_signature_changes_nothing() {
    let world = World::new().await;
    let head = world.log.head();
    let refused = world.engine.webhook("sandbox", &|_| None, b"{}").await;
    assert_eq!(refused, Err(crate::ports::WebhookError::BadSignature));
    let refused = world.engine.webhook("nobody", &|_| None, b"{}").await;
    assert_eq!(refused, Err(crate::ports::WebhookError::UnknownGateway));
    assert_eq!(world.log.head(), head);
}

/// D6
#[tokio::test]
async fn webhook_first() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let payment_id = id.payment_id();
    let word = paid(payment_id, 1, eur(PRICE));
    let notice = Notice { id: "evt_early".into(), payment_id, attempt: 1, word };
    world.notice(&notice).await.expect("put aside, never turned away");
    world.pay_and_leave("ann", "2", id, "late").await;
    world.bank.pay(payment_id, 1);
    assert_eq!(world.status(id).await, Status::AwaitingPayment);
    world.pass(secs(2)).await;
    assert_eq!(world.status(id).await, Status::Confirmed, "told again");
    let letters = world.kinds("deadletter-webhooks").await;
    assert_eq!(letters, ["deadletter.parked", "deadletter.settled"]);
}

#[tokio::test]
async fn a_signature_is_judged_by_the_wall_clock_also_when_that_is_not_believed() {
    let world = World::new().await;
    let payment_id = holdfast_domain::PaymentId(holdfast_domain::derive(&["nobody"]));
    let word = paid(payment_id, 1, eur(PRICE));
    let notice = Notice { id: "evt_1".into(), payment_id, attempt: 1, word };
    let leapt = super::world::NOON.plus(secs(86_400));
    world.sim.set_wall(leapt);
    world.notice(&notice).await.expect("put aside");
    assert!(world.engine.now() < leapt);
    assert_eq!(world.bank.judged_at(), Some(leapt));
    let letters = world.engine.load::<crate::letters::State>(&"webhooks".to_owned()).await;
    let letters = letters.expect("readable").state.letters;
    assert!(letters.values().all(|letter| letter.position == 0), "it came from no event of ours");
}

#[tokio::test]
async fn a_word_about_nothing_we_know_stays_put_aside() {
    let world = World::new().await;
    let payment_id = ReservationId(uuid::Uuid::from_u128(77)).payment_id();
    let word = authorized(payment_id, 1, eur(PRICE));
    let notice = Notice { id: "evt_lost".into(), payment_id, attempt: 1, word };
    world.notice(&notice).await.expect("never a 4xx loop");
    world.notice(&notice).await.expect("nor when it comes again");
    world.pass(secs(60)).await;
    assert_eq!(world.kinds("deadletter-webhooks").await, ["deadletter.parked"]);
    let health = world.engine.health();
    let webhooks = health.consumers.iter().find(|it| it.name == "webhooks").expect("listed");
    assert_eq!(webhooks.dead_letters, 1);
}

/// D8
#[tokio::test]
async fn cancel_while_paying() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let payment = world.pay_and_leave("ann", "2", id, "late").await;
    let cancelled = world.cancel("ann", "3", id).await.expect("hers");
    assert_eq!(cancelled.state.status, Status::Cancelled);
    // The money comes all the same.
    let word = world.bank.pay(payment, 1);
    let notice = Notice { id: "evt_1".into(), payment_id: payment, attempt: 1, word };
    world.notice(&notice).await.expect("signed");
    world.pass(secs(10)).await;
    assert_eq!(world.status(id).await, Status::Cancelled, "never resurrected");
    assert_eq!(world.bank.kept(), 0);
    assert_eq!(world.bank.alive(), 0, "nothing is left that could be captured");
    assert_eq!(seat(&world, "L-1-1").await, SeatStatus::Free);
}

/// D9
#[tokio::test]
async fn void_unknown() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let answer = world.pay_with("ann", "2", id, None).await.expect("a page");
    assert!(matches!(answer.outcome, PaymentOutcome::ActionRequired { url: Some(_), .. }));
    world.bank.be_silent_on_voids(4);
    world.cancel("ann", "3", id).await.expect("hers");
    for _ in 0..4 {
        world.pass(secs(10)).await;
    }
    let payment = world.payment(id.payment_id()).await;
    assert_eq!(payment.status(), Paid::VoidRequested, "a failed void is no success");
    assert_eq!(world.engine.health().open_payments, 1);
    world.pass(secs(3_600)).await;
    assert_eq!(world.payment(id.payment_id()).await.status(), Paid::Voided, "reconciled");
    assert_eq!(world.engine.health().open_payments, 0);
    world.bank.nothing_was_done_twice();
}

#[tokio::test]
async fn a_refused_void_gets_a_new_try() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.pay_with("ann", "2", id, None).await.expect("a page");
    world.bank.refuse_voids(2);
    world.cancel("ann", "3", id).await.expect("hers");
    world.pass(secs(2)).await;
    world.pass(secs(10)).await;
    assert_eq!(world.payment(id.payment_id()).await.status(), Paid::Voided);
    let kinds = world.kinds_of::<payment::State>(&id.payment_id()).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "payment.void-failed").count(), 2);
}

/// D10
#[tokio::test]
async fn gateway_timeout() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let payment = world.pay_and_leave("ann", "2", id, "timeout").await;
    assert_eq!(world.payment(payment).await.status(), Paid::Pending, "never called failed");
    world.pass(secs(31)).await;
    assert_eq!(world.status(id).await, Status::Confirmed, "found again by its key");
    assert_eq!(world.bank.deeds("create"), 1);
    assert_eq!(world.bank.kept(), PRICE);
}

#[tokio::test]
async fn a_payment_answers_pending_after_the_set_time() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let wish = StartPayment {
        reservation_id: id,
        gateway: None,
        method: Some("late".into()),
        hosted: false,
    };
    let engine = world.engine.clone();
    let request = request("ann", "startPayment", "2");
    let waiting = tokio::spawn(async move { engine.start_payment(&request, wish).await });
    let mut head = world.log.watch_head();
    while world.payment(id.payment_id()).await.attempt(1).is_none_or(|it| it.gateway_ref.is_none())
    {
        head.changed().await.expect("the log lives");
    }
    let meanwhile = world.pay("ann", "2", id, "late").await;
    assert_eq!(meanwhile.expect_err("the first is not answered yet"), Rejection::InFlight);
    while !waiting.is_finished() {
        world.sim.advance(secs(10));
        tokio::task::yield_now().await;
    }
    let answer = waiting.await.expect("no panic").expect("pending is an answer");
    assert_eq!(answer.outcome, PaymentOutcome::Pending);
    let keys = &world.engine.core().index.keys;
    assert!(!keys.is_running(super::world::request("ann", "startPayment", "2").command_id()));
}

/// D11
#[tokio::test]
async fn double_tab() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.pay_with("ann", "tab-1", id, None).await.expect("a page");
    let second = world.pay_with("ann", "tab-2", id, None).await.expect_err("one at a time");
    assert_eq!(second.code(), "PAYMENT_IN_PROGRESS");
    let Rejection::Refused { refusal, .. } = second else { panic!("refused") };
    let Refusal::Reservation(reservation::Refusal::PaymentInProgress { payment_id, attempt }) =
        *refusal
    else {
        panic!("it names the attempt");
    };
    let row = world.payment(payment_id).await;
    let url = row.attempt(attempt).and_then(|row| row.redirect_url.clone());
    assert!(url.is_some(), "the second tab gets the same page");
}

/// D13
#[tokio::test]
async fn idem_failure() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let declined = world.pay("ann", "2", id, "decline").await.expect("an answer");
    let PaymentOutcome::Declined { decline_code, retryable } = &declined.outcome else {
        panic!("declined");
    };
    assert_eq!(decline_code.as_deref(), Some("insufficient_funds"));
    assert!(retryable);
    assert_eq!(declined.reservation.status, Status::HoldFailed, "the policy is RELEASE");
    let again = world.pay("ann", "2", id, "decline").await.expect("replayed");
    assert!(again.done.replayed);
    assert_eq!(again.outcome, declined.outcome, "a recorded failure is replayed");
    // A refusal binds no key: the same one is decided anew.
    let taken = world.reserve("bob", "9", seats(&["L-2-1"])).await.expect("free").id;
    let refused = world.reserve("ann", "5", seats(&["L-2-1"])).await.expect_err("taken");
    assert_eq!(refused.code(), "SEATS_TAKEN");
    world.cancel("bob", "10", taken).await.expect("his");
    world.quiet().await;
    let made = world.reserve("ann", "5", seats(&["L-2-1"])).await.expect("free now");
    assert!(!made.done.replayed);
}

/// D1
#[tokio::test]
async fn late_payment_reacquires() {
    let world = World::new().await;
    world.open_the_hall(10, Some(4)).await;
    let id = late(&world).await;
    assert_eq!(world.status(id).await, Status::Confirmed);
    assert_eq!(world.reservation(id).await.claim_epoch, 2);
    assert_eq!(seat(&world, "L-1-1").await, SeatStatus::Booked);
    assert_eq!(world.pool("concert").await.committed(), 1);
    assert_eq!(world.taken_of("concert", "ann").await.taken(), 1);
    assert_eq!(world.bank.kept(), PRICE);
}

/// A hold expires, then its money comes.
async fn late(world: &World) -> ReservationId {
    let id = held(world, "ann", "1", "L-1-1").await;
    let payment = world.pay_and_leave("ann", "2", id, "late").await;
    world.pass(past(TTL)).await;
    assert_eq!(world.status(id).await, Status::HoldExpired);
    let word = world.bank.pay(payment, 1);
    let notice = Notice { id: "evt_late".into(), payment_id: payment, attempt: 1, word };
    world.notice(&notice).await.expect("signed");
    world.pass(secs(5)).await;
    id
}

/// D2
#[tokio::test]
async fn late_payment_refunds() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let payment = world.pay_and_leave("ann", "2", id, "late").await;
    world.pass(past(TTL)).await;
    held(&world, "bob", "1", "L-1-1").await;
    let word = world.bank.pay(payment, 1);
    let notice = Notice { id: "evt_late".into(), payment_id: payment, attempt: 1, word };
    world.notice(&notice).await.expect("signed");
    world.pass(secs(5)).await;
    assert_eq!(world.status(id).await, Status::HoldExpired);
    let kinds = world.kinds_of::<reservation::State>(&id).await;
    assert!(kinds.contains(&"reservation.late-payment-rejected".into()));
    assert_eq!(world.bank.kept(), 0, "money is never kept for nothing");
    assert_eq!(world.bank.alive(), 0);
    let bob = world.map().await;
    assert_eq!(bob.seat(&ids(&["L-1-1"])[0]).and_then(|s| s.user_id.cloned()), Some(user("bob")));
    assert_eq!(world.pool("concert").await.held(), 1, "only bob's");
}

/// D3
#[tokio::test]
async fn stale_release_is_inert() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = late(&world).await;
    release(&world, id, 1).await;
    assert_eq!(seat(&world, "L-1-1").await, SeatStatus::Booked);
    assert_eq!(world.pool("concert").await.committed(), 1);
}

#[tokio::test]
async fn twin_a_release_that_does_not_say_its_epoch_frees_what_was_taken_again() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = late(&world).await;
    let current = world.reservation(id).await.claim_epoch;
    release(&world, id, current).await;
    assert_eq!(seat(&world, "L-1-1").await, SeatStatus::Free, "a sold seat is free");
}

async fn release(world: &World, id: ReservationId, epoch: u32) {
    use holdfast_domain::process::Command;
    use holdfast_domain::{inventory, seatmap::ReleaseReason};
    let reason = ReleaseReason::Cancelled;
    let release = seatmap::Command::Release { reservation_id: id, epoch, reason };
    let commands = [
        Command::SeatMap(super::world::hall(), release),
        Command::Inventory(
            sku("concert"),
            inventory::Command::Release { reservation_id: id, epoch, reason },
        ),
    ];
    for command in commands {
        let name = world.engine.core().house.ids.fresh();
        let context = crate::dispatch::Context::system("test", name, None);
        world.engine.core().dispatch.run(&command, context).await.expect("never refused");
    }
}

/// D19
#[tokio::test]
async fn lock_vs_window() {
    let settings = Settings { payment_extension: secs(600), ..Settings::default() };
    let world = World::with(settings, Protections::default()).await;
    world.open_the_hall(10, Some(4)).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.pass(TTL - secs(5)).await;
    let payment = world.pay_and_leave("ann", "2", id, "late").await;
    world.pass(secs(60)).await;
    assert_eq!(world.status(id).await, Status::AwaitingPayment, "extended once, at payment start");
    let taken = world.lock("bob", "1", &["L-1-1"]).await.expect_err("still ann's");
    assert_eq!(taken.code(), "SEATS_TAKEN");
    let word = world.bank.pay(payment, 1);
    let notice = Notice { id: "evt_1".into(), payment_id: payment, attempt: 1, word };
    world.notice(&notice).await.expect("signed");
    world.quiet().await;
    assert_eq!(world.status(id).await, Status::Confirmed);
    let kinds = world.kinds_of::<reservation::State>(&id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "reservation.hold-extended").count(), 1);
    // Every claim was extended before the reservation said so.
    let log = world.log.read_all(holdfast_store::Position(1), &holdfast_store::Filter::All, 9_999);
    let events = log.await.expect("readable").events;
    let at = |kind: &str| events.iter().position(|event| event.kind == kind);
    for claim in ["inventory.hold-extended", "limit.extended", "seatmap.seat-lock-extended"] {
        assert!(at(claim) < at("reservation.hold-extended"), "{claim}");
        assert!(at(claim).is_some(), "{claim}");
    }
}

#[tokio::test]
async fn a_prompt_payment_costs_no_extension() {
    let settings = Settings { payment_extension: secs(600), ..Settings::default() };
    let world = World::with(settings, Protections::default()).await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.pay("ann", "2", id, "approve").await.expect("in time");
    let kinds = world.kinds_of::<reservation::State>(&id).await;
    assert!(!kinds.contains(&"reservation.hold-extended".into()));
}

/// Paid in time, committed a moment after the deadline, with somebody waiting for the seat.
async fn committed_late(protections: Protections) -> (World, ReservationId) {
    let world = World::with(settings(), protections).await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let payment = world.pay_and_leave("ann", "2", id, "late").await;
    world.sim.advance(TTL - secs(1));
    world.store.stall(Some("seatmap.seats-booked"));
    let word = world.bank.pay(payment, 1);
    let notice = Notice { id: "evt_1".into(), payment_id: payment, attempt: 1, word };
    world.notice(&notice).await.expect("signed");
    let mut head = world.log.watch_head();
    while world.pool("concert").await.committed() == 0 {
        head.changed().await.expect("the log lives");
    }
    world.sim.advance(secs(2));
    let (other, _running) = world.second_node().await;
    let wish = LockSeats {
        seat_map_id: super::world::hall(),
        seats: seatmap::Seats::Named(ids(&["L-1-1"])),
        suggest: false,
    };
    // Whether bob gets it is what the tests look at.
    let _ = other.lock_seats(&request("bob", "lockSeats", "1"), wish).await;
    world.store.stall(None);
    world.pass(secs(5)).await;
    (world, id)
}

#[tokio::test]
async fn who_paid_in_time_finds_its_claims_even_when_the_commit_is_late() {
    let (world, id) = committed_late(Protections::default()).await;
    assert_eq!(world.status(id).await, Status::Confirmed);
    assert_eq!(seat(&world, "L-1-1").await, SeatStatus::Booked);
}

#[tokio::test]
async fn twin_without_the_grace_somebody_who_paid_in_time_is_oversold() {
    let off = Protections { claim_grace: false, ..Protections::default() };
    let (world, id) = committed_late(off).await;
    assert_eq!(world.status(id).await, Status::Cancelled);
    assert_eq!(world.bank.kept(), 0, "at least the money goes back");
    let oversold = |(_, alarm): &(_, holdfast_domain::process::Alarm)| {
        matches!(alarm, holdfast_domain::process::Alarm::Oversold { .. })
    };
    assert!(world.engine.health().alarms.iter().any(oversold));
}

#[tokio::test]
async fn a_refused_capture_is_asked_again_under_its_next_try() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    world.bank.refuse_captures(1);
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.pay("ann", "2", id, "approve").await.expect("authorized");
    world.pass(secs(5)).await;
    assert_eq!(world.payment(id.payment_id()).await.status(), Paid::Succeeded);
    assert_eq!(world.bank.kept(), PRICE);
}

#[tokio::test]
async fn an_operator_gives_money_back_once_however_often_it_is_asked() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.pay("ann", "2", id, "approve").await.expect("in time");
    world.quiet().await;
    let payment = id.payment_id();
    for round in 0..3 {
        let request = operator("refundPayment", "r");
        let part = Some(eur(1_000));
        let answer = world.engine.refund_payment(&request, payment, part, None).await;
        assert_eq!(answer.expect("captured").done.replayed, round > 0);
    }
    world.quiet().await;
    assert_eq!(world.bank.kept(), PRICE - 1_000);
    assert_eq!(world.payment(payment).await.status(), Paid::PartiallyRefunded);
    assert_eq!(world.bank.deeds("refund"), 1);
}

#[tokio::test]
async fn cancelling_what_is_paid_gives_all_of_it_back() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    world.shirts(5).await;
    let mut lines = seats(&["L-1-1"]);
    lines.push(super::world::some("shirt", 2));
    let id = world.reserve("ann", "1", lines).await.expect("free").id;
    world.pay("ann", "2", id, "approve").await.expect("in time");
    world.quiet().await;
    assert_eq!(world.pool("shirt").await.total(), 3, "sold");
    for _ in 0..2 {
        world.cancel("ann", "3", id).await.expect("hers");
    }
    world.quiet().await;
    assert_eq!(world.bank.kept(), 0);
    assert_eq!(world.bank.deeds("refund"), 1);
    assert_eq!(world.pool("shirt").await.total(), 5, "back on the shelf");
    assert_eq!(seat(&world, "L-1-1").await, SeatStatus::Free);
    let ticket = id.ticket_id("L-1-1");
    assert_eq!(world.kinds(&format!("ticket-{ticket}")).await, ["ticket.issued", "ticket.revoked"]);
}

#[tokio::test]
async fn confirming_asks_the_gateway_again() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    world.pay_with("ann", "2", id, None).await.expect("a page");
    world.bank.pay(id.payment_id(), 1);
    let request = request("ann", "confirmPayment", "3");
    let answer = world.engine.confirm_payment(&request, id.payment_id()).await.expect("hers");
    assert_eq!(answer.outcome, PaymentOutcome::Settled);
    assert_eq!(answer.reservation.status, Status::Confirmed);
    let intent = world.bank.intent(id.payment_id(), 1).expect("created");
    assert!(matches!(intent.standing, Standing::Authorized | Standing::Captured));
}

#[tokio::test]
async fn another_customers_reservation_and_payment_are_not_there() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let refused = world.pay("bob", "1", id, "approve").await.expect_err("not his");
    assert_eq!(refused, Rejection::NotFound("reservation"));
    let refused = world.cancel("bob", "2", id).await.expect_err("not his");
    assert_eq!(refused.code(), "NOT_FOUND");
    world.pay_with("ann", "2", id, None).await.expect("a page");
    let request = request("bob", "confirmPayment", "3");
    let refused = world.engine.confirm_payment(&request, id.payment_id()).await;
    assert_eq!(refused.expect_err("not his").code(), "NOT_FOUND");
    assert_eq!(world.bank.tokens(), [None], "no token of bob's went anywhere");
}

#[tokio::test]
async fn a_word_that_was_put_aside_survives_a_restart() {
    let mut world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = held(&world, "ann", "1", "L-1-1").await;
    let payment_id = id.payment_id();
    let word = paid(payment_id, 1, eur(PRICE));
    let notice = Notice { id: "evt_early".into(), payment_id, attempt: 1, word };
    world.notice(&notice).await.expect("put aside");
    world.restart().await;
    world.pay_and_leave("ann", "2", id, "late").await;
    world.bank.pay(payment_id, 1);
    world.pass(secs(2)).await;
    assert_eq!(world.status(id).await, Status::Confirmed);
}
