//! Families of runs in which every rule must hold.

use super::scenario::Scenario;
use super::search;

const PLAIN: Scenario = Scenario::PLAIN;

#[track_caller]
fn holds(name: &str, scenario: Scenario) {
    let t = std::time::Instant::now();
    let f = search(scenario, 3_000_000);
    println!("{name} {:?}", t.elapsed());
    f.holds(name);
}

#[test]
fn a1() {
    holds(
        "one customer",
        Scenario { customers: 1, cancel: true, decline: true, crash: true, ..PLAIN },
    );
}
#[test]
fn a2() {
    holds(
        "one customer, kept hold, ext",
        Scenario {
            customers: 1,
            cancel: true,
            decline: true,
            crash: true,
            payments: 2,
            extension: Some(2),
            retry: true,
            last_tick: 5,
            ..PLAIN
        },
    );
}
#[test]
fn a3() {
    holds(
        "one customer, all",
        Scenario {
            customers: 1,
            cancel: true,
            decline: true,
            crash: true,
            payments: 2,
            hosted: true,
            money_lost: true,
            stale: 1,
            dead_letters: 1,
            ..PLAIN
        },
    );
}
#[test]
fn b1() {
    holds("two customers", PLAIN);
}
#[test]
fn b2() {
    holds(
        "two customers cancel crash",
        Scenario { cancel: true, crash: true, last_tick: 5, ..PLAIN },
    );
}
#[test]
fn b3() {
    holds("two customers stale", Scenario { stale: 1, last_tick: 5, ..PLAIN });
}
#[test]
fn b4() {
    holds("two customers prompt", Scenario { prompt: Some(1), retry: true, last_tick: 4, ..PLAIN });
}
#[test]
fn b5() {
    holds(
        "two customers skew",
        Scenario { prompt: Some(1), skew: true, grace: 2, last_tick: 5, ..PLAIN },
    );
}
