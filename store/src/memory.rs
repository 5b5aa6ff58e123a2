//! The smallest correct store.
