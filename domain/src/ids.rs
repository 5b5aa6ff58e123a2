//! Names that machines give: UUIDs that cannot be mixed up with each other.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The root under which Holdfast derives names (UUIDv5); fixed for ever.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d3b_6e0a_41f2_5c77_9a1e_686f_6c64_6661);

/// The name that follows from `parts`: the same parts always give the same name. Parts are separated
/// by a byte that none of them contains, so that ("ab", "c") and ("a", "bc") differ.
pub fn derive(parts: &[&str]) -> Uuid {
    let mut name = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts {
        name.extend_from_slice(part.as_bytes());
        name.push(0x1f);
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// One reservation; derived from the caller and its idempotency key, so that a retry finds it.
    ReservationId
);
id!(
    /// One charge: a reservation's, a damage's or an extra's.
    PaymentId
);
id!(
    /// One ticket: derived from its reservation and its seat or unit.
    TicketId
);
id!(
    /// One bare seat lock.
    LockId
);
id!(
    /// One notice to one person over one channel.
    NotificationId
);
id!(
    /// One refund, so that asking twice pays back once.
    RefundId
);
id!(
    /// One condition report of a vehicle after a rental.
    InspectionId
);
id!(
    /// One attempt at taking a reservation's claims; a retry beside a paused attempt has its own.
    AttemptId
);

impl ReservationId {
    /// The reservation's own charge: there is one, with numbered attempts.
    pub fn payment_id(&self) -> PaymentId {
        PaymentId(derive(&["payment", &self.to_string()]))
    }

    /// The charge for the damage that one inspection tells of: one for each, however often it is told.
    pub fn damage_payment_id(&self, inspection: &InspectionId) -> PaymentId {
        PaymentId(derive(&["payment", &self.to_string(), "damage", &inspection.to_string()]))
    }

    /// The charge for one extra: `fuel`.
    pub fn extra_payment_id(&self, what: &str) -> PaymentId {
        PaymentId(derive(&["payment", &self.to_string(), "extra", what]))
    }

    /// The ticket of one seat or unit (`unit` is the seat's id, or `{sku}#{number from 1}`).
    pub fn ticket_id(&self, unit: &str) -> TicketId {
        TicketId(derive(&["ticket", &self.to_string(), unit]))
    }
}

impl InspectionId {
    /// Its damage claim: there is one (D36).
    pub fn claim_id(&self) -> Uuid {
        derive(&["claim", &self.to_string()])
    }
}
