//! The attempts that asked for one claim: nearly always one, which takes no memory of its own. A pool
//! of a hundred thousand claims is copied, written down and read back with each of its snapshots.

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::AttemptId;

/// Names of attempts, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempts(Names);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Names {
    One(AttemptId),
    /// None, or at least two: one is always told as one.
    Others(Vec<AttemptId>),
}

impl Attempts {
    /// The names, sorted.
    pub fn as_slice(&self) -> &[AttemptId] {
        match &self.0 {
            Names::One(attempt) => std::slice::from_ref(attempt),
            Names::Others(attempts) => attempts,
        }
    }

    /// Whether that attempt is among them.
    pub fn contains(&self, attempt: &AttemptId) -> bool {
        self.as_slice().binary_search(attempt).is_ok()
    }

    /// That attempt too.
    pub fn insert(&mut self, attempt: AttemptId) {
        let Err(place) = self.as_slice().binary_search(&attempt) else { return };
        let mut attempts = self.as_slice().to_vec();
        attempts.insert(place, attempt);
        *self = attempts.into_iter().collect();
    }

    /// That one no longer.
    pub fn remove(&mut self, attempt: &AttemptId) {
        *self = self.as_slice().iter().filter(|name| *name != attempt).copied().collect();
    }
}

/// Of names that are sorted.
impl FromIterator<AttemptId> for Attempts {
    fn from_iter<I: IntoIterator<Item = AttemptId>>(attempts: I) -> Self {
        let mut attempts = attempts.into_iter();
        let (first, second) = (attempts.next(), attempts.next());
        Self(match (first, second) {
            (Some(only), None) => Names::One(only),
            (first, second) => {
                Names::Others(first.into_iter().chain(second).chain(attempts).collect())
            }
        })
    }
}

impl Serialize for Attempts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Attempts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Kept)
    }
}

/// Reads them where they stand.
struct Kept;

impl<'de> Visitor<'de> for Kept {
    type Value = Attempts;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("names of attempts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Attempts, A::Error> {
        let Some(first) = from.next_element()? else {
            return Ok(Attempts(Names::Others(Vec::new())));
        };
        let Some(second) = from.next_element()? else { return Ok(Attempts(Names::One(first))) };
        let mut attempts = vec![first, second];
        while let Some(attempt) = from.next_element()? {
            attempts.push(attempt);
        }
        Ok(Attempts(Names::Others(attempts)))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn named(names: &[u128]) -> Vec<AttemptId> {
        names.iter().map(|name| AttemptId(Uuid::from_u128(*name))).collect()
    }

    #[test]
    fn they_are_a_sorted_list_however_many_they_are() {
        let mut attempts: Attempts = named(&[5]).into_iter().collect();
        let mut seen = vec![attempts.clone()];
        for (name, sorted) in [(9, &[5, 9][..]), (2, &[2, 5, 9]), (5, &[2, 5, 9])] {
            attempts.insert(named(&[name])[0]);
            assert_eq!(attempts.as_slice(), named(sorted));
            seen.push(attempts.clone());
        }
        for (name, left) in [(5, &[2, 9][..]), (7, &[2, 9]), (2, &[9]), (9, &[])] {
            attempts.remove(&named(&[name])[0]);
            assert_eq!(attempts.as_slice(), named(left));
            assert!(!attempts.contains(&named(&[name])[0]));
            seen.push(attempts.clone());
        }
        for attempts in seen {
            let again: Attempts = attempts.as_slice().iter().copied().collect();
            assert_eq!(again, attempts, "the same names are told in one way");
            let bytes = postcard::to_stdvec(&attempts).expect("a list");
            assert_eq!(bytes, postcard::to_stdvec(attempts.as_slice()).expect("a list"));
            assert_eq!(postcard::from_bytes::<Attempts>(&bytes), Ok(attempts.clone()));
            let json = serde_json::to_string(&attempts).expect("a list");
            assert_eq!(serde_json::from_str::<Attempts>(&json).ok(), Some(attempts));
        }
    }
}
