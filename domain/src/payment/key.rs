//! The names under which a gateway does each thing once.
//!
//! `hf_` + base32(sha256(tenant ‖ payment ‖ attempt ‖ operation ‖ try)), the parts separated by a byte
//! that none of them contains. Nothing in it comes from a card or a token (a second token for the same
//! attempt must not open a second charge), so that a restarted process names the call as before. The
//! try moves on only after a *recorded* refusal: gateways replay refusals by key, while an unknown
//! outcome under a new key would pay, or pay back, twice.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use crate::{PaymentId, RefundId};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Create an intent that authorizes.
    Auth,
    /// Create a session on the gateway's own page.
    Session,
    /// Take authorized money.
    Capture,
    /// Cancel what is not captured.
    Void,
    /// Give back captured money.
    Refund(RefundId),
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auth => f.write_str("auth"),
            Self::Session => f.write_str("session"),
            Self::Capture => f.write_str("capture"),
            Self::Void => f.write_str("void"),
            Self::Refund(refund_id) => write!(f, "refund:{refund_id}"),
        }
    }
}

/// The gateway's idempotency key of one try of one operation on one attempt.
pub fn key(tenant: &str, id: &PaymentId, attempt: u16, operation: Operation, r#try: u16) -> String {
    let name = format!("{tenant}\u{1f}{id}\u{1f}{attempt}\u{1f}{operation}\u{1f}{try}");
    let mut key = BASE32_NOPAD.encode(&Sha256::digest(name.as_bytes()));
    key.make_ascii_lowercase();
    key.insert_str(0, "hf_");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_for_ever_and_no_two_calls_share_one() {
        let id = PaymentId(uuid::Uuid::from_u128(7));
        let refund = RefundId(uuid::Uuid::from_u128(8));
        let keys = [
            key("hall", &id, 1, Operation::Auth, 1),
            key("hall", &id, 1, Operation::Session, 1),
            key("hall", &id, 1, Operation::Capture, 1),
            key("hall", &id, 1, Operation::Void, 1),
            key("hall", &id, 1, Operation::Void, 2),
            key("hall", &id, 2, Operation::Void, 1),
            key("hall", &id, 1, Operation::Refund(refund), 1),
            key("hall", &id, 1, Operation::Refund(RefundId(id.0)), 1),
            key("other", &id, 1, Operation::Auth, 1),
        ];
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
        // Written down once: a changed derivation would charge customers a second time.
        assert_eq!(keys[0], "hf_6gaaehv27tihiuos5glglndq7z72gg5aiiqs5kxrqwnricikuzvq");
        assert!(keys.iter().all(|key| key.len() == 55));
    }
}
