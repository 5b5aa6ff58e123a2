//! The contract's scalars.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use holdfast_domain::Timestamp;

/// UTC instant, RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DateTime(pub(crate) Timestamp);

#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        text.parse().map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Position in the log, opaque to clients, ordered as decimal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) holdfast_store::Position);

#[Scalar]
impl ScalarType for Position {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::String(text) => position(text),
            Value::Number(number) => number.as_u64().map(holdfast_store::Position),
            Value::Null
            | Value::Boolean(_)
            | Value::Binary(_)
            | Value::Enum(_)
            | Value::List(_)
            | Value::Object(_) => return Err(InputValueError::expected_type(value)),
        };
        number.map(Self).ok_or_else(|| InputValueError::custom("a position is a decimal number"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A position as customers write it: decimal digits, nothing else.
pub(crate) fn position(text: &str) -> Option<holdfast_store::Position> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok().map(holdfast_store::Position) } else { None }
}

impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl From<holdfast_store::Position> for Position {
    fn from(position: holdfast_store::Position) -> Self {
        Self(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_digits_only() {
        assert_eq!(position("12"), Some(holdfast_store::Position(12)));
        for text in ["", "-1", "+1", "1.0", "1e3", " 1", "99999999999999999999"] {
            assert_eq!(position(text), None, "{text}");
        }
    }
}
