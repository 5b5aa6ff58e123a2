//! Families of runs in which every rule must hold, each searched to its end.

use super::scenario::Scenario;
use super::search;

/// Short holds: the first tick after the hold is grace, the second is too late.
const PLAIN: Scenario = Scenario { hold: 1, ..Scenario::PLAIN };
const ALONE: Scenario = Scenario { customers: 1, last_tick: 3, ..PLAIN };
const BOTH: [bool; 2] = [true; 2];
const FIRST: [bool; 2] = [true, false];

#[track_caller]
fn holds(name: &str, scenario: Scenario) {
    search(scenario, usize::MAX).holds(name);
}

/// The large families: minutes and gigabytes, so only by `HOLDFAST_MODEL=full`.
#[track_caller]
fn holds_in_full(name: &str, scenario: Scenario) {
    #[expect(clippy::disallowed_methods, reason = "a setting of the test, not of a rule")]
    let full = std::env::var("HOLDFAST_MODEL").is_ok_and(|value| value == "full");
    if full {
        search(scenario, usize::MAX).holds(name);
    } else {
        println!("{name}: only with HOLDFAST_MODEL=full");
    }
}

#[test]
fn a_customer_alone_with_a_retry_cancelling_declined_and_crashing() {
    holds("alone", Scenario { cancel: BOTH, decline: true, crash: true, retry: true, ..ALONE });
}

#[test]
fn a_kept_hold_with_an_extension_and_a_second_attempt_at_paying() {
    let kept = Scenario { decline: true, payments: 2, extension: Some(2), ..ALONE };
    holds("kept hold", Scenario { crash: true, cancel: BOTH, ..kept });
}

#[test]
fn a_hosted_payment_that_is_captured_while_it_is_voided() {
    holds("hosted", Scenario { hosted: true, decline: true, crash: true, cancel: BOTH, ..ALONE });
    holds(
        "hosted, stale owner, dead letter",
        Scenario { hosted: true, stale: [1, 0], dead_letters: [1, 0], ..ALONE },
    );
}

#[test]
fn money_that_is_lost_beside_a_stale_owner_and_a_dead_letter() {
    let lost = Scenario { money_lost: true, stale: [1, 0], ..ALONE };
    holds("money lost, dead letter", Scenario { dead_letters: [1, 0], ..lost });
    holds("money lost, cancelled", Scenario { cancel: BOTH, decline: true, ..lost });
}

#[test]
fn goods_are_consumed_once_and_come_back() {
    let stock = Scenario { stock: true, cancel: BOTH, ..ALONE };
    holds("goods", Scenario { stale: [1, 0], crash: true, ..stock });
    holds("goods, two customers", Scenario { stock: true, second_wants_one: true, ..PLAIN });
}

#[test]
fn two_customers_never_own_the_same_unit() {
    holds("two customers", PLAIN);
    holds("two customers, long hold", Scenario::PLAIN);
}

#[test]
fn two_customers_with_a_dead_letter_that_is_redriven() {
    holds("dead letter", Scenario { dead_letters: [1, 0], second_wants_one: true, ..PLAIN });
}

#[test]
fn two_customers_with_a_former_owner_who_asks_everything_again() {
    holds("stale owner", Scenario { stale: [1, 0], second_wants_one: true, ..PLAIN });
}

#[test]
fn with_prompt_commits_nobody_who_paid_in_time_is_oversold() {
    let prompt = Scenario { prompt: Some(1), ..PLAIN };
    holds("prompt", Scenario { retry: true, extension: Some(2), ..prompt });
    holds(
        "prompt, two clocks",
        Scenario { skew: true, grace: 2, last_tick: 5, second_wants_one: true, ..prompt },
    );
}

/// A walk-up: the pool and the very car, committed, extended, taken again and released like any claim.
#[test]
fn a_vehicle_is_a_claim_like_any_other() {
    let car = Scenario { vehicle: true, ..PLAIN };
    holds("vehicle", car);
    holds("vehicle, stale owner", Scenario { stale: [1, 0], second_wants_one: true, ..car });
    let prompt = Scenario { prompt: Some(1), second_wants_one: true, ..car };
    holds("vehicle, prompt", Scenario { extension: Some(2), ..prompt });
    let alone = Scenario { customers: 1, last_tick: 3, ..car };
    let alone = Scenario { cancel: BOTH, decline: true, crash: true, retry: true, ..alone };
    holds("vehicle, alone", alone);
}

#[test]
fn two_customers_who_may_cancel() {
    holds_in_full("cancel", Scenario { cancel: BOTH, ..PLAIN });
    let one = Scenario { cancel: BOTH, second_wants_one: true, ..PLAIN };
    holds_in_full("cancel and crash", Scenario { crash: true, ..one });
    let kept = Scenario { decline: true, payments: 2, prompt: Some(1), ..one };
    holds_in_full("cancel, kept hold, prompt", kept);
}

#[test]
fn goods_that_may_be_cancelled_beside_another_customer() {
    let goods = Scenario { stock: true, second_wants_one: true, ..PLAIN };
    holds_in_full("goods, cancelled", Scenario { cancel: FIRST, crash: true, ..goods });
}

#[test]
fn prompt_commits_with_a_retry_on_a_clock_that_is_ahead() {
    let prompt = Scenario { prompt: Some(1), second_wants_one: true, last_tick: 5, ..PLAIN };
    holds_in_full("two clocks, retry", Scenario { skew: true, grace: 2, retry: true, ..prompt });
    let longer = Scenario { prompt: Some(1), last_tick: 5, ..PLAIN };
    holds_in_full("retry", Scenario { retry: true, extension: Some(2), ..longer });
}
