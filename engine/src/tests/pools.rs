//! Races about things: the last unit, shared pools, crossing orders, limits, partial acquisitions.

use holdfast_domain::reservation::{Channel, Status};
use holdfast_domain::seatmap::{Owner, Pick, SeatStatus};

use super::world::{
    CONCERT, SHIRT, World, hall, ids, of_lock, past, request, seats, secs, settings, some,
};
use crate::settings::Protections;
use crate::{LineRequest, LockSeats, Rejection, Settings};

/// No cap on live holds: these customers are many and greedy.
fn greedy() -> Settings {
    Settings { live_holds_per_customer: u32::MAX, ..settings() }
}

/// D14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_unit() {
    let world = World::with(greedy(), Protections::default()).await;
    world.shirts(1).await;
    let tasks: Vec<_> = (0..1_000)
        .map(|n| {
            let engine = world.engine.clone();
            let request = request(&format!("u{n}"), "createReservation", "1");
            tokio::spawn(async move {
                engine.create_reservation(&request, vec![some(SHIRT, 1)], Channel::Other).await
            })
        })
        .collect();
    let mut held = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(_) => held += 1,
            Err(rejection) => {
                assert_eq!(rejection.code(), "OUT_OF_STOCK");
                assert!(rejection.to_string().contains("0 are left"), "{rejection}");
            }
        }
    }
    assert_eq!(held, 1);
    assert_eq!(world.pool(SHIRT).await.held(), 1);
}

/// Two nodes, one unit, each node's own belief.
async fn two_nodes_one_unit(protections: Protections) -> usize {
    let world = World::with(greedy(), protections).await;
    world.shirts(1).await;
    let (other, _running) = world.second_node().await;
    let _ = other.load::<holdfast_domain::inventory::State>(&super::world::sku(SHIRT)).await;
    let here = world.reserve("ann", "1", vec![some(SHIRT, 1)]).await;
    let there = request("bob", "createReservation", "1");
    let there = other.create_reservation(&there, vec![some(SHIRT, 1)], Channel::Other).await;
    usize::from(here.is_ok()) + usize::from(there.is_ok())
}

#[tokio::test]
async fn of_two_nodes_one_sells_the_last_unit() {
    assert_eq!(two_nodes_one_unit(Protections::default()).await, 1);
}

#[tokio::test]
async fn twin_without_expected_versions_the_last_unit_is_sold_twice() {
    let off = Protections { expected_version: false, ..Protections::default() };
    assert_eq!(two_nodes_one_unit(off).await, 2);
}

/// D15
#[tokio::test]
async fn shared_pool_lines() {
    let world = World::new().await;
    world.shirts(3).await;
    let refused = world.reserve("ann", "1", vec![some(SHIRT, 2), some(SHIRT, 2)]).await;
    assert_eq!(refused.expect_err("four of three").code(), "OUT_OF_STOCK");
    let held = world.reserve("ann", "2", vec![some(SHIRT, 2), some(SHIRT, 1)]).await;
    assert_eq!(held.expect("three of three").state.lines.len(), 2);
    assert_eq!(world.pool(SHIRT).await.held(), 3);
}

#[tokio::test]
async fn twin_without_the_sum_two_lines_of_one_pool_get_more_than_there_is() {
    let off = Protections { summed_lines: false, ..Protections::default() };
    let world = World::with(settings(), off).await;
    world.shirts(3).await;
    let held = world.reserve("ann", "1", vec![some(SHIRT, 2), some(SHIRT, 2)]).await;
    assert!(held.is_ok(), "each line passed by itself");
    assert!(world.pool(SHIRT).await.held() < 4, "four are promised, and not held");
}

/// D17
#[tokio::test]
async fn quota_ok_seat_fail() {
    let (world, refused) = quota_but_no_seat(Protections::default()).await;
    let Rejection::Refused { ref target, .. } = refused else { panic!("refused") };
    assert_eq!((refused.code(), target.as_str()), ("SEATS_TAKEN", "hall"));
    assert_eq!(world.pool(CONCERT).await.held(), 1, "only bob's");
    assert_eq!(world.taken_of(CONCERT, "ann").await.taken(), 0);
    let kinds = world.kinds("inventory-concert").await;
    assert_eq!(kinds.last().map(String::as_str), Some("inventory.released"));
}

#[tokio::test]
async fn twin_without_withdrawal_a_refused_customer_holds_quota() {
    let off = Protections { withdraw: false, ..Protections::default() };
    let (world, _) = quota_but_no_seat(off).await;
    assert_eq!(world.pool(CONCERT).await.held(), 3, "bob's one, and two for nobody");
    // At least it lapses by itself.
    world.pass(past(secs(960))).await;
    assert_eq!(world.pool(CONCERT).await.held(), 0);
}

