//! From Rust values to stored bytes and back.
//!
//! serde writes an event as `{"HoldCreated":{…}}` (or `"Closed"` where there are no fields); what is
//! stored is only the inner object, since the name stands beside it under its stored name. So a
//! variant's Rust name is never on disk, and nothing is parsed twice.

use holdfast_domain::{
    Decider, InspectionId, LimitId, NotificationId, PaymentId, ReservationId, SeatMapId, Sku,
    TicketId, VehicleId, inspection, inventory, item, limit, notification, payment, reservation,
    seatmap, ticket, vehicle,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::DeadLetterEvent;

/// Why stored bytes could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// This program does not know that name or version: it is older than the log.
    #[error(
        "unknown event {kind} version {version}: this log was written by a newer Holdfast; upgrade"
    )]
    Unknown {
        /// The stored name.
        kind: String,
        /// The stored version.
        version: u16,
    },
    /// The payload is not of the shape that its version promises.
    #[error("{kind} version {version} cannot be read: {error}")]
    Payload {
        /// The stored name.
        kind: String,
        /// The stored version.
        version: u16,
        /// What serde says.
        error: String,
    },
    /// The stream's name is not one of ours.
    #[error("stream {0} has no name that Holdfast gives")]
    Stream(String),
}

/// A Rust event that has a stored name.
pub trait StoredEvent: Sized {
    /// Every stored name with its current version.
    const NAMES: &'static [(&'static str, u16)];

    /// The Rust names, in the same order; for schemas only, they are never stored.
    const VARIANTS: &'static [&'static str];

    /// Its stored name, `{aggregate}.{event-in-kebab}`.
    fn kind(&self) -> &'static str;

    /// The version of its shape that is written today.
    fn schema_version(&self) -> u16;

    /// Its payload as JSON.
    fn encode(&self) -> Vec<u8>;

    /// The event that was stored under this name and version; older versions are brought up to date.
    fn decode(kind: &str, version: u16, data: &[u8]) -> Result<Self, DecodeError>;
}

/// One row an event: Rust name = "stored name" current version. The match is exhaustive, so a new
/// event without a row does not compile.
macro_rules! stored {
    ($event:ty, $aggregate:literal, $($variant:ident = $name:literal $version:literal),+ $(,)?) => {
        impl crate::StoredEvent for $event {
            const NAMES: &'static [(&'static str, u16)] =
                &[$((concat!($aggregate, ".", $name), $version)),+];
            const VARIANTS: &'static [&'static str] = &[$(stringify!($variant)),+];

            fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => concat!($aggregate, ".", $name)),+
                }
            }

            fn schema_version(&self) -> u16 {
                match self {
                    $(Self::$variant { .. } => $version),+
                }
            }

            fn encode(&self) -> Vec<u8> {
                match self {
                    $(Self::$variant { .. } => $crate::codec::inner(self, stringify!($variant))),+
                }
            }

            fn decode(kind: &str, version: u16, data: &[u8]) -> Result<Self, crate::DecodeError> {
                match (kind, version) {
                    $((concat!($aggregate, ".", $name), $version) =>
                        $crate::codec::outer(kind, version, stringify!($variant), data),)+
                    $((concat!($aggregate, ".", $name), _) => $crate::codec::outer(
                        kind,
                        $version,
                        stringify!($variant),
                        &$crate::upcast::up(kind, version, $version, data)?,
                    ),)+
                    _ => Err(crate::DecodeError::Unknown { kind: kind.into(), version }),
                }
            }
        }
    };
}
pub(crate) use stored;

/// About as long as most events are; longer ones grow.
const LEN: usize = 384;

/// What stands inside `{"Variant":…}`; `{}` for a variant without fields.
pub(crate) fn inner(event: &impl Serialize, variant: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LEN);
    serde_json::to_writer(&mut bytes, event).expect("events are plain data");
    if bytes.first() == Some(&b'"') {
        return b"{}".to_vec();
    }
    let lead = variant.len() + 4; // {"Variant":
    bytes.pop();
    bytes.drain(..lead);
    bytes
}

