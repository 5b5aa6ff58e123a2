//! From a caller, an operation, a key and an input to the request that the engine knows again.
//!
//! The command id follows from caller, operation and key (the engine derives it); the fingerprint from
//! operation and input. REST and GraphQL describe the same input by the same canonical JSON, so a
//! repeat through the other door is a repeat.

use data_encoding::HEXLOWER;
use holdfast_engine::Request;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::no::{Code, No};
use crate::who::Who;

/// The longest idempotency key.
const LONGEST_KEY: usize = 255;

/// Whether a text can be an idempotency key.
pub(crate) fn checked_key(key: &str) -> Result<(), No> {
    let fits =
        (1..=LONGEST_KEY).contains(&key.chars().count()) && !key.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(No::invalid(
            "an idempotency key has 1 to 255 characters, none of them a control character",
        ))
    }
}

/// The request that stands for this input.
pub(crate) fn request(
    who: &Who,
    operation: &'static str,
    key: &str,
    input: &Value,
    if_version: Option<u32>,
    traceparent: Option<String>,
) -> Result<Request, No> {
    checked_key(key)?;
    Ok(Request {
        caller: who.caller()?,
        operation,
        key: key.to_owned(),
        fingerprint: fingerprint(operation, input),
        if_version,
        traceparent,
    })
}

/// Names what is asked for; the same for the same input however its fields were ordered.
pub(crate) fn fingerprint(operation: &str, input: &Value) -> String {
    let mut text = String::with_capacity(256);
    text.push_str(operation);
    text.push('\n');
    canonical(input, &mut text);
    HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..16])
}

/// JSON with sorted names and without what is null: absent and null are one.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().filter(|(_, v)| !v.is_null()).collect();
            fields.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (name, value) in fields {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for value in values {
                canonical(value, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

/// A free text that goes into an event: bounded, and without control characters.
pub(crate) fn checked_text(what: &str, text: &str, longest: usize) -> Result<(), No> {
    if text.chars().count() > longest || text.chars().any(|c| c.is_control()) {
        let message =
            format!("{what} has at most {longest} characters, none of them a control character");
        Err(No::invalid(message))
    } else {
        Ok(())
    }
}

/// The version in an `If-Match`: `"2"`, or what we gave as an `ETag`, such as `"2-1f3a9c"`.
pub(crate) fn if_match(header: &str) -> Result<u32, No> {
    let tag = header.trim().trim_start_matches("W/").trim_matches('"');
    tag.split_once('-')
        .map_or(tag, |(version, _)| version)
        .parse()
        .map_err(|_| No::new(Code::Malformed, "If-Match is a version in quotes, such as \"2\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_fields_and_nulls_make_no_difference() {
        let one = fingerprint("lockSeats", &json!({"a": 1, "b": [1, 2], "c": null}));
        let two = fingerprint("lockSeats", &json!({"b": [1, 2], "a": 1}));
        assert_eq!(one, two);
    }

    #[test]
    fn operation_values_and_the_order_of_lists_do() {
        let base = json!({"a": [1, 2]});
        let one = fingerprint("lockSeats", &base);
        assert_ne!(one, fingerprint("releaseSeatLock", &base));
        assert_ne!(one, fingerprint("lockSeats", &json!({"a": [2, 1]})));
        assert_ne!(one, fingerprint("lockSeats", &json!({"a": ["1", "2"]})));
        assert_ne!(
            fingerprint("x", &json!({"a": "b\",\"c\":\"d"})),
            fingerprint("x", &json!({"a": "b", "c": "d"}))
        );
    }

    #[test]
    fn a_key_is_one_to_255_visible_characters() {
        assert!(checked_key("k").is_ok());
        assert!(checked_key(&"ü".repeat(255)).is_ok());
        assert!(checked_key("").is_err());
        assert!(checked_key(&"k".repeat(256)).is_err());
        assert!(checked_key("a\0b").is_err());
    }

    #[test]
    fn if_match_is_a_quoted_version() {
        assert_eq!(if_match("\"2\""), Ok(2));
        assert_eq!(if_match("W/\"3\""), Ok(3));
        assert_eq!(if_match("\"2-1f3a9c\""), Ok(2), "as a read gave it");
        assert!(if_match("\"two\"").is_err());
    }
}
