//! From the append to the answer and to those who follow the log.

use std::sync::Arc;

use shuttle::future;
use uuid::Uuid;

use super::super::super::twins::{Twin, Twins};
use super::store::Store;
use super::{found, step, try_orders};
use crate::contract::{batch, everything};
use crate::{
    AppendError, EventStore, Expected, Filter, Position, ReadError, RecordedEvent, StreamAppend,
    Subscription,
};

/// Two events for a stream of its own, and one for a stream that all write to.
fn an_append(n: usize, expected: Expected) -> Vec<StreamAppend> {
    vec![batch(&format!("own-{n}"), Expected::NoStream, 2), batch("all-1", expected, 1)]
}

fn ids(batches: &[StreamAppend]) -> Vec<Uuid> {
    batches.iter().flat_map(|batch| &batch.events).map(|event| event.id).collect()
}

/// Follows the log to its end; whatever it is told of is there to be read, once, in order.
async fn follow(store: Arc<Store>) -> Vec<RecordedEvent> {
    let mut log = Subscription::new(store, Position::ZERO, Filter::All);
    let mut seen: Vec<RecordedEvent> = Vec::new();
    loop {
        match log.next_page().await {
            Ok((events, upto)) => {
                assert!(!events.is_empty(), "told of what cannot be read");
                seen.extend(events);
                assert_eq!(upto.0, seen.len() as u64, "no event is missed, none is doubled");
            }
            Err(ReadError::Closed) => return seen,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Appenders who race for one stream, one who gives up, a follower from the start, one who comes later,
/// and the end of it all at some moment.
fn appends_and_followers(twins: Twins) {
    let (store, writer) = Store::open(twins, 2);
    let early = future::spawn(follow(Arc::clone(&store)));
    let racing: Vec<Vec<StreamAppend>> = (0..3).map(|n| an_append(n, Expected::NoStream)).collect();
    let given_up = an_append(9, Expected::Any);
    let given_up_ids = ids(&given_up);
    // Whoever is refused, one of these was faster.
    let appends = racing.iter().chain([&given_up]);
    let candidates: Arc<Vec<Uuid>> = Arc::new(appends.map(|a| a[1].events[0].id).collect());
    let mut racers = Vec::new();
    for append in racing {
        let (store, candidates) = (Arc::clone(&store), Arc::clone(&candidates));
        racers.push(future::spawn(async move {
            let ids = ids(&append);
            let answer = store.append(append).await;
            match &answer {
                Ok(appended) => {
                    assert!(ids.iter().all(|id| store.disk.is_durable(*id)), "answered too early");
                    assert!(store.head() >= appended.last, "answered before it was told");
                    let page = store.read_all(appended.first, &Filter::All, 3).await;
                    let read: Vec<Uuid> =
                        page.expect("a page").events.iter().map(|event| event.id).collect();
                    assert_eq!(read, ids, "what was answered is read");
                }
                Err(AppendError::Conflict { .. }) => {
                    let durable = candidates.iter().any(|id| store.disk.is_durable(*id));
                    assert!(durable, "refused on account of what is not durable");
                }
                Err(AppendError::Stopped(_)) => {}
                Err(other) => panic!("{other}"),
            }
            (ids, answer)
        }));
    }
    let hasty = {
        let store = Arc::clone(&store);
        future::spawn(async move {
            let mut append = Box::pin(store.append(given_up));
            let _ = futures::poll!(&mut append);
            step();
        })
    };
    let late = future::spawn(follow(Arc::clone(&store)));
    let closer = {
        let store = Arc::clone(&store);
        future::spawn(async move { store.close().await })
    };
    let (mut won, mut refused) = (0, 0);
    let answers: Vec<_> =
        racers.into_iter().map(|racer| future::block_on(racer).expect("a racer")).collect();
    for task in [hasty, closer] {
        future::block_on(task).expect("a task that ends");
    }
    writer.join().expect("the writer ends");
    let seen = future::block_on(early).expect("a follower");
    assert_eq!(seen, future::block_on(late).expect("a follower"));
    assert_eq!(seen, future::block_on(everything(&*store)), "followers have seen all there is");
    let all: Vec<Uuid> = seen.iter().map(|event| event.id).collect();
    let mut whole = 0;
    for (ids, answer) in &answers {
        let there = all.windows(3).any(|window| window == ids);
        let some = ids.iter().any(|id| all.contains(id));
        assert_eq!((there, some), (answer.is_ok(), answer.is_ok()), "whole, or not at all");
        whole += usize::from(there);
        match answer {
            Ok(_) => won += 1,
            Err(_) => refused += 1,
        }
    }
    let there = all.windows(3).any(|window| window == given_up_ids);
    assert_eq!(given_up_ids.iter().any(|id| all.contains(id)), there, "given up: whole or absent");
    assert_eq!(all.len(), 3 * (whole + usize::from(there)), "and nothing else");
    assert!(won <= 1 && won + refused == 3, "one expectation holds once");
}

#[test]
fn followers_see_every_append_once_and_answers_are_true() {
    try_orders(1000, appends_and_followers);
}

#[test]
fn shuttle_finds_it_when_the_head_is_told_before_the_index() {
    found(Twin::HeadBeforeIndex, appends_and_followers, "told of what cannot be read");
}

#[test]
fn shuttle_finds_it_when_a_refusal_hinges_on_what_is_not_durable() {
    found(Twin::RefusalBeforeDurable, appends_and_followers, "refused on account");
}

#[test]
fn shuttle_finds_it_when_an_answer_comes_before_the_sync() {
    found(Twin::AckBeforeSync, appends_and_followers, "answered too early");
}

/// The last handle goes instead of a close: what waits is done, the follower hears the end.
fn the_last_handle_goes(twins: Twins) {
    let (store, writer) = Store::open(twins, 1);
    let mut head = store.watch_head();
    let appends: Vec<_> = (0..3)
        .map(|n| {
            let store = Arc::clone(&store);
            future::spawn(async move { store.append(an_append(n, Expected::Any)).await })
        })
        .collect();
    drop(store);
    future::block_on(async { while head.changed().await.is_ok() {} });
    writer.join().expect("the writer ends");
    let appended = appends.into_iter().map(|append| future::block_on(append).expect("a task"));
    let mut firsts: Vec<u64> = appended.map(|a| a.expect("an answer").first.0).collect();
    firsts.sort_unstable();
    assert_eq!((firsts, *head.borrow()), (vec![1, 4, 7], Position(9)));
}

#[test]
fn dropping_the_store_finishes_what_waits() {
    try_orders(1000, the_last_handle_goes);
}
