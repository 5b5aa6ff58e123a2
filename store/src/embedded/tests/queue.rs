//! The writer's queue, one step after the other; `shuttled` tries the orders out.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::FutureExt;

use super::super::queue::{Consumer, Producers, queue};
use super::super::twins::Twins;

fn small<T>() -> (Producers<T>, Consumer<T>) {
    queue(2, Twins::default())
}

#[test]
fn what_is_pushed_comes_out_in_the_same_order_then_the_end() {
    let (producers, mut consumer) = queue(10, Twins::default());
    for n in 0..10 {
        assert_eq!(producers.push(n).now_or_never(), Some(Ok(())));
    }
    assert_eq!(consumer.recv(), Some(0));
    assert_eq!(producers.push(10).now_or_never(), Some(Ok(())), "all places are free again");
    drop(producers);
    assert_eq!(std::iter::from_fn(|| consumer.recv()).collect::<Vec<_>>(), Vec::from_iter(1..11));
}

/// Places go to those who wait, in the order in which they came; a newcomer does not overtake.
#[test]
fn a_full_queue_lets_producers_in_by_turns() {
    let (producers, mut consumer) = small();
    let (mut waiting, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
    for n in 0..6 {
        let mut push = producers.push(n);
        let ready = push.poll_unpin(&mut context).is_ready();
        assert_eq!(ready, n < 2, "{n}");
        waiting.push(push);
    }
    waiting.drain(..2);
    assert_eq!(consumer.recv(), Some(0));
    assert!(producers.push(99).now_or_never().is_none(), "both places are promised");
    assert!(waiting[2].poll_unpin(&mut context).is_pending(), "4 comes after 2 and 3");
    assert!(waiting.remove(1).poll_unpin(&mut context).is_ready());
    drop(waiting.remove(0));
    assert!(waiting[0].poll_unpin(&mut context).is_ready(), "the place that 2 gave up");
    assert_eq!((consumer.recv(), consumer.recv(), consumer.recv()), (Some(1), Some(3), Some(4)));
    assert!(waiting[1].poll_unpin(&mut context).is_ready());
    assert_eq!(consumer.recv(), Some(5));
    assert_eq!(consumer.try_recv(), None);
}

#[test]
fn closing_refuses_those_in_line_and_keeps_what_is_in() {
    let (producers, mut consumer) = small();
    let mut context = Context::from_waker(Waker::noop());
    for n in 0..2 {
        producers.push(n).now_or_never().unwrap().unwrap();
    }
    let mut waiting = producers.push(2);
    assert!(waiting.poll_unpin(&mut context).is_pending());
    consumer.close();
    assert_eq!(waiting.poll_unpin(&mut context), Poll::Ready(Err(2)));
    assert_eq!(producers.push(3).now_or_never(), Some(Err(3)));
    assert_eq!((consumer.recv(), consumer.recv(), consumer.recv()), (Some(0), Some(1), None));
}

#[test]
fn what_is_given_back_comes_first() {
    let (producers, mut consumer) = small();
    for n in 0..2 {
        producers.push(n).now_or_never().unwrap().unwrap();
    }
    let first = consumer.recv().unwrap();
    consumer.give_back(first);
    assert_eq!((consumer.recv(), consumer.recv()), (Some(0), Some(1)));
}

#[test]
fn a_consumer_that_goes_lets_go_what_waits() {
    let (producers, consumer) = small();
    let kept = Arc::new(());
    producers.push(Arc::clone(&kept)).now_or_never().unwrap().unwrap();
    drop(consumer);
    assert_eq!(Arc::strong_count(&kept), 1);
    assert!(producers.push(kept).now_or_never().unwrap().is_err());
}
