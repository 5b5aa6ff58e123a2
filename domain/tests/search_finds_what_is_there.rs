//! The search itself: it visits everything, finds the shortest way, and says when it stopped early.

mod support;

use support::search::{Model, search};

/// A counter that steps by one or two up to ten.
struct Counter {
    forbidden: u8,
    rest: u8,
}

impl Model for Counter {
    type State = u8;
    type Action = u8;
    fn initial(&mut self) -> u8 {
        0
    }
    fn successors(&mut self, state: &u8, out: &mut Vec<(u8, u8)>) {
        for step in [1, 2] {
            if state + step <= 10 {
                out.push((step, state + step));
            }
        }
    }
    fn check(&mut self, state: &u8) -> Result<(), String> {
        if *state == self.forbidden { Err(format!("reached {state}")) } else { Ok(()) }
    }
    fn check_at_rest(&mut self, state: &u8) -> Result<(), String> {
        if *state == self.rest { Ok(()) } else { Err(format!("rests at {state}")) }
    }
}

#[test]
fn every_state_is_visited_once() {
    let found = search(&mut Counter { forbidden: 99, rest: 10 }, usize::MAX);
    assert_eq!((found.states, found.depth, found.cut), (11, 5, false));
    found.holds("counter");
}

#[test]
fn the_shortest_way_to_a_broken_rule_is_told() {
    let found = search(&mut Counter { forbidden: 5, rest: 10 }, usize::MAX);
    let violation = found.violation.expect("5 can be reached");
    assert_eq!((violation.what.as_str(), violation.trace.len()), ("reached 5", 3));
}

#[test]
fn a_world_that_rests_in_the_wrong_place_is_found() {
    search(&mut Counter { forbidden: 99, rest: 9 }, usize::MAX).breaks("counter", "rests at 10");
}

#[test]
fn a_search_that_stopped_early_says_so() {
    assert!(search(&mut Counter { forbidden: 99, rest: 10 }, 3).cut);
}
