//! How states are written down in a snapshot, beside what serde derives.
//!
//! A snapshot's encoding is compact and tells nothing of itself: a field that is left out when it is
//! empty, as fields of stored events are, cannot be read back from it. So what a state keeps of an
//! event is written as the event has it, as JSON ([`as_stored`]), and the rest field by field. A
//! snapshot is read by the very code that wrote it (the engine compares hashes of the code), so that
//! nothing here has to last.

/// What a state keeps of a stored event: its JSON, within whatever encoding.
pub mod as_stored {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes its JSON.
    pub fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        let json = serde_json::to_string(value).map_err(S::Error::custom)?;
        to.serialize_str(&json)
    }

    /// Reads its JSON.
    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: DeserializeOwned,
        D: Deserializer<'de>,
    {
        let json = String::deserialize(from)?;
        serde_json::from_str(&json).map_err(D::Error::custom)
    }
}

/// A map as a list of its entries, in order: read back, it is built in one go instead of entry by
/// entry, which for a hundred thousand claims is several times as fast.
pub(crate) mod entries {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<K, V, S>(map: &BTreeMap<K, V>, to: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize,
        V: Serialize,
        S: Serializer,
    {
        to.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
