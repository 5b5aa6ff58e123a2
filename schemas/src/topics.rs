//! Under which names the five diagrams (S1 to S4) draw an event, and on which topics: CONTRACT.md,
//! *Events on buses*. One table; what is not in it has no name but its own.
//!
//! S2 draws topics with several names on each; S1, S3 and S4 publish under the name itself, so there
//! the topic is the name.

use std::borrow::Cow;

use serde_json::Value;

/// A seed's name of an event, and the topic that it is drawn on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The topic.
    pub topic: Cow<'static, str>,
    /// The name.
    pub name: Cow<'static, str>,
}

/// One row: an event with that stored name, if `when` holds of its payload, is drawn so.
struct Row {
    kind: &'static str,
    when: fn(&Value) -> bool,
    topic: &'static str,
    name: &'static str,
}

const fn row(kind: &'static str, topic: &'static str, name: &'static str) -> Row {
    Row { kind, when: |_| true, topic, name }
}

/// The topic is the name.
const fn plain(kind: &'static str, name: &'static str) -> Row {
    row(kind, name, name)
}

const fn when(when: fn(&Value) -> bool, row: Row) -> Row {
    Row { when, ..row }
}

/// Seats that really changed hands: a release of nothing only raises a fence.
fn any_seats(data: &Value) -> bool {
    data["seat_ids"].as_array().is_some_and(|seats| !seats.is_empty())
}

/// Money that stays: `kept` is false when it is already on its way back.
fn is_kept(data: &Value) -> bool {
    data["kept"].as_bool().unwrap_or(true)
}

/// What was asked for is sold to somebody else.
fn is_gone(data: &Value) -> bool {
    data["reason"] == "GONE"
}

fn is_oversold(data: &Value) -> bool {
    data["reason"] == "OVERSOLD"
}

const TABLE: &[Row] = &[
    // A hold.
    row("reservation.hold-created", "booking-events", "booking.created"),
    plain("reservation.hold-created", "order.created"),
    plain("reservation.hold-created", "orders.order.created"),
    // The customer pays.
    row("reservation.payment-requested", "booking-events", "booking.requested"),
    row("reservation.payment-requested", "payment-commands", "payment.initiate"),
    // Paid, in time or late: no `confirmed` follows a late payment that was accepted.
    row("reservation.confirmed", "booking-events", "booking.confirmed"),
    row("reservation.confirmed", "notification-events", "booking.confirmed"),
    plain("reservation.confirmed", "order.paid"),
    plain("reservation.confirmed", "orders.order.completed"),
    row("reservation.late-payment-accepted", "booking-events", "booking.confirmed"),
    row("reservation.late-payment-accepted", "notification-events", "booking.confirmed"),
    plain("reservation.late-payment-accepted", "order.paid"),
    plain("reservation.late-payment-accepted", "orders.order.completed"),
    // Ended unpaid.
    row("reservation.hold-released", "booking-events", "booking.failed"),
    row("reservation.hold-expired", "booking-events", "booking.failed"),
    row("reservation.hold-expired", "notification-events", "booking.failed"),
    plain("reservation.hold-expired", "orders.order.cancelled"),
    plain("reservation.hold-expired", "expiration.order.expiration_complete"),
    // Cancelled.
    plain("reservation.cancelled", "order.cancelled"),
    plain("reservation.cancelled", "orders.order.cancelled"),
    when(is_oversold, plain("reservation.cancelled", "inventory.reservation.failed")),
    when(is_gone, plain("reservation.late-payment-rejected", "inventory.reservation.failed")),
    // Money.
    row("payment.authorized", "payment-events", "payment.success"),
    when(is_kept, row("payment.succeeded", "payment-events", "payment.success")),
    when(is_kept, plain("payment.succeeded", "payments.payment.succeeded")),
    row("payment.failed", "payment-events", "payment.failed"),
    row("payment.failed", "notification-events", "payment.failed"),
    // Seats.
    when(any_seats, row("seatmap.seats-locked", "seat-events", "SEAT_LOCKED")),
    when(any_seats, row("seatmap.seats-booked", "seat-events", "SEAT_BOOKED")),
    when(any_seats, row("seatmap.seats-booked", "seat-commands", "seats.confirm")),
    when(any_seats, row("seatmap.seats-released", "seat-commands", "seats.release")),
    // Stock.
    plain("inventory.held", "inventory.reserved"),
    plain("inventory.locked", "inventory.confirmed"),
    plain("inventory.reacquired", "inventory.confirmed"),
    plain("inventory.received", "inventory.updated"),
    plain("inventory.adjusted", "inventory.updated"),
    plain("inventory.returned", "inventory.updated"),
    // Vehicles, users, roles.
    plain("vehicle.unlocked", "vehicle.unlocked"),
    plain("user.registered", "user.registered"),
    plain("role.created", "role.created"),
];