/// The event whose inside this is.
pub(crate) fn outer<E: DeserializeOwned>(
    kind: &str,
    version: u16,
    variant: &'static str,
    data: &[u8],
) -> Result<E, DecodeError> {
    crate::variant::read(variant, data).map_err(|error| DecodeError::Payload {
        kind: kind.into(),
        version,
        error: error.to_string(),
    })
}

/// Any event of ours, with the name of its aggregate.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "one variant an aggregate")]
pub enum AnyEvent {
    Reservation(ReservationId, reservation::Event),
    Payment(PaymentId, payment::Event),
    SeatMap(SeatMapId, seatmap::Event),
    Inventory(Sku, inventory::Event),
    Limit(LimitId, limit::Event),
    Item(Sku, item::Event),
    Ticket(TicketId, ticket::Event),
    Notification(NotificationId, notification::Event),
    Vehicle(VehicleId, vehicle::Event),
    Inspection(InspectionId, inspection::Event),
    DeadLetter(String, DeadLetterEvent),
}

/// Decodes an event of whatever aggregate, by its stream's name.
pub fn decode_any(
    stream: &str,
    kind: &str,
    version: u16,
    data: &[u8],
) -> Result<AnyEvent, DecodeError> {
    let wrong = || DecodeError::Stream(stream.into());
    let (category, key) = stream.split_once('-').ok_or_else(wrong)?;

    fn id<T: std::str::FromStr>(key: &str, stream: &str) -> Result<T, DecodeError> {
        key.parse().map_err(|_| DecodeError::Stream(stream.into()))
    }
    fn event<E: StoredEvent>(kind: &str, version: u16, data: &[u8]) -> Result<E, DecodeError> {
        E::decode(kind, version, data)
    }

    Ok(match category {
        reservation::State::CATEGORY => {
            AnyEvent::Reservation(id(key, stream)?, event(kind, version, data)?)
        }
        payment::State::CATEGORY => {
            AnyEvent::Payment(id(key, stream)?, event(kind, version, data)?)
        }
        seatmap::State::CATEGORY => {
            AnyEvent::SeatMap(id(key, stream)?, event(kind, version, data)?)
        }
        inventory::State::CATEGORY => {
            AnyEvent::Inventory(id(key, stream)?, event(kind, version, data)?)
        }
        limit::State::CATEGORY => AnyEvent::Limit(id(key, stream)?, event(kind, version, data)?),
        item::State::CATEGORY => AnyEvent::Item(id(key, stream)?, event(kind, version, data)?),
        ticket::State::CATEGORY => AnyEvent::Ticket(id(key, stream)?, event(kind, version, data)?),
        notification::State::CATEGORY => {
            AnyEvent::Notification(id(key, stream)?, event(kind, version, data)?)
        }
        vehicle::State::CATEGORY => {
            AnyEvent::Vehicle(id(key, stream)?, event(kind, version, data)?)
        }
        inspection::State::CATEGORY => {
            AnyEvent::Inspection(id(key, stream)?, event(kind, version, data)?)
        }
        "deadletter" => AnyEvent::DeadLetter(key.into(), event(kind, version, data)?),
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_fields_is_stored_as_an_empty_object() {
        let closed = inventory::Event::Closed;
        assert_eq!(closed.encode(), b"{}");
        assert_eq!(inventory::Event::decode("inventory.closed", 1, b"{}"), Ok(closed));
    }

    #[test]
    fn only_the_inside_is_stored() {
        let event = inventory::Event::OversubscriptionDetected { by: 3 };
        assert_eq!(event.encode(), br#"{"by":3}"#);
        let back = inventory::Event::decode(event.kind(), 1, &event.encode());
        assert_eq!(back, Ok(event));
    }

    #[test]
    fn an_unknown_name_or_version_is_told_as_a_newer_log() {
        let later = inventory::Event::decode("inventory.closed", 2, b"{}");
        assert!(matches!(later, Err(DecodeError::Unknown { version: 2, .. })));
        let other = decode_any("inventory-x", "inventory.melted", 1, b"{}");
        assert!(matches!(other, Err(DecodeError::Unknown { .. })));
        assert!(matches!(
            decode_any("melon-x", "melon.cut", 1, b"{}"),
            Err(DecodeError::Stream(_))
        ));
    }
}
