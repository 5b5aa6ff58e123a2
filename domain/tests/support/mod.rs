//! What the exhaustive searches of this crate have in common.
#![allow(dead_code, reason = "each test binary uses its part of it")]
#![allow(clippy::disallowed_types, reason = "tables of a search, whose order nobody sees")]

pub(crate) mod interned;
pub(crate) mod search;
