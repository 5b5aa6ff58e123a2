//! What the side file does not take just now. Nobody waits for it: it is tried again, and told meanwhile
//! by readiness and figures.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::SideError;

/// What could not be written, by whose it is, and why.
#[derive(Default)]
pub(super) struct Troubles(Mutex<BTreeMap<String, String>>);

impl Troubles {
    /// Takes note of how a write of `what` went.
    pub(super) fn note<T>(&self, what: &str, written: &Result<T, SideError>) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Err(error) => {
                metrics::counter!("holdfast_side_failures_total", "what" => what.to_owned())
                    .increment(1);
                troubles.insert(what.to_owned(), error.to_string());
            }
            Ok(_) if troubles.is_empty() => return,
            Ok(_) => drop(troubles.remove(what)),
        }
        metrics::gauge!("holdfast_side_troubles").set(troubles.len() as f64);
    }

    /// One sentence for each.
    pub(super) fn told(&self) -> Vec<String> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = troubles.iter();
        told.map(|(what, why)| format!("{what}: not written down, {why}; trying again")).collect()
    }
}
