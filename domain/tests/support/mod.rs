//! What the exhaustive searches of this crate have in common.
#![allow(dead_code, reason = "each test binary uses its part of it")]

pub(crate) mod interned;
pub(crate) mod search;
