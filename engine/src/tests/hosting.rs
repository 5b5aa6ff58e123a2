//! Our deciders are ordinary cqrs-es aggregates.

use cqrs_es::test::TestFramework;
use holdfast_domain::inventory::{self, Command, Event, Refusal};
use holdfast_domain::{AttemptId, ReservationId, UserId};
use uuid::Uuid;

use super::world::{NOON, secs, sku};
use crate::{Asked, HostedAggregate, HostedEvent};

type Pool = HostedAggregate<inventory::State>;

fn ask(command: Command) -> Asked<inventory::State> {
    Asked { id: sku("shirt"), command, now: NOON }
}

fn received(qty: u32) -> HostedEvent<Event> {
    HostedEvent(Event::Received { qty, by: UserId::new("olga").expect("a name") })
}

fn hold(qty: u32) -> Command {
    Command::Hold {
        reservation_id: ReservationId(Uuid::from_u128(1)),
        qty,
        expires_at: NOON.plus(secs(960)),
        epoch: 1,
        attempt: AttemptId(Uuid::from_u128(2)),
        period: None,
    }
}

#[test]
fn given_stock_when_held_then_it_is_held() {
    TestFramework::<Pool>::with(()).given(vec![received(3)]).when(ask(hold(2))).then_expect_events(
        vec![HostedEvent(Event::Held {
            reservation_id: ReservationId(Uuid::from_u128(1)),
            qty: 2,
            remaining: 1,
            expires_at: NOON.plus(secs(960)),
            epoch: 1,
            attempt: AttemptId(Uuid::from_u128(2)),
            period: None,
        })],
    );
}

#[test]
fn given_too_little_when_held_then_the_refusal_says_how_much_is_left() {
    let refused = TestFramework::<Pool>::with(())
        .given(vec![received(1)])
        .when(ask(hold(2)))
        .inspect_result()
        .expect_err("there is too little");
    assert_eq!(refused, Refusal::OutOfStock { requested: 2, available: 1 });
}

#[test]
fn a_hosted_event_carries_its_stored_name_and_version() {
    use cqrs_es::DomainEvent;
    assert_eq!(received(1).event_type(), "inventory.received");
    assert_eq!(received(1).event_version(), "1");
}
