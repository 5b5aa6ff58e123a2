//! Every way that money can take, searched exhaustively: two attempts, a gateway that refuses, lapses
//! and stays silent, lost and repeated webhooks, an operator, a customer who changes its mind.

mod payment_world;
mod support;

use holdfast_domain::payment::Flow;
use holdfast_domain::reservation::LatePayment;
use payment_world::{Setting, World};
use support::search::search;

#[test]
fn try_sizes() {
    for flow in [Flow::Hosted, Flow::Direct] {
        for faults in 0..=2 {
            let start = std::time::Instant::now();
            let mut world = World::new(Setting {
                flow,
                late_payment: LatePayment::TryReacquire,
                faults,
                without: None,
            });
            let found = search(&mut world, 3_000_000);
            println!("{flow:?} {faults} {:?}", start.elapsed());
            if let Some(v) = &found.violation { println!("{v}"); }
            println!("{} {}", found.states, found.cut);
        }
    }
}
