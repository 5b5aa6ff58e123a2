//! Tables that give every different value a small number, so that a searched world copies and
//! compares numbers where it would copy aggregates.

use std::collections::HashMap;
use std::fmt::{Debug, Write};

/// The number of a value in its table.
pub(crate) type Number = u32;

/// Values and their numbers. Two values are the same when their `Debug` texts are: aggregates need
/// no `Hash` for it.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    values: Vec<T>,
    numbers: HashMap<String, Number>,
    text: String,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new(), text: String::new() }
    }
}

impl<T: Debug> Interned<T> {
    /// The number of a value; the same value has the same number.
    pub(crate) fn number(&mut self, value: T) -> Number {
        self.text.clear();
        write!(self.text, "{value:?}").expect("writing into a String cannot fail");
        if let Some(number) = self.numbers.get(&self.text) {
            return *number;
        }
        let number = Number::try_from(self.values.len()).expect("few different values");
        self.values.push(value);
        self.numbers.insert(self.text.clone(), number);
        number
    }

    /// The value of a number that this table gave.
    pub(crate) fn get(&self, number: Number) -> &T {
        &self.values[number as usize]
    }

    /// How many different values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