async fn quota_but_no_seat(protections: Protections) -> (World, Rejection) {
    let world = World::with(settings(), protections).await;
    world.open_the_hall(10, Some(4)).await;
    world.reserve("bob", "1", seats(&["L-1-1"])).await.expect("free");
    let refused = world.reserve("ann", "1", seats(&["L-1-1", "L-1-2"])).await;
    (world, refused.expect_err("taken"))
}

/// D16
#[tokio::test]
async fn partial_lock() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    world.lock("bob", "1", &["L-1-3"]).await.expect("free");
    let wish = LockSeats {
        seat_map_id: hall(),
        seats: holdfast_domain::seatmap::Seats::Named(ids(&["L-1-1", "L-1-2", "L-1-3", "L-1-4"])),
        suggest: true,
    };
    let refused = world.engine.lock_seats(&request("ann", "lockSeats", "1"), wish).await;
    let Err(Rejection::Refused { refusal, suggested, .. }) = refused else { panic!("refused") };
    assert_eq!(*refusal, holdfast_domain::seatmap::Refusal::SeatsTaken(ids(&["L-1-3"])).into());
    assert_eq!(suggested.len(), 4);
    assert!(!suggested.contains(&ids(&["L-1-3"])[0]));
    assert_eq!(world.map().await.counts().locked, 1, "none of hers");
}

/// D18
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossing_orders() {
    for round in 0..50 {
        let world = World::with(greedy(), Protections::default()).await;
        world.open_the_hall(100, None).await;
        world.shirts(1).await;
        let (a, b) = tokio::join!(
            world.reserve("ann", "1", [vec![some(SHIRT, 1)], seats(&["L-1-1", "L-1-2"])].concat()),
            world.reserve("bob", "1", [seats(&["L-1-2", "L-1-1"]), vec![some(SHIRT, 1)]].concat()),
        );
        assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "round {round}");
        assert_eq!(world.map().await.counts().locked, 2);
        assert_eq!(world.pool(SHIRT).await.held(), 1);
        assert_eq!(world.pool(CONCERT).await.held(), 2);
    }
}

/// D25
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_parallel() {
    let world = World::with(greedy(), Protections::default()).await;
    world.open_the_hall(100, Some(4)).await;
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let engine = world.engine.clone();
            let request = request("ann", "createReservation", &n.to_string());
            tokio::spawn(async move {
                let line = LineRequest::Best {
                    seat_map_id: hall(),
                    pick: Pick { quantity: 1, section: None, category: None },
                };
                engine.create_reservation(&request, vec![line], Channel::Other).await
            })
        })
        .collect();
    let mut held = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(_) => held += 1,
            Err(rejection) => assert_eq!(rejection.code(), "LIMIT_EXCEEDED"),
        }
    }
    assert_eq!(held, 4, "none too many");
    assert_eq!(world.taken_of(CONCERT, "ann").await.taken(), 4);
    assert_eq!(world.pool(CONCERT).await.held(), 4);
}

async fn one_customer_on_two_nodes(protections: Protections) -> usize {
    let world = World::with(greedy(), protections).await;
    world.open_the_hall(100, Some(1)).await;
    let (other, _running) = world.second_node().await;
    let limit = holdfast_domain::LimitId {
        sku: super::world::sku(CONCERT),
        user_id: super::world::user("ann"),
    };
    let _ = other.load::<holdfast_domain::limit::State>(&limit).await;
    let here = world.reserve("ann", "1", seats(&["L-1-1"])).await;
    let there = request("ann", "createReservation", "2");
    let there = other.create_reservation(&there, seats(&["R-1-1"]), Channel::Other).await;
    usize::from(here.is_ok()) + usize::from(there.is_ok())
}

#[tokio::test]
async fn a_limit_holds_on_two_nodes() {
    assert_eq!(one_customer_on_two_nodes(Protections::default()).await, 1);
}

#[tokio::test]
async fn twin_without_expected_versions_a_limit_is_exceeded() {
    let off = Protections { expected_version: false, ..Protections::default() };
    assert_eq!(one_customer_on_two_nodes(off).await, 2);
}

#[tokio::test]
async fn live_holds_are_capped_for_each_customer() {
    let cap = Settings { live_holds_per_customer: 2, ..settings() };
    let world = World::with(cap, Protections::default()).await;
    world.open_the_hall(100, None).await;
    let first = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("one").id;
    world.lock("ann", "2", &["L-1-2"]).await.expect("two");
    let refused = world.lock("ann", "3", &["L-1-3"]).await.expect_err("three");
    assert_eq!(refused, Rejection::TooManyHolds { limit: 2, already: 2 });
    assert_eq!(refused.code(), "LIMIT_EXCEEDED");
    world.lock("bob", "1", &["L-1-3"]).await.expect("another customer");
    world.cancel("ann", "4", first).await.expect("hers");
    world.lock("ann", "5", &["L-1-4"]).await.expect("two again");
}

