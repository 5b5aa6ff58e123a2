//! Every way in which two tabs can get at one seat. DOMAIN.md F, "Seat locks": bare locks, attaching by
//! id or by name, crashes, retries beside a paused attempt, late timers, late money, cancellations, and
//! a process owner that sends again whatever it once had to send.
//!
//! Each rule that keeps this safe is taken away once: the search must then find what breaks. A small
//! world is searched here; `HOLDFAST_MODEL=full` searches the large ones.

mod support;

#[path = "model_seats/world.rs"]
mod world;

use support::search::search;
use world::{Size, Without, World};

/// Two customers; the first one's request is tried again beside a paused attempt.
const RETRY: Size = Size {
    users: ["anna", "ben"],
    lock_ttl: 2,
    hold: 2,
    busy_until: 1,
    attempts: [2, 1],
    locks: [true, true],
    cancels: [false, false],
    prompt: true,
    stale_owner: false,
};

/// Two customers who cancel, and a process owner that wakes up and sends what it had to send.
const STALE: Size = Size {
    busy_until: 1,
    hold: 1,
    lock_ttl: 1,
    attempts: [1, 1],
    locks: [false, false],
    cancels: [true, false],
    prompt: false,
    stale_owner: true,
    ..RETRY
};

/// Two tabs of one customer.
const TABS: Size = Size { users: ["anna", "anna"], attempts: [1, 1], ..RETRY };

fn holds(name: &str, size: Size) {
    search(&mut World::new(size, Without::Nothing), usize::MAX).holds(name);
}

/// Only with `HOLDFAST_MODEL=full`: minutes, not seconds.
#[expect(clippy::disallowed_methods, reason = "a test may be told to search more")]
fn holds_when_asked_to(name: &str, size: Size) {
    if std::env::var("HOLDFAST_MODEL").is_ok_and(|size| size == "full") {
        holds(name, size);
    } else {
        println!("{name}: only with HOLDFAST_MODEL=full");
    }
}

fn breaks(size: Size, without: Without, expected: &str) {
    let name = format!("without {without:?}");
    search(&mut World::new(size, without), usize::MAX).breaks(&name, expected);
}

#[test]
fn a_retry_beside_a_paused_attempt() {
    holds("retry", RETRY);
}

#[test]
fn a_stale_owner_sends_everything_again() {
    holds("stale owner", STALE);
}

#[test]
fn second_tab_cannot_steal() {
    holds("two tabs", TABS);
}

#[test]
fn large_stale_owner_beside_bare_locks_and_two_who_cancel() {
    let size = Size { locks: [true, true], cancels: [true, true], ..STALE };
    holds_when_asked_to("large, stale owner", size);
}

#[test]
fn large_stale_owner_beside_a_retry() {
    let size = Size { attempts: [2, 1], hold: 2, ..STALE };
    holds_when_asked_to("large, retry and stale owner", size);
}

#[test]
fn large_two_tabs_that_both_try_again() {
    let size = Size { attempts: [2, 2], prompt: false, ..TABS };
    holds_when_asked_to("large, two tabs", size);
}

#[test]
fn without_a_timer_attached_seats_of_a_crash_stay_locked() {
    breaks(TABS, Without::TimerOfAttachedSeats, "locked for Some(Reservation");
}

#[test]
fn without_a_timer_bare_locks_stay_locked() {
    breaks(TABS, Without::TimerOfBareLocks, "locked for Some(Lock");
}

#[test]
fn without_the_owner_guard_a_second_tab_steals() {
    breaks(TABS, Without::TheOwnerGuard, "not its own");
}

#[test]
fn without_finished_lock_ids_a_late_release_frees_a_held_seat() {
    breaks(RETRY, Without::InertLockRelease, "not its own");
}

#[test]
fn without_finished_lock_ids_a_late_timer_frees_a_held_seat() {
    breaks(Size { lock_ttl: 1, ..RETRY }, Without::InertLockTimer, "not its own");
}

#[test]
fn without_tombstones_a_stale_owner_takes_a_seat_for_nobody() {
    breaks(STALE, Without::Tombstones, "kept for nobody");
}

#[test]
fn with_the_locks_own_time_a_held_seat_lapses() {
    breaks(Size { lock_ttl: 1, ..RETRY }, Without::TheReservationsDeadline, "not its own");
}

#[test]
fn without_grace_who_pays_in_time_is_oversold() {
    breaks(Size { hold: 1, attempts: [1, 1], ..RETRY }, Without::Grace, "oversold");
}

#[test]
fn a_seat_that_was_taken_again_must_not_lapse() {
    breaks(STALE, Without::FirmReacquisition, "oversold");
}

#[test]
fn without_a_raised_deadline_a_retry_loses_its_seat() {
    breaks(Size { busy_until: 2, ..RETRY }, Without::RaisedDeadlines, "not its own");
}
