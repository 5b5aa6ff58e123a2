//! A handful of numbers in place: a world is copied for each of its successors, millions of times.

use crate::support::interned::Number;

/// How many may wait in one place; more would be a flaw of the model.
const MOST: usize = 10;

/// Up to ten numbers. What is unused is zero, so that equal handfuls are equal bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Few {
    len: u8,
    numbers: [u16; MOST],
}

impl Few {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Number> + use<> {
        self.numbers.into_iter().take(usize::from(self.len)).map(Number::from)
    }

    pub(crate) fn insert(&mut self, place: usize, number: Number) {
        let len = usize::from(self.len);
        assert!(len < MOST, "more waits in one place than a model of this size expects");
        self.numbers.copy_within(place..len, place + 1);
        self.numbers[place] = u16::try_from(number).expect("few different asks");
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, place: usize) -> Number {
        let len = usize::from(self.len);
        let number = self.numbers[place];
        self.numbers.copy_within(place + 1..len, place);
        self.numbers[len - 1] = 0;
        self.len -= 1;
        Number::from(number)
    }

    /// Behind all others.
    pub(crate) fn push(&mut self, number: Number) {
        self.insert(usize::from(self.len), number);
    }

    /// In order of the numbers, each once.
    pub(crate) fn add(&mut self, number: Number) {
        let place = self.iter().take_while(|other| *other < number).count();
        if self.iter().nth(place) != Some(number) {
            self.insert(place, number);
        }
    }
}
