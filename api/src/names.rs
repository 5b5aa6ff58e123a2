//! Ids as customers see them: with a prefix that says what they name, accepted with or without it.
//!
//! ```text
//!   res_018f2c4e-…   pay_…   tkt_…   ins_…   ntf_…   dlq_…   lck_018f2c4e-…-hall   (a lock names its map too)
//! ```

use holdfast_domain::{
    Decider, InspectionId, LockId, NotificationId, PaymentId, ReservationId, SeatMapId, TicketId,
    inspection, payment, reservation, ticket,
};
use uuid::Uuid;

use crate::no::No;

/// A UUID as we write it or without hyphens; braces and URNs are nothing of ours.
fn uuid(text: &str) -> Option<Uuid> {
    if matches!(text.len(), 32 | 36) { Uuid::try_parse(text).ok() } else { None }
}

fn after_prefix<'a>(text: &'a str, prefix: &str) -> &'a str {
    text.strip_prefix(prefix).unwrap_or(text)
}

macro_rules! shown {
    ($show:ident, $read:ident, $id:ident, $prefix:literal, $what:literal) => {
        #[doc = concat!("How ", $what, " is shown.")]
        pub(crate) fn $show(id: &$id) -> String {
            format!(concat!($prefix, "{}"), id)
        }

        #[doc = concat!("Reads what should name ", $what, "; none when it names nothing.")]
        pub(crate) fn $read(text: &str) -> Option<$id> {
            uuid(after_prefix(text, $prefix)).map($id)
        }
    };
}

shown!(reservation, read_reservation, ReservationId, "res_", "a reservation");
shown!(payment, read_payment, PaymentId, "pay_", "a payment");
shown!(ticket, read_ticket, TicketId, "tkt_", "a ticket");
shown!(inspection, read_inspection, InspectionId, "ins_", "an inspection");
shown!(notification, read_notification, NotificationId, "ntf_", "a notice");

/// How a dead letter is shown.
pub(crate) fn dead_letter(id: &Uuid) -> String {
    format!("dlq_{id}")
}

/// Reads what should name a dead letter.
pub(crate) fn read_dead_letter(text: &str) -> Option<Uuid> {
    uuid(after_prefix(text, "dlq_"))
}

/// How a seat lock is shown: its map's id is part of it, so that whoever has a lock can give it back.
pub(crate) fn lock(id: &LockId, map: &SeatMapId) -> String {
    format!("lck_{id}-{map}")
}

/// Reads what should name a seat lock.
pub(crate) fn read_lock(text: &str) -> Option<(LockId, SeatMapId)> {
    let text = after_prefix(text, "lck_");
    [36, 32].into_iter().find_map(|len| {
        let id = uuid(text.get(..len)?)?;
        let map = text.get(len..)?.strip_prefix('-')?;
        Some((LockId(id), SeatMapId::new(map).ok()?))
    })
}

/// The name of a stream as the log has it, from one that may show a prefixed id or leave hyphens out.
///
/// An id with its prefix names its stream by itself; a bare one is a reservation's.
pub(crate) fn read_stream(text: &str) -> Result<String, No> {
    let stream = |category: &str, id: Uuid| Ok(format!("{category}-{id}"));
    let named = || Ok(read_named_stream(text));
    if let Some(id) = uuid(text) {
        return stream(reservation::State::CATEGORY, id);
    }
    match text.split_once('_') {
        Some(("res", id)) => {
            uuid(id).map_or_else(named, |id| stream(reservation::State::CATEGORY, id))
        }
        Some(("pay", id)) => uuid(id).map_or_else(named, |id| stream(payment::State::CATEGORY, id)),
        Some(("tkt", id)) => uuid(id).map_or_else(named, |id| stream(ticket::State::CATEGORY, id)),
        Some(("ins", id)) => {
            uuid(id).map_or_else(named, |id| stream(inspection::State::CATEGORY, id))
        }
        Some(("ntf", id)) => uuid(id).map_or_else(named, |id| stream("notification", id)),
        Some(("lck", _)) => read_lock(text).map_or_else(named, |(_, map)| {
            Err(No::invalid(format!("a seat lock has no stream of its own; ask for seatmap-{map}")))
        }),
        _ => named(),
    }
}

