//! Charges for damages. DOMAIN.md C.8, row of `damage`.

use super::{Ask, Command, Fact, Refusal, Settings};

/// What follows from a fact.
pub fn react(_: &Fact<'_>, _: &Settings) -> Vec<Ask> {
    vec![]
}

/// What follows when a command that it asked for is refused.
pub fn refused(_: &Command, _: &Refusal) -> Vec<Ask> {
    vec![]
}