#[tokio::test]
async fn seats_that_its_own_customer_has_locked_are_taken_over() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let lock = world.lock("ann", "1", &["L-1-1", "L-1-2"]).await.expect("free");
    let refused = world.reserve("bob", "1", of_lock(lock.lock_id)).await.expect_err("not his");
    assert_eq!(refused.code(), "NOT_HELD");
    let made = world.reserve("ann", "2", seats(&["L-1-1", "L-1-2"])).await.expect("hers");
    assert_eq!(world.map().await.seats_of(Owner::Reservation(made.id)), ids(&["L-1-1", "L-1-2"]));
    // The lock's own time and its id mean nothing any more.
    let request = request("ann", "releaseSeatLock", "3");
    let gone = world.engine.release_seat_lock(&request, hall(), lock.lock_id).await;
    assert_eq!(gone, Err(Rejection::NotFound("seat lock")));
    world.pass(past(secs(600))).await;
    assert_eq!(world.map().await.counts().locked, 2);
    assert_eq!(world.status(made.id).await, Status::Hold);
}

#[tokio::test]
async fn only_a_lock_that_is_the_callers_is_given_back_and_the_same_key_is_told_so_again() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let lock = world.lock("ann", "1", &["L-1-1"]).await.expect("free").lock_id;
    let release = async |who: &str, key: &str, lock_id| {
        let request = request(who, "releaseSeatLock", key);
        world.engine.release_seat_lock(&request, hall(), lock_id).await
    };
    let missing = Err(Rejection::NotFound("seat lock"));
    assert_eq!(release("bob", "1", lock).await, missing, "another's");
    let unknown = holdfast_domain::LockId(holdfast_domain::derive(&["never"]));
    assert_eq!(release("ann", "2", unknown).await, missing, "never was");
    assert_eq!(world.map().await.counts().locked, 1);
    assert!(!release("ann", "3", lock).await.expect("hers").replayed);
    assert!(release("ann", "3", lock).await.expect("the same request").replayed);
    assert_eq!(release("ann", "4", lock).await, missing, "given back already");
}

#[tokio::test]
async fn a_bare_lock_lapses_at_its_own_time() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let lock = world.lock("ann", "1", &["L-1-1"]).await.expect("free");
    world.pass(past(secs(600))).await;
    assert_eq!(world.map().await.counts().locked, 0);
    let refused = world.reserve("ann", "2", of_lock(lock.lock_id)).await.expect_err("too late");
    assert_eq!(refused.code(), "NOT_HELD");
}

#[tokio::test]
async fn lines_of_all_kinds_make_one_reservation() {
    let world = World::new().await;
    world.open_the_hall(100, Some(9)).await;
    world.shirts(5).await;
    let lock = world.lock("ann", "1", &["R-1-1"]).await.expect("free");
    let pick = Pick { quantity: 2, section: Some("L".into()), category: None };
    let lines = vec![
        LineRequest::Lock { seat_map_id: hall(), lock_id: lock.lock_id },
        LineRequest::Best { seat_map_id: hall(), pick },
        some(CONCERT, 1),
        some(SHIRT, 2),
    ];
    let made = world.reserve("ann", "2", lines).await.expect("free");
    assert_eq!(world.map().await.counts().locked, 4, "chosen among what is left");
    assert_eq!(world.pool(CONCERT).await.held(), 4, "one claim of the quota for all of them");
    assert_eq!(made.state.lines.len(), 2, "shirts, and seats of one price");
    assert_eq!(made.state.total, Some(super::world::eur(4 * super::world::PRICE + 2 * 2_000)));
    let twice = [seats(&["R-2-1"]), seats(&["R-2-1"])].concat();
    let refused = world.reserve("ann", "4", twice).await.expect_err("one seat, two lines");
    assert_eq!(refused.code(), "INVALID_INPUT");
    let by_item = world.reserve("ann", "3", vec![some(CONCERT, 2)]).await.expect("seats chosen");
    assert_eq!(by_item.state.lines[0].seat_ids.len(), 2);
    assert_eq!(by_item.state.lines[0].unit_price, super::world::eur(super::world::PRICE));
}

