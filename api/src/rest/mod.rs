//! The REST door: the paths that the diagrams draw. Each reads its body, asks the same operation as its
//! mutation, and writes what came of it in the names of its diagram.
//!
//! One table lists every path with its rule and its documentation; the router, the OpenAPI document
//! and the tests of permissions are made from it, so a path cannot be forgotten in one of them.

mod answer;
mod booking;
mod events;
mod fleet;
mod input;
mod orders;
mod read;
mod stock;
mod table;
mod webhook;

use axum::http::HeaderMap;

pub(crate) use table::{Route, guard, router, routes};

/// A W3C trace context that can be one.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let fits = text.len() == 55 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    fits.then(|| text.to_owned())
}
