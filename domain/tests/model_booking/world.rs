//! One state of the searched world: numbers only, so that it copies and hashes fast. What the numbers
//! stand for is in [`super::rules::Rules`].

/// The number of an interned value.
pub(crate) type N = u16;

/// Nothing: the empty list of asks.
pub(crate) const NONE: N = 0;

/// A short list of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct List {
    len: u8,
    items: [N; 10],
}

impl List {
    pub(crate) fn iter(&self) -> impl Iterator<Item = N> + '_ {
        self.items[..usize::from(self.len)].iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, item: N) {
        self.items[usize::from(self.len)] = item;
        self.len += 1;
    }

    pub(crate) fn pop_front(&mut self) -> Option<N> {
        let first = *self.items[..usize::from(self.len)].first()?;
        self.items.copy_within(1.., 0);
        self.len -= 1;
        self.items[usize::from(self.len)] = NONE;
        Some(first)
    }

    /// Adds it to a set that is kept sorted.
    pub(crate) fn insert(&mut self, item: N) {
        if self.iter().all(|known| known != item) {
            self.push(item);
            self.items[..usize::from(self.len)].sort_unstable();
        }
    }
}

/// An attempt at acquiring. One that goes no further has crashed, or is paused for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Acquire {
    /// Not begun.
    #[default]
    Idle,
    /// The next pool to hold; all of them: place the hold.
    Holding { pool: u8, deadline: u8 },
    /// Refused: the pools below this one still know its name.
    Withdrawing { pool: u8 },
    /// Answered.
    Done,
}

/// A customer who begins to pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Pay {
    /// Not now.
    #[default]
    Idle,
    /// The next pool whose claim is extended; all of them: request the payment.
    Extending { pool: u8, until: u8 },
    /// A claim could not be extended: request the payment without an extension.
    Plainly,
    /// Only without [`super::scenario::Rule::ExtendClaimsFirst`]: requested, claims not yet extended.
    Afterwards { pool: u8, until: u8 },
}

/// One reservation with all that happens around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Booking {
    pub(crate) reservation: N,
    pub(crate) payment: N,
    pub(crate) attempts: [Acquire; 2],
    pub(crate) pay: Pay,
    pub(crate) payments: u8,
    pub(crate) may_cancel: bool,
    /// Wakes at that tick and asks that.
    pub(crate) timer: Option<(u8, N)>,
    /// Facts that are not answered yet: each by the asks that it leads to.
    pub(crate) facts: List,
    /// The asks of the fact that is being answered, from the first on.
    pub(crate) answering: N,
    /// Those of them that are left.
    pub(crate) left: N,
    /// The asks of every fact that was ever answered, for an owner who wakes up late.
    pub(crate) old: List,
    /// What such an owner still wants to ask.
    pub(crate) stale: N,
    pub(crate) stale_starts: u8,
    /// A dead letter that waits to be redriven, or what is left of it.
    pub(crate) parked: N,
    pub(crate) dead_letters: u8,
    /// When it was confirmed, while its claims are not committed yet; kept only for prompt commits.
    pub(crate) confirmed_at: Option<u8>,
}

/// Everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) now: u8,
    pub(crate) pools: [N; 2],
    pub(crate) bookings: [Booking; 2],
    /// Somebody's confirmation was cancelled, since a unit was gone.
    pub(crate) oversold: bool,
}
