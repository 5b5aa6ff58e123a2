//! Who says it: HMAC-SHA256 under the vehicle's own key, in lower-case hex.
//!
//! ```text
//!   a command  mac = hex(HMAC(key, "UNLOCK\n018f…\n1795264846"))        cmd, command_id, exp
//!   an answer  mac = hex(HMAC(key, "UNLOCKED\n018f…\n42"))              status, command_id, seq
//! ```
//!
//! Numbers stand as they do in the JSON; they are whole, so there is one way to write them. A broker that
//! has been taken over, or another vehicle, can neither unlock nor claim to have unlocked.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Answer, Command, CommandRef, Status, Word};

/// A vehicle's key: 256 random bits that the vehicle and Holdfast know.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as `holdfast vehicle credentials` prints it; none when that is not 32 bytes in base64.
    pub fn from_base64(text: &str) -> Option<Self> {
        BASE64.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// As `holdfast vehicle credentials` prints it.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// The `mac` of a command.
    pub fn sign_command(&self, cmd: Word, command_id: &CommandRef, exp: i64) -> String {
        HEXLOWER.encode(&self.command(cmd, command_id, exp).finalize().into_bytes())
    }

    /// Whether a command was signed with this key; takes as long whether or not it was.
    pub fn signs_command(&self, command: &Command) -> bool {
        let expected = self.command(command.cmd, &command.command_id, command.exp);
        is(expected, &command.mac)
    }

    /// The `mac` of an answer.
    pub fn sign_answer(&self, status: Status, command_id: &CommandRef, seq: u64) -> String {
        HEXLOWER.encode(&self.answer(status, command_id, seq).finalize().into_bytes())
    }

    /// Whether an answer was signed with this key; takes as long whether or not it was.
    pub fn signs_answer(&self, answer: &Answer) -> bool {
        is(self.answer(answer.status, &answer.command_id, answer.seq), &answer.mac)
    }

    fn command(&self, cmd: Word, command_id: &CommandRef, exp: i64) -> Hmac<Sha256> {
        self.over(&format!("{}\n{}\n{exp}", cmd.as_str(), command_id.as_str()))
    }

    fn answer(&self, status: Status, command_id: &CommandRef, seq: u64) -> Hmac<Sha256> {
        self.over(&format!("{}\n{}\n{seq}", status.as_str(), command_id.as_str()))
    }

    fn over(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        mac.update(text.as_bytes());
        mac
    }
}

/// Compared in constant time.
fn is(expected: Hmac<Sha256>, told: &str) -> bool {
    HEXLOWER.decode(told.as_bytes()).is_ok_and(|told| expected.verify_slice(&told).is_ok())
}

/// A key is never written into a log.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id() -> CommandRef {
        CommandRef::from(Uuid::from_u128(0x018f_6c1a_0000_7000_8000_0000_0000_0001))
    }

    /// Made with another program: `printf 'UNLOCK\n018f6c1a-0000-7000-8000-000000000001\n1795264846' |
    /// openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07`.
    #[test]
    fn macs_are_those_that_anyone_else_computes() {
        let key = Key::new([7; 32]);
        assert_eq!(key.sign_command(Word::Unlock, &id(), 1_795_264_846), COMMAND);
        assert_eq!(key.sign_answer(Status::Unlocked, &id(), 42), ANSWER);
    }
    const COMMAND: &str = "5062b447d7ae11aad683faac9a714b0098ca4b9718ce3a43e1c34806d8d25985";
    const ANSWER: &str = "d720344981712f9f56ab3cb85aa3e2f73713284ee4a6d4385aed7d1c0b63ce67";

    #[test]
    fn an_answer_counts_only_as_it_was_signed() {
        let (key, other) = (Key::new([7; 32]), Key::new([8; 32]));
        let answer = Answer::signed(Status::Unlocked, id(), None, 42, &key);
        assert!(key.signs_answer(&answer));
        assert!(!other.signs_answer(&answer));
        assert!(!key.signs_answer(&Answer { status: Status::Locked, ..answer.clone() }));
        assert!(!key.signs_answer(&Answer { seq: 43, ..answer.clone() }));
        assert!(!key.signs_answer(&Answer { command_id: Uuid::nil().into(), ..answer.clone() }));
        assert!(!key.signs_answer(&Answer { mac: answer.mac.to_uppercase(), ..answer.clone() }));
        assert!(!key.signs_answer(&Answer { mac: answer.mac[..62].to_owned(), ..answer.clone() }));
        assert!(!key.signs_answer(&Answer { mac: String::new(), ..answer }));
    }

    #[test]
    fn a_key_is_printed_in_base64_and_never_in_a_log() {
        let key = Key::new([7; 32]);
        assert_eq!(Key::from_base64(&key.to_base64()), Some(key.clone()));
        assert_eq!(Key::from_base64("BwcH"), None);
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
