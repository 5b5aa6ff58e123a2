//! To be written next.
use super::{Ask, Command, Fact, Refusal};

/// What follows from a fact.
pub fn react(_fact: &Fact<'_>) -> Vec<Ask> {
    Vec::new()
}

/// What follows when a command that it asked for is refused.
pub fn refused(_command: &Command, _refusal: &Refusal) -> Vec<Ask> {
    Vec::new()
}