#[tokio::test]
async fn what_a_line_may_not_say_is_no_valid_input_and_leaves_nothing() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    world.shirts(5).await;
    let head = world.log.head();
    let with_seats = LineRequest::Item {
        sku: super::world::sku(SHIRT),
        quantity: 1,
        seat_ids: ids(&["L-1-1"]),
        section: None,
        period: None,
    };
    let miscounted = LineRequest::Item {
        sku: super::world::sku(CONCERT),
        quantity: 2,
        seat_ids: ids(&["L-1-1"]),
        section: None,
        period: None,
    };
    for (n, lines) in
        [vec![], vec![some(SHIRT, 0)], vec![with_seats], vec![miscounted]].into_iter().enumerate()
    {
        let refused = world.reserve("ann", &n.to_string(), lines).await.expect_err("no line");
        assert_eq!(refused.code(), "INVALID_INPUT");
    }
    let unknown = world.reserve("ann", "x", vec![some("nothing", 1)]).await.expect_err("no item");
    assert_eq!(unknown.code(), "NOT_FOUND");
    assert_eq!(world.log.head(), head);
    let noted = world.side.rejected(None, None, 10).await;
    assert_eq!(noted.len(), 5, "every refusal is noted beside the log");
    assert_eq!(noted[0].1.command, "createReservation");
}

/// D26
#[tokio::test]
async fn shrink() {
    let world = World::new().await;
    world.shirts(5).await;
    let id = world.reserve("ann", "1", vec![some(SHIRT, 4)]).await.expect("free").id;
    let request = super::world::operator("adjustStock", "count");
    let sku = super::world::sku(SHIRT);
    world.engine.adjust_stock(&request, sku, -3, "counted".into()).await.expect("accepted");
    let kinds = world.kinds("inventory-shirt").await;
    assert!(kinds.contains(&"inventory.oversubscription-detected".into()), "{kinds:?}");
    let refused = world.reserve("bob", "1", vec![some(SHIRT, 1)]).await.expect_err("no more");
    assert_eq!(refused.code(), "OUT_OF_STOCK");
    world.pay("ann", "2", id, "approve").await.expect("hers stays");
    world.quiet().await;
    assert_eq!(world.status(id).await, Status::Confirmed);
}

/// D27
#[tokio::test]
async fn plan_change() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    world.lock("ann", "1", &["R-5-10"]).await.expect("free");
    let mut plan = world.map().await.plan().cloned().expect("published");
    plan.sections[1].rows = 4;
    let request = super::world::operator("publishSeatMap", "smaller");
    let refused = world.engine.publish_seat_map(&request, hall(), plan.clone()).await;
    assert_eq!(refused.expect_err("a held seat would vanish").code(), "SEATS_TAKEN");
    world.pass(past(secs(600))).await;
    world.engine.publish_seat_map(&request, hall(), plan).await.expect("free now");
    assert!(world.map().await.seat(&ids(&["R-5-10"])[0]).is_none());
}

#[tokio::test]
async fn a_sku_belongs_to_one_map_and_a_bad_plan_claims_none() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let plan = world.map().await.plan().cloned().expect("published");
    let other = holdfast_domain::SeatMapId::new("arena").expect("a name");
    let request = super::world::operator("publishSeatMap", "arena");
    let refused = world.engine.publish_seat_map(&request, other.clone(), plan.clone()).await;
    assert_eq!(refused.expect_err("the concert is in the hall").code(), "INVALID_INPUT");
    assert!(world.kinds("seatmap-arena").await.is_empty());
    world.item("opera", holdfast_domain::item::Kind::Ticket, None).await;
    let empty = holdfast_domain::seatmap::Plan {
        sku: Some(super::world::sku("opera")),
        sections: vec![],
        ..plan
    };
    let request = super::world::operator("publishSeatMap", "empty");
    world.engine.publish_seat_map(&request, other, empty).await.expect_err("no seats");
    assert_eq!(world.kinds("item-opera").await, ["item.created"]);
}

#[tokio::test]
async fn a_blocked_seat_is_not_for_sale() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let request = super::world::operator("blockSeats", "1");
    let seat = ids(&["L-1-1"]);
    world.engine.block_seats(&request, hall(), seat.clone(), "broken".into()).await.expect("free");
    let refused = world.lock("ann", "1", &["L-1-1"]).await.expect_err("blocked");
    assert_eq!(refused.code(), "NOT_FOR_SALE");
    assert_eq!(world.map().await.seat(&seat[0]).expect("a seat").status, SeatStatus::Blocked);
}

/// D37, the engine's part.
#[tokio::test]
async fn read_your_writes() {
    let world = World::new().await;
    world.shirts(1).await;
    let held = world.reserve("ann", "1", vec![some(SHIRT, 1)]).await.expect("the last one");
    let refused = world.reserve("bob", "1", vec![some(SHIRT, 1)]).await.expect_err("gone");
    let Rejection::Refused { refusal, as_of, target, .. } = refused else { panic!("refused") };
    let left = holdfast_domain::inventory::Refusal::OutOfStock { requested: 1, available: 0 };
    assert_eq!((*refusal, target.as_str()), (left.into(), SHIRT), "what is left just now");
    assert!(as_of >= held.done.position, "and as of when");
    // The answer's position is that of the event: who waits for it sees its effect.
    let events = world.events(&format!("reservation-{}", held.id)).await;
    assert_eq!(events[0].position, held.done.position);
}
