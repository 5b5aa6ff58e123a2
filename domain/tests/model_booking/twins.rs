//! Twins: without one rule, something breaks.
