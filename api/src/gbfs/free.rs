//! Which vehicles are free to rent, and when.
//!
//! A vehicle is shown that is available, online and has fuel (V6). Bookings ahead of time claim a class and
//! not a vehicle, so the k-th vehicle of its class, fullest first, is free whenever at least k of the class
//! are: as many are shown as could be rented, and never one more.
//!
//! ```text
//!   left of the class   2 │▔▔▔▔▔▔▔▔▏   ▕▔▔▔▔
//!                       1 │         ▔▔▔          vehicle 1: always
//!                       0 └────────┬───┬────►    vehicle 2: until a, and from b on
//!                        now       a   b
//! ```

use std::collections::BTreeMap;

use holdfast_domain::{Sku, Timestamp};
use holdfast_projections::{FreeSpan, QueryError, ReadModels, VehicleRow};

/// The most vehicles that one document tells of: some megabytes.
const MOST_VEHICLES: usize = 20_000;
/// The most windows of one vehicle: nobody plans beyond the next hundred bookings.
const MOST_WINDOWS: usize = 100;

/// A time during which a vehicle can be rented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    /// The first moment after it; none when nothing that is known of ends it.
    pub(super) until: Option<Timestamp>,
}

/// A vehicle that is, or will be, free to rent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Free {
    pub(super) vehicle: VehicleRow,
    /// At least one, in order, never touching.
    pub(super) windows: Vec<Window>,
}

impl Free {
    /// Until when it can be rented from `now` on, if it can.
    pub(super) fn now(&self, now: Timestamp) -> Option<&Window> {
        self.windows.first().filter(|window| window.from <= now)
    }
}

/// All vehicles that are or will be free, by class.
pub(super) async fn free(
    reads: &ReadModels,
    least_fuel: Option<u8>,
    now: Timestamp,
) -> Result<Vec<Free>, QueryError> {
    let rows = reads.vehicles_to_rent(least_fuel, MOST_VEHICLES).await?;
    if rows.len() == MOST_VEHICLES {
        tracing::warn!(shown = MOST_VEHICLES, "the GBFS feed does not show all vehicles");
    }
    let mut classes: BTreeMap<Sku, Vec<VehicleRow>> = BTreeMap::new();
    for row in rows {
        classes.entry(row.sku.clone()).or_default().push(row);
    }
    let mut all = Vec::new();
    for (sku, vehicles) in classes {
        let spans = reads.free_spans(&sku, now).await?.unwrap_or_default();
        for (number, vehicle) in (1..).zip(vehicles) {
            let windows = windows(&spans, number);
            if !windows.is_empty() {
                all.push(Free { vehicle, windows });
            }
        }
    }
    Ok(all)
}

/// When at least `number` are left.
fn windows(spans: &[FreeSpan], number: u32) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for span in spans.iter().filter(|span| span.available >= number) {
        let full = windows.len() == MOST_WINDOWS;
        match windows.last_mut() {
            Some(last) if last.until == Some(span.from) => last.until = span.until,
            Some(_) if full => break,
            Some(_) | None => windows.push(Window { from: span.from, until: span.until }),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_vehicles_are_free_at_a_moment_as_the_class_has_left() {
        let at = Timestamp::from_secs;
        let span = |from, until: Option<i64>, available| FreeSpan {
            from: at(from),
            until: until.map(at),
            available,
        };
        let spans =
            [span(0, Some(5), 3), span(5, Some(9), 1), span(9, Some(10), 0), span(10, None, 2)];
        let window = |from, until: Option<i64>| Window { from: at(from), until: until.map(at) };
        assert_eq!(windows(&spans, 1), [window(0, Some(9)), window(10, None)]);
        assert_eq!(windows(&spans, 2), [window(0, Some(5)), window(10, None)]);
        assert_eq!(windows(&spans, 3), [window(0, Some(5))]);
        assert_eq!(windows(&spans, 4), []);
        assert_eq!(windows(&[], 1), []);
    }
}