/// The streams that may be meant: a bare id may be a reservation's, a payment's, a ticket's or an
/// inspection's.
pub(crate) fn read_targets(text: &str) -> Result<Vec<String>, No> {
    let categories = [
        reservation::State::CATEGORY,
        payment::State::CATEGORY,
        ticket::State::CATEGORY,
        inspection::State::CATEGORY,
    ];
    match uuid(text) {
        Some(id) => Ok(categories.iter().map(|category| format!("{category}-{id}")).collect()),
        None => Ok(vec![read_stream(text)?]),
    }
}

/// Whether a text is an id without a prefix.
pub(crate) fn is_bare(text: &str) -> bool {
    uuid(text).is_some()
}

fn read_named_stream(text: &str) -> String {
    let Some((category, key)) = text.split_once('-') else { return text.to_owned() };
    let id = match category {
        reservation::State::CATEGORY => read_reservation(key).map(|id| id.to_string()),
        payment::State::CATEGORY => read_payment(key).map(|id| id.to_string()),
        ticket::State::CATEGORY => read_ticket(key).map(|id| id.to_string()),
        inspection::State::CATEGORY => read_inspection(key).map(|id| id.to_string()),
        "notification" => read_notification(key).map(|id| id.to_string()),
        _ => None,
    };
    id.map_or_else(|| text.to_owned(), |id| format!("{category}-{id}"))
}

/// A correlation id as the log has it: that of a reservation, with or without its prefix.
pub(crate) fn read_correlation(text: &str) -> String {
    read_reservation(text).map_or_else(|| text.to_owned(), |id| id.to_string())
}

/// The stream of an aggregate.
pub(crate) fn stream_of<D: Decider>(id: &D::Id) -> String {
    format!("{}-{id}", D::CATEGORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_with_and_without_its_prefix_and_hyphens() {
        let id = ReservationId(Uuid::from_u128(0x018f));
        let shown = reservation(&id);
        assert!(shown.starts_with("res_"));
        for text in [&*shown, &shown[4..], &shown.replace('-', ""), &shown[4..].replace('-', "")] {
            assert_eq!(read_reservation(text), Some(id), "{text}");
        }
        for text in ["", "res_", "pay_018f", "res_018f", "{018f}", "urn:uuid:018f"] {
            assert_eq!(read_reservation(text), None, "{text}");
        }
    }

    #[test]
    fn a_lock_brings_its_map_along_whatever_the_map_is_called() {
        for map in ["hall", "hall-2", "a", "-", "018f2c4e-7a1b-7000-8000-000000000001"] {
            let map = SeatMapId::new(map).expect("a name");
            let id = LockId(Uuid::from_u128(0x018f_2c4e));
            let shown = lock(&id, &map);
            assert_eq!(read_lock(&shown), Some((id, map.clone())));
            let short = format!("{}-{map}", id.0.simple());
            assert_eq!(read_lock(&short), Some((id, map)));
        }
        for text in ["", "lck_", "lck_00000000000000000000000000000001", "lck_x-hall"] {
            assert_eq!(read_lock(text), None, "{text}");
        }
    }

    #[test]
    fn a_stream_may_be_named_by_the_id_that_customers_see() {
        let id = ReservationId(Uuid::from_u128(5));
        let stored = format!("reservation-{id}");
        for text in [
            stored.clone(),
            format!("reservation-{}", reservation(&id)),
            format!("reservation-{}", id.0.simple()),
        ] {
            assert_eq!(read_stream(&text), Ok(stored.clone()));
        }
        for text in [reservation(&id), id.to_string(), id.0.simple().to_string()] {
            assert_eq!(read_stream(&text), Ok(stored.clone()), "{text}");
        }
        assert_eq!(read_stream(&format!("pay_{id}")), Ok(format!("payment-{id}")));
        assert_eq!(read_stream(&format!("tkt_{id}")), Ok(format!("ticket-{id}")));
        assert!(read_stream(&format!("lck_{id}-hall")).is_err());
        assert_eq!(read_stream("seatmap-hall-2"), Ok("seatmap-hall-2".into()));
        assert_eq!(read_stream("limit-tickets/ada"), Ok("limit-tickets/ada".into()));
        assert_eq!(read_stream(&format!("ins_{id}")), Ok(format!("inspection-{id}")));
        assert_eq!(read_stream("vehicle-car-7"), Ok("vehicle-car-7".into()));
        assert_eq!(read_targets(&id.to_string()).map(|all| all.len()), Ok(4));
    }
}
