//! Nobody pays for nothing, and nobody gets anything for nothing: whatever minute a customer pays in,
//! however late, often and disordered the gateway's words and the process's asks arrive.
//!
//! The real aggregates and processes run in a small world with its own clock: a customer holds two seats
//! of a map whose item has a quota and a limit, and goods; a rival wants one of the same seats. The
//! gateway keeps its own ledger, and at the end the *ledger* is judged, not what we believe of it.

mod nothing_world;

use nothing_world::{Customer, World};
use proptest::prelude::*;

fn customer() -> impl Strategy<Value = Customer> {
    (
        0u64..18,
        prop::option::weighted(0.9, prop_oneof![8u64..11, 0u64..40]),
        0u8..4,
        any::<bool>(),
        any::<bool>(),
        prop::option::of(0u64..60),
        prop::option::of(0u64..60),
    )
        .prop_map(|(request, pays, declines, hosted, keeps, cancels, rival)| Customer {
            requests_at_minute: request,
            pays_after_minutes: pays,
            declined_first: declines == 0,
            hosted,
            keeps_hold: keeps,
            cancels_at_minute: cancels.filter(|minute| minute % 3 == 0),
            rival_at_minute: rival,
        })
}

proptest! {
    #![proptest_config(nothing_world::cases(400))]

    #[test]
    fn money_and_goods_end_on_the_same_side(
        customer in customer(),
        choices in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut world = World::new(customer.clone());
        for choice in choices {
            world.step(choice);
        }
        world.settle();
        if let Err(what) = world.verdict() {
            prop_assert!(false, "{what}\n{customer:?}\n{}", world.story());
        }
    }
}

/// The property is not empty: these customers do end on each side.
#[test]
fn the_world_knows_both_ends() {
    let prompt = Customer {
        requests_at_minute: 1,
        pays_after_minutes: Some(1),
        declined_first: false,
        hosted: false,
        keeps_hold: false,
        cancels_at_minute: None,
        rival_at_minute: Some(2),
    };
    let end = |customer: &Customer| {
        let mut world = World::new(customer.clone());
        world.settle();
        world.verdict().expect("both ends are fair");
        world.ended_confirmed()
    };
    assert!(end(&prompt), "paid in time");
    let late = Customer { pays_after_minutes: Some(40), rival_at_minute: None, ..prompt.clone() };
    assert!(!end(&late), "the hold's expiry voids what is not paid yet");
    assert!(!end(&Customer { pays_after_minutes: None, ..prompt.clone() }), "never paid");
    assert!(!end(&Customer { declined_first: true, ..prompt.clone() }), "declined");
    let again = Customer { declined_first: true, keeps_hold: true, ..prompt.clone() };
    assert!(end(&again), "declined, then paid");
    let cancelled = Customer { cancels_at_minute: Some(9), ..prompt };
    assert!(!end(&cancelled), "cancelled after it was confirmed");
}

/// Nor is its randomness: late money is taken and given back, captured money is refunded. (Lost claims
/// are rare here; the exhaustive model meets them.)
#[test]
fn the_random_worlds_meet_late_money_both_ways() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::new(nothing_world::cases(1));
    let wanted = [
        "LatePaymentAccepted",
        "LatePaymentRejected",
        "HoldReleased",
        "Cancelled",
        "RefundSucceeded",
        "Voided",
        "PaymentDeclined",
    ];
    let mut seen = std::collections::BTreeSet::new();
    let strategy = (customer(), prop::collection::vec(any::<u8>(), 0..400));
    for _ in 0..2_000 {
        let (customer, choices) = strategy.new_tree(&mut runner).expect("a world").current();
        let mut world = World::new(customer);
        choices.into_iter().for_each(|choice| world.step(choice));
        world.settle();
        let story = world.story();
        seen.extend(wanted.into_iter().filter(|name| story.contains(*name)));
    }
    let missing: Vec<_> = wanted.iter().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}
