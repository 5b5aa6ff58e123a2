//! From the assignment of a vehicle to its return. DOMAIN.md C.8, rows of `rental`.

use super::{Ask, Command, Fact, Refusal, Settings};

/// What follows from a fact.
pub fn react(_: &Fact<'_>, _: &Settings) -> Vec<Ask> {
    vec![]
}

/// What follows when a command that it asked for is refused.
pub fn refused(_: &Command, _: &Refusal) -> Vec<Ask> {
    vec![]
}
