//! What can be bound to a statement.

use holdfast_domain::{Money, Timestamp};
use serde::Serialize;

/// A value on its way into a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Bool(bool),
    Text(String),
    Time(Timestamp),
    Json(String),
}

impl Value {
    /// Anything that is written by its `Display`.
    pub(crate) fn show(value: impl std::fmt::Display) -> Self {
        Self::Text(value.to_string())
    }

    /// The same, where nothing may stand.
    pub(crate) fn show_or_null(value: Option<impl std::fmt::Display>) -> Self {
        value.map_or(Self::Null, Self::show)
    }

    /// A value of one of our enums, by the word that stands for it in JSON.
    pub(crate) fn word(value: &impl Serialize) -> Self {
        Self::Text(word(value))
    }

    /// Anything, as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::Json(serde_json::to_string(value).expect("rows are plain data"))
    }

    /// An amount, in minor units; its currency has a column of its own.
    pub(crate) fn minor(money: Money) -> Self {
        Self::Int(money.amount_minor)
    }
}

/// The word that stands for a value of one of our enums in JSON.
pub(crate) fn word(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("enums are plain data");
    json.trim_matches('"').to_owned()
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Int(number.into())
    }
}
impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(number.into())
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}
/// Positions and versions: a log of 2⁶³ events does not exist.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}
impl From<Timestamp> for Value {
    fn from(moment: Timestamp) -> Self {
        Self::Time(moment)
    }
}
impl From<holdfast_store::Position> for Value {
    fn from(position: holdfast_store::Position) -> Self {
        position.0.into()
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
