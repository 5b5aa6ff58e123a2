//! Every way that money can take, searched exhaustively: two attempts, a gateway that refuses, lapses
//! and stays silent, lost, late and repeated answers and webhooks, parked and repeated asks, an
//! operator's refund, a customer who changes its mind. DOMAIN.md §F.
//!
//! In every state the money adds up (P1–P3), no refund is paid back twice, and nothing is called voided,
//! paid or refunded that is not. From every state in which nothing is under way, a world that is left
//! in peace ends well: who is confirmed has paid, for anybody else nothing is kept and nothing can be
//! charged any more. Each rule that could be taken away has a twin here, in which it is.
//!
//! `HOLDFAST_MODEL=full` lets two things go wrong on each way instead of one.

mod payment_world;
mod support;

use holdfast_domain::payment::Flow;
use holdfast_domain::reservation::{Capture, LatePayment, OnDecline, Policies};
use payment_world::{Setting, Without, World};
use support::search::search;

fn policies(on_decline: OnDecline, late_payment: LatePayment) -> Policies {
    Policies { on_decline, late_payment, ..Policies::default() }
}

/// Two attempts, and late money is welcome: the largest world.
fn largest() -> Policies {
    policies(OnDecline::KeepHold, LatePayment::TryReacquire)
}

#[expect(clippy::disallowed_methods, reason = "a search may be told to look further")]
fn is_full() -> bool {
    std::env::var("HOLDFAST_MODEL").is_ok_and(|value| value == "full")
}

fn everything_holds(name: &str, flow: Flow, policies: Policies, faults: u8) {
    let faults = if is_full() { faults + 1 } else { faults };
    let mut world = World::new(Setting { flow, policies, faults, without: None });
    let name = format!("{name}, {faults} faults");
    search(&mut world, usize::MAX).holds(&name);
}

#[test]
fn hosted_money_ends_well_whatever_goes_wrong() {
    everything_holds("hosted", Flow::Hosted, largest(), 1);
}

#[test]
fn direct_money_ends_well_whatever_goes_wrong() {
    everything_holds("direct", Flow::Direct, largest(), 1);
}

#[test]
fn direct_money_ends_well_whatever_goes_wrong_when_a_decline_ends_the_hold() {
    let policies = policies(OnDecline::Release, LatePayment::TryReacquire);
    everything_holds("direct, released when declined", Flow::Direct, policies, 1);
}

#[test]
fn money_that_is_captured_late_ends_well_whatever_goes_wrong() {
    let policies = policies(OnDecline::Release, LatePayment::TryReacquire);
    let policies = Policies { capture: Capture::OnCompletion, ..policies };
    everything_holds("direct, captured on completion", Flow::Direct, policies, 1);
}

#[test]
fn late_money_that_is_not_wanted_goes_back() {
    let policies = policies(OnDecline::Release, LatePayment::Refund);
    everything_holds("hosted, late money goes back", Flow::Hosted, policies, 1);
}

fn breaks(without: Without, flow: Flow, faults: u8, expected: &str) {
    let setting = Setting { flow, policies: largest(), faults, without: Some(without) };
    let found = search(&mut World::new(setting), 100_000);
    found.breaks(&format!("without {without:?}"), expected);
}

macro_rules! twins {
    ($($name:ident: $without:ident, $flow:ident, $faults:literal => $expected:literal;)*) => {
        $(
            #[test]
            fn $name() {
                breaks(Without::$without, Flow::$flow, $faults, $expected);
            }
        )*
    };
}

// What happens without each rule; with no more going wrong than it takes.
twins! {
    ignoring_an_old_attempts_intent_pays_twice:
        VoidingTheOldAttempt, Hosted, 0 => "P3";
    results_without_an_attempt_check_leave_a_live_intent:
        AttemptCheck, Hosted, 0 => "a live intent";
    no_such_intent_taken_for_voided_lets_the_create_land_later:
        SpendingTheKey, Hosted, 1 => "a live intent";
    a_decline_that_ends_a_void_leaves_the_intent_open:
        VoidOutlivingADecline, Hosted, 1 => "a live intent";
    a_decline_that_unauthorizes_confirms_without_money:
        AuthorizationOutlivingADecline, Direct, 0 => "without its money";
    a_declined_intent_that_is_not_voided_can_still_be_paid:
        VoidingTheDeclined, Hosted, 0 => "a live intent";
    giving_up_a_refused_void_leaves_a_live_intent:
        AskingAgain, Hosted, 1 => "a live intent";
    a_failed_void_taken_as_done_leaves_a_live_intent:
        FailedVoidsFailing, Hosted, 1 => "a live intent";
    a_refund_retried_under_a_new_key_is_paid_twice:
        KeepingTheKey, Hosted, 1 => "paid back twice";
    a_definite_refusal_retried_under_the_old_key_is_refused_for_ever:
        NewKeyAfterRefusal, Hosted, 1 => "a live intent";
    a_void_that_is_not_remembered_lets_a_redriven_initiate_charge:
        RememberingTheVoid, Hosted, 1 => "a live intent";
    a_capture_refused_for_good_treated_as_a_decline_confirms_without_money:
        CaptureRefusalLosingMoney, Direct, 1 => "without its money";
    a_lapse_treated_as_a_decline_confirms_without_money:
        LapseLosingMoney, Direct, 1 => "without its money";
    a_refused_capture_recorded_as_voided_leaves_an_authorization:
        VoidingTheUncapturable, Direct, 1 => "is Authorized";
    money_on_its_way_back_that_asks_to_confirm_confirms_without_money:
        ReturningInSilence, Hosted, 0 => "without its money";
    a_superseded_attempt_voided_softly_pays_twice:
        SupersedingForGood, Hosted, 0 => "P3";
    refunding_the_uncaptured_gives_back_what_was_never_taken:
        VoidingTheUncaptured, Direct, 0 => "P2";
    an_expired_hold_that_voids_an_authorized_payment_confirms_without_money:
        SparingTheAuthorized, Direct, 0 => "without its money";
    a_give_back_refused_beside_a_refund_keeps_money:
        RefundingBesideARefund, Hosted, 0 => "kept for nothing";
}
