//! Tables that give every different value a small number, so that a searched world copies and
//! compares numbers where it would copy aggregates.

use std::fmt::{Debug, Write};
use std::hash::{BuildHasherDefault, Hasher};

/// A table whose order is never looked at.
#[expect(
    clippy::disallowed_types,
    reason = "searches look up millions of times, and never iterate"
)]
pub(crate) type Table<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Quick>>;

/// A hasher for small keys that nobody chooses to annoy us.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }
    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

/// The number of a value in its table.
pub(crate) type Number = u32;

/// Values and their numbers. Two values are the same when their `Debug` texts are: aggregates need
/// no `Hash` for it.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    values: Vec<T>,
    numbers: Table<String, Number>,
    text: String,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: Table::default(), text: String::new() }
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
