//! What appenders push to and the writer thread drains. Bounded: who finds it full waits in a line for
//! a place. The writer takes **all** that waits with one swap, so that the lock is taken once for a
//! frame and not once for an append, and sleeps only when nothing waits.
//!
//! ```text
//!   push ──► place free, nobody in line? ──► items ──swap──► taken ──► recv, recv, recv …
//!                │ no                          ▲               │
//!                ▼                             │ push          ▼ all places are free again
//!              line: ticket, ticket … ──► promised ◄── as many as there are places, first come first
//!                        └── dropped: out of the line, or the promise goes to the next in line
//! ```
//!
//! Everything is decided under one lock; who is to be woken is noted there and woken after it. The
//! tests compile this file a second time against shuttle, which tries the orders out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use super::twins::{Twin, Twins};

/// The end that appenders push to. When it is dropped the consumer gets what waits, then the end.
pub(crate) struct Producers<T>(Arc<Shared<T>>);

/// The end that one thread drains. When it is dropped whoever waits or comes is refused.
pub(crate) struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// What was taken out of the queue in one go, oldest first.
    taken: VecDeque<T>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// The consumer sleeps here while nothing waits.
    stirred: Condvar,
    capacity: usize,
    twins: Twins,
}

struct State<T> {
    /// What waits for the consumer, oldest first.
    items: VecDeque<T>,
    /// Producers who wait for a place, first come first; the numbers grow.
    line: VecDeque<Ticket>,
    next_ticket: u64,
    /// Places kept for those who were called out of the line and have not come yet.
    promised: usize,
    consumer_sleeps: bool,
    /// Nobody will push any more.
    producers_gone: bool,
    /// Nothing is taken any more.
    closed: bool,
}

struct Ticket {
    number: u64,
    waker: Waker,
}

/// A queue for `capacity` items.
pub(crate) fn queue<T>(capacity: usize, twins: Twins) -> (Producers<T>, Consumer<T>) {
    let state = State {
        items: VecDeque::new(),
        line: VecDeque::new(),
        next_ticket: 0,
        promised: 0,
        consumer_sleeps: false,
        producers_gone: false,
        closed: false,
    };
    let state = Mutex::new(state);
    let shared = Arc::new(Shared { state, stirred: Condvar::new(), capacity, twins });
    (Producers(Arc::clone(&shared)), Consumer { shared, taken: VecDeque::new() })
}

impl<T> Shared<T> {
    /// No user's code runs under the lock, so what a panic leaves behind is whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls as many out of the line as there are places; they are to be woken without the lock.
    fn call(&self, state: &mut State<T>) -> Vec<Waker> {
        let places = self.capacity - state.items.len() - state.promised;
        let called = places.min(state.line.len());
        state.promised += called;
        let mut wakers: Vec<_> = state.line.drain(..called).map(|ticket| ticket.waker).collect();
        if self.twins.on(Twin::WakesOneProducer) {
            wakers.truncate(1);
        }
        wakers
    }
}

impl<T> Producers<T> {
    /// Puts an item at the queue's end; waits for a place. Gives it back when nothing is taken any
    /// more. Cancel safe: until this is ready the item is not in the queue, and dropping it gives
    /// the place in the line to the next.
    pub(crate) fn push(&self, item: T) -> Push<'_, T> {
        Push { shared: &self.0, item: Some(item), ticket: None }
    }
}

impl<T> Drop for Producers<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.producers_gone = true;
        drop(state);
        self.0.stirred.notify_one();
    }
}

/// An item on its way into the queue.
pub(crate) struct Push<'a, T> {
    shared: &'a Shared<T>,
    item: Option<T>,
    /// The number under which it waits, or has waited, in the line.
    ticket: Option<u64>,
}

/// Nothing points into it.
impl<T> Unpin for Push<'_, T> {}

impl<T> Future for Push<'_, T> {
    type Output = Result<(), T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), T>> {
        let shared = self.shared;
        let mut state = shared.lock();
        if state.closed {
            self.ticket = None;
            return Poll::Ready(Err(self.item.take().expect("it is not polled after its end")));
        }
        match self.ticket {
            None => {
                let taken = state.items.len() + state.promised;
                // A place that is free while others wait is theirs.
                if taken >= shared.capacity || !state.line.is_empty() {
                    let number = state.next_ticket;
                    state.next_ticket += 1;
                    state.line.push_back(Ticket { number, waker: context.waker().clone() });
                    self.ticket = Some(number);
                    return Poll::Pending;
                }
            }
            Some(number) => {
                if let Ok(at) = state.line.binary_search_by_key(&number, |ticket| ticket.number) {
                    state.line[at].waker.clone_from(context.waker());
                    return Poll::Pending;
                }
                state.promised -= 1;
                self.ticket = None;
            }
        }
        state.items.push_back(self.item.take().expect("it is not polled after its end"));
        let sleeps = std::mem::take(&mut state.consumer_sleeps);
        drop(state);
        if sleeps {
            shared.stirred.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for Push<'_, T> {
    fn drop(&mut self) {
        let Some(number) = self.ticket else { return };
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        let called = match state.line.binary_search_by_key(&number, |ticket| ticket.number) {
            Ok(at) => {
                state.line.remove(at);
                Vec::new()
            }
            Err(_) if self.shared.twins.on(Twin::PlaceNotGivenBack) => Vec::new(),
            Err(_) => {
                state.promised -= 1;
                self.shared.call(&mut state)
            }
        };
        drop(state);
        called.into_iter().for_each(Waker::wake);
    }
}

impl<T> Consumer<T> {
    /// The oldest item; sleeps while there is none. None when nobody can push any more, or it was
    /// closed, and nothing is left.
    pub(crate) fn recv(&mut self) -> Option<T> {
        if let Some(item) = self.try_recv() {
            return Some(item);
        }
        let mut state = self.shared.lock();
        if self.shared.twins.on(Twin::SleepsWithoutLooking) {
            state.consumer_sleeps = true;
            state = self.shared.stirred.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        while state.items.is_empty() {
            // Who was promised a place when it was closed is refused: nothing is on its way.
            if state.producers_gone || state.closed {
                return None;
            }
            state.consumer_sleeps = true;
            state = self.shared.stirred.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.consumer_sleeps = false;
        drop(state);
        self.try_recv()
    }

    /// The oldest item, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        if self.taken.is_empty() {
            self.take_all();
        }
        self.taken.pop_front()
    }

    /// Puts an item back to the front.
    pub(crate) fn give_back(&mut self, item: T) {
        self.taken.push_front(item);
    }

    /// Takes nothing more: whoever waits for a place, or comes later, is refused. What is in the queue
    /// can still be received.
    pub(crate) fn close(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.promised = 0;
        let line = std::mem::take(&mut state.line);
        drop(state);
        line.into_iter().for_each(|ticket| ticket.waker.wake());
    }

    fn take_all(&mut self) {
        let mut state = self.shared.lock();
        std::mem::swap(&mut state.items, &mut self.taken);
        let called = if state.line.is_empty() { Vec::new() } else { self.shared.call(&mut state) };
        drop(state);
        called.into_iter().for_each(Waker::wake);
    }
}

impl<T> Drop for Consumer<T> {
    /// What nobody will receive is let go: who waits for its answer learns that there is none.
    fn drop(&mut self) {
        self.close();
        self.take_all();
        self.taken.clear();
    }
}