/// The topic whose consumers a process manager stands for: where S4 would have put its dead letters.
fn topic_of_consumer(consumer: &str) -> &str {
    match consumer {
        "booking" | "tickets" => "booking-events",
        "payment" => "payment-commands",
        "notices" => "notification-events",
        other => other,
    }
}

/// The seeds' names of an event. `data` is its payload.
pub fn seed_topics(stream: &str, kind: &str, data: &Value) -> Vec<Alias> {
    if kind == "deadletter.parked" {
        let consumer = stream.split_once('-').map_or(stream, |(_, consumer)| consumer);
        let topic = format!("{}.dlq", topic_of_consumer(consumer));
        return vec![Alias { name: topic.clone().into(), topic: topic.into() }];
    }
    let rows = TABLE.iter().filter(|row| row.kind == kind && (row.when)(data));
    rows.map(|row| Alias { topic: row.topic.into(), name: row.name.into() }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn names(kind: &str, data: Value) -> Vec<(String, String)> {
        let aliases = seed_topics("any-stream", kind, &data);
        aliases.into_iter().map(|it| (it.topic.into_owned(), it.name.into_owned())).collect()
    }

    #[test]
    fn every_seed_topic_of_the_contract_has_an_event() {
        let known: BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
        let contract = "booking.created booking.requested booking.confirmed booking.failed \
            payment.initiate payment.success payment.failed seats.confirm seats.release SEAT_LOCKED \
            SEAT_BOOKED vehicle.unlocked user.registered role.created order.created order.paid \
            order.cancelled inventory.reserved inventory.reservation.failed inventory.confirmed \
            inventory.updated orders.order.created orders.order.completed orders.order.cancelled \
            payments.payment.succeeded expiration.order.expiration_complete";
        for name in contract.split_whitespace() {
            assert!(known.contains(name), "{name}");
        }
        let topics: BTreeSet<&str> = TABLE.iter().map(|row| row.topic).collect();
        for topic in "booking-events payment-commands payment-events seat-commands seat-events \
            notification-events"
            .split_whitespace()
        {
            assert!(topics.contains(topic), "{topic}");
        }
    }

    #[test]
    fn every_row_names_an_event_that_is_stored_or_will_be() {
        let later = ["user.registered", "role.created"];
        for row in TABLE {
            let known = crate::all_names().any(|(kind, _)| kind == row.kind);
            assert!(known || later.contains(&row.kind), "{}", row.kind);
        }
    }

    #[test]
    fn money_on_its_way_back_is_no_success_and_a_fence_releases_no_seats() {
        assert_eq!(names("payment.succeeded", json!({ "kept": false })), []);
        assert_eq!(names("payment.succeeded", json!({ "kept": true })).len(), 2);
        assert_eq!(names("seatmap.seats-released", json!({ "seat_ids": [] })), []);
    }

    #[test]
    fn a_dead_letter_goes_where_its_consumer_listens() {
        let aliases = seed_topics("deadletter-notices", "deadletter.parked", &json!({}));
        assert_eq!(aliases[0].topic, "notification-events.dlq");
    }
}
