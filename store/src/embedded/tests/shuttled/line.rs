//! The queue alone: a line of producers for few places.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Poll;

use shuttle::future;

use super::super::super::twins::{Twin, Twins};
use super::{found, queue, step, try_orders};

/// Producers in a line for few places: what they push comes out once each, in each one's order.
fn producers_by_turns(twins: Twins) {
    let (producers, mut consumer) = queue::queue(2, twins);
    let producers = Arc::new(producers);
    for producer in 0..4 {
        let producers = Arc::clone(&producers);
        let push = async move {
            for n in 0..3 {
                producers.push((producer, n)).await.expect("it is not closed");
            }
        };
        drop(future::spawn(push));
    }
    drop(producers);
    let mut next = [0; 4];
    while let Some((producer, n)) = consumer.recv() {
        assert_eq!(n, next[producer], "in order, none lost, none doubled");
        next[producer] += 1;
    }
    assert_eq!(next, [3; 4], "all came out");
}

#[test]
fn what_is_pushed_comes_out_once_and_in_order() {
    try_orders(1500, producers_by_turns);
}

#[test]
fn shuttle_finds_it_when_only_one_producer_is_woken() {
    found(Twin::WakesOneProducer, producers_by_turns, "deadlock");
}

#[test]
fn shuttle_finds_it_when_the_writer_sleeps_without_looking() {
    found(Twin::SleepsWithoutLooking, producers_by_turns, "deadlock");
}

/// Some give up while they wait for a place: what they had is not in the queue, unless they were told
/// that it is, and their place goes to the next.
fn some_give_up(twins: Twins) {
    let (producers, mut consumer) = queue::queue(1, twins);
    let producers = Arc::new(producers);
    let tasks: Vec<_> = (0..5)
        .map(|n| {
            let producers = Arc::clone(&producers);
            future::spawn(async move {
                let push = producers.push(n);
                if n % 2 == 0 {
                    return push.await.is_ok();
                }
                let mut push = Box::pin(push);
                let pushed = futures::poll!(&mut push);
                step();
                pushed == Poll::Ready(Ok(()))
            })
        })
        .collect();
    drop(producers);
    let came: HashSet<i32> = std::iter::from_fn(|| consumer.recv()).collect();
    for (n, task) in (0..).zip(tasks) {
        let pushed = future::block_on(task).expect("a task that ends");
        assert_eq!(came.contains(&n), pushed, "{n} is there when it was said to be");
        assert!(pushed || n % 2 == 1, "who does not give up gets in");
    }
}

#[test]
fn who_gives_up_leaves_nothing_and_holds_up_nobody() {
    try_orders(1500, some_give_up);
}

#[test]
fn shuttle_finds_it_when_a_place_is_not_given_back() {
    found(Twin::PlaceNotGivenBack, some_give_up, "deadlock");
}

/// The consumer closes at some moment: each item either comes out or goes back.
fn closed_at_some_moment(twins: Twins) {
    let (producers, mut consumer) = queue::queue(2, twins);
    let producers = Arc::new(producers);
    let tasks: Vec<_> = (0..5)
        .map(|n| {
            let producers = Arc::clone(&producers);
            future::spawn(async move { producers.push(n).await })
        })
        .collect();
    let mut came = vec![consumer.recv().expect("somebody pushes")];
    consumer.close();
    came.extend(std::iter::from_fn(|| consumer.recv()));
    for (n, task) in (0..).zip(tasks) {
        match future::block_on(task).expect("a task that ends") {
            Ok(()) => assert!(came.contains(&n), "{n} was taken and is lost"),
            Err(back) => assert!(back == n && !came.contains(&n), "{n} was refused and came"),
        }
    }
}

#[test]
fn closing_is_seen_by_all_and_loses_nothing() {
    try_orders(1500, closed_at_some_moment);
}
