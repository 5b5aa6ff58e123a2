//! Twins: without one rule, something breaks. DOMAIN.md §F, its first table, row by row.

use super::scenario::{Rule, Scenario};
use super::search;

const PLAIN: Scenario = Scenario::PLAIN;

/// Breaks without the rule, and with it holds at least as far: nothing else is to blame.
#[track_caller]
fn breaks(name: &str, scenario: Scenario, rule: Rule, expected: &str) {
    let found = search(scenario.without(rule), usize::MAX);
    found.breaks(name, expected);
    assert_held(name, scenario, found.states);
}

#[track_caller]
fn assert_held(name: &str, scenario: Scenario, states: usize) {
    if let Some(violation) = search(scenario, states).violation {
        panic!("{name}: broken with the rule, too: {violation}");
    }
}

#[test]
fn a_release_without_its_epoch_frees_what_was_taken_again() {
    let scenario =
        Scenario { stale: [1, 0], second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    breaks("epoch on release", scenario, Rule::EpochOnRelease, "is finalized without unit");
}

#[test]
fn a_vehicle_needs_its_epochs_its_answers_and_its_tombstones_too() {
    let car = Scenario { vehicle: true, second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    let stale = Scenario { stale: [1, 0], ..car };
    breaks("vehicle, epoch", stale, Rule::EpochOnRelease, "is finalized without unit");
    breaks("vehicle, tombstone", stale, Rule::TombstoneWithoutClaim, "keeps unit");
    breaks("vehicle, answer", car, Rule::CommitHasAnAnswer, "confirmed for ever");
}

#[test]
fn taking_again_only_a_part_finalizes_without_a_unit() {
    let scenario = Scenario { hold: 1, last_tick: 4, ..PLAIN };
    breaks("all or none", scenario, Rule::AllOrNone, "is finalized without unit");
}

#[test]
fn a_commitment_whose_claim_is_gone_needs_an_answer() {
    let scenario = Scenario { hold: 1, last_tick: 4, ..PLAIN };
    breaks("commit has an answer", scenario, Rule::CommitHasAnAnswer, "confirmed for ever");
}

#[test]
fn a_checkpoint_before_the_asks_skips_them_at_a_crash() {
    let scenario = Scenario { customers: 1, crash: true, ..PLAIN };
    breaks(
        "checkpoint after the asks",
        scenario,
        Rule::CheckpointAfterAsks,
        "may still be charged",
    );
}

#[test]
fn without_a_memory_of_late_payments_a_seat_is_given_for_nothing() {
    let scenario =
        Scenario { stale: [1, 0], second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    breaks(
        "memory of late payments",
        scenario,
        Rule::MemoryOfLatePayments,
        "has it for 0 instead of 200",
    );
}

#[test]
fn a_refused_reacquisition_that_releases_frees_what_another_run_took() {
    let scenario =
        Scenario { stale: [1, 0], second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    breaks("record, then release", scenario, Rule::RecordThenRelease, "is finalized without unit");
}

#[test]
fn late_money_that_is_rejected_releases_also_what_a_stale_run_takes() {
    let scenario =
        Scenario { stale: [1, 0], second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    breaks("release on late rejected", scenario, Rule::ReleaseOnLateRejected, "keeps unit");
}

#[test]
fn a_release_without_a_claim_leaves_a_tombstone() {
    let scenario =
        Scenario { stale: [1, 0], second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    breaks("tombstone without a claim", scenario, Rule::TombstoneWithoutClaim, "keeps unit");
}

#[test]
fn a_release_also_means_older_epochs() {
    let scenario =
        Scenario { cancel: [true, false], second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    breaks("release of older epochs", scenario, Rule::ReleaseOfOlderEpochs, "keeps unit");
}

#[test]
fn a_lost_claim_is_recorded_before_all_are_taken_again() {
    let scenario =
        Scenario { cancel: [true, false], second_wants_one: true, hold: 1, last_tick: 4, ..PLAIN };
    breaks("record claim lost", scenario, Rule::RecordClaimLost, "keeps unit");
}

#[test]
fn a_void_that_wins_over_an_authorized_payment_confirms_without_money() {
    let scenario = Scenario { customers: 1, ..PLAIN };
    breaks("soft void", scenario, Rule::SoftVoidSparesPaid, "has it for 0 instead of 200");
}

#[test]
fn a_confirmation_after_the_deadline_finds_its_claims_gone() {
    let scenario = Scenario { prompt: Some(1), last_tick: 5, ..PLAIN };
    breaks("deadline at confirmation", scenario, Rule::DeadlineAtConfirmation, "oversold");
}

#[test]
fn without_a_grace_a_prompt_commit_finds_its_claims_gone() {
    let scenario = Scenario { prompt: Some(1), grace: 0, ..PLAIN };
    let found = search(scenario, usize::MAX);
    found.breaks("grace", "oversold");
    assert_held("grace", Scenario { grace: 1, ..scenario }, found.states);
}

#[test]
fn with_two_clocks_the_grace_is_larger_than_their_skew() {
    let scenario = Scenario { prompt: Some(1), skew: true, grace: 1, last_tick: 5, ..PLAIN };
    let found = search(scenario, usize::MAX);
    found.breaks("grace larger than skew", "oversold");
    assert_held("grace larger than skew", Scenario { grace: 2, ..scenario }, found.states);
}

#[test]
fn an_extension_that_is_recorded_before_its_claims_are_extended_oversells() {
    let scenario = Scenario { prompt: Some(1), hold: 1, extension: Some(2), ..PLAIN };
    breaks("extend claims first", scenario, Rule::ExtendClaimsFirst, "oversold");
}

#[test]
fn a_retry_that_does_not_raise_the_deadline_oversells() {
    let scenario = Scenario { prompt: Some(1), hold: 1, retry: true, ..PLAIN };
    breaks("retry raises deadline", scenario, Rule::RetryRaisesDeadline, "oversold");
}

#[test]
fn a_claim_without_the_names_of_its_attempts_is_withdrawn_under_the_retry() {
    let scenario = Scenario { prompt: Some(1), retry: true, last_tick: 5, ..PLAIN };
    breaks("names of attempts", scenario, Rule::NamesOfAttempts, "oversold");
}

#[test]
fn money_that_was_lost_confirms_nothing_out_of_a_dead_letter() {
    let scenario = Scenario { customers: 1, money_lost: true, dead_letters: [1, 0], ..PLAIN };
    breaks(
        "memory of lost money",
        scenario,
        Rule::MemoryOfLostMoney,
        "has it for 0 instead of 200",
    );
}
