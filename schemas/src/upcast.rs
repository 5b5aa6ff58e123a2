//! Older shapes of events, brought up to date: JSON to JSON, one version at a time.
//!
//! A new version of an event comes with its row here, in the same change, and with a golden sample of
//! its own; the samples of older versions stay and are read through this table for ever.
//!
//! ```text
//!   stored v1 ──up──► v2 ──up──► v3 = what the program's type reads
//! ```

use std::borrow::Cow;

use serde_json::Value;

use crate::DecodeError;

/// How one version of an event becomes the next.
pub(crate) struct Upcaster {
    /// The stored name.
    pub(crate) kind: &'static str,
    /// The version that it takes; it gives the one after.
    pub(crate) from: u16,
    /// The payload in the next version's shape.
    pub(crate) up: fn(Value) -> Value,
}

/// Every step there is. None yet: every event is in its first version.
#[cfg(not(test))]
pub(crate) const TABLE: &[Upcaster] = &[];
#[cfg(test)]
pub(crate) const TABLE: &[Upcaster] = tests::TABLE;

/// A payload of version `from` in the shape of version `to`.
pub(crate) fn up<'d>(
    kind: &str,
    from: u16,
    to: u16,
    data: &'d [u8],
) -> Result<Cow<'d, [u8]>, DecodeError> {
    let unknown = || DecodeError::Unknown { kind: kind.into(), version: from };
    let step = |version| TABLE.iter().find(|step| step.kind == kind && step.from == version);
    if from >= to || !(from..to).all(|version| step(version).is_some()) {
        return Err(unknown());
    }
    let mut value: Value = serde_json::from_slice(data).map_err(|error| DecodeError::Payload {
        kind: kind.into(),
        version: from,
        error: error.to_string(),
    })?;
    for version in from..to {
        value = (step(version).ok_or_else(unknown)?.up)(value);
    }
    Ok(Cow::Owned(serde_json::to_vec(&value).expect("JSON can be written")))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::StoredEvent;
    use crate::codec::stored;

    /// A test's own event, in its third version: first it told seconds, then milliseconds under a
    /// wrong name.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Ice {
        Melted { after_ms: u64 },
    }
    stored!(Ice, "ice", Melted = "melted" 3);

    pub(super) const TABLE: &[Upcaster] = &[
        Upcaster {
            kind: "ice.melted",
            from: 1,
            up: |old| json!({ "after": old["after_s"].as_u64().unwrap_or(0) * 1_000 }),
        },
        Upcaster { kind: "ice.melted", from: 2, up: |old| json!({ "after_ms": old["after"] }) },
    ];

    #[test]
    fn every_older_version_is_read_as_todays() {
        let today = Ice::Melted { after_ms: 7_000 };
        for (version, data) in
            [(1, r#"{"after_s":7}"#), (2, r#"{"after":7000}"#), (3, r#"{"after_ms":7000}"#)]
        {
            let read = Ice::decode("ice.melted", version, data.as_bytes());
            assert_eq!(read.as_ref(), Ok(&today), "version {version}");
        }
    }

    #[test]
    fn a_version_without_a_way_up_or_from_the_future_is_unknown() {
        for version in [0, 4] {
            let read = Ice::decode("ice.melted", version, b"{}");
            assert_eq!(read, Err(DecodeError::Unknown { kind: "ice.melted".into(), version }));
        }
    }
}
