//! Names that people choose: skus, seat maps, seats, vehicles, users.

use serde::{Deserialize, Serialize};

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, too long, or with a character that names may not have.
    #[error("{what} must be 1 to 64 characters of A-Z a-z 0-9 . _ @ : -, not {given:?}")]
    Characters {
        /// What kind of name was expected.
        what: &'static str,
        /// The text, shortened.
        given: String,
    },
    /// A seat is named `{section}-{row}-{number}`.
    #[error("a seat is named section-row-number, not {0:?}")]
    Seat(String),
    /// A limit is named `{sku}/{user}`.
    #[error("a limit is named sku/user, not {0:?}")]
    Limit(String),
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn checked(text: &str, longest: usize, what: &'static str) -> Result<(), NameError> {
    let fits = (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@:-".contains(&b));
    if fits { Ok(()) } else { Err(NameError::Characters { what, given: shortened(text) }) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $longest:expr, $what:literal $(, $extra:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(#[schemars(length(min = 1, max = $longest))] String);

        impl $name {
            /// Takes a text that is such a name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                checked(&text, $longest, $what)?;
                $( let check: fn(&str) -> Result<(), NameError> = $extra; check(&text)?; )?
                Ok(Self(text))
            }

            /// The name as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

name!(
    /// What is sold: a product, a ticket quota, a vehicle class.
    Sku, 64, "a sku"
);
name!(
    /// A hall, a stadium: one plan of seats.
    SeatMapId, 64, "a seat map's id"
);
name!(
    /// A person or a program, as its token names it.
    UserId, 64, "a user's id"
);
name!(
    /// One vehicle.
    VehicleId, 64, "a vehicle's id"
);
name!(
    /// One seat of a map: `{section}-{row}-{number}`.
    SeatId, 128, "a seat's id", |text| {
        let mut parts = text.rsplitn(3, '-');
        let number = parts.next().is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let row = parts.next().is_some_and(|r| !r.is_empty());
        let section = parts.next().is_some_and(|s| !s.is_empty());
        if number && row && section { Ok(()) } else { Err(NameError::Seat(shortened(text))) }
    }
);

/// What one user may still take of one item.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct LimitId {
    /// Of what.
    pub sku: Sku,
    /// Whose.
    pub user_id: UserId,
}

impl std::fmt::Display for LimitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.sku, self.user_id)
    }
}

impl TryFrom<String> for LimitId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl std::str::FromStr for LimitId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (sku, user) = text.split_once('/').ok_or_else(|| NameError::Limit(shortened(text)))?;
        Ok(Self { sku: Sku::new(sku)?, user_id: UserId::new(user)? })
    }
}

impl From<LimitId> for String {
    fn from(id: LimitId) -> String {
        id.to_string()
    }
}
