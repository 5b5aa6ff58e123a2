//! The code on a ticket, which a gate verifies without a network.
//!
//! ```text
//!   HF1. + base64url( ticket id 16 │ event id 16 │ key id 8 │ Ed25519 signature 64 )
//! ```
//!
//! The signature covers `HF1` and the 40 bytes before it. The event id names the show (the seat map, or
//! the item of a ticket without a seat), so a ticket of one night does not open the doors of another.
//! Gates fetch the public key at `/.well-known/holdfast-tickets.json`.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use holdfast_domain::{SeatMapId, Sku, TicketId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const PREFIX: &str = "HF1.";
const KEY_ID: std::ops::Range<usize> = 32..40;
const SIGNED: usize = 40;
const WHOLE: usize = SIGNED + 64;

/// Why a code is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not `HF1.` and 104 bytes of base64url.
    #[error("this is not the code of a ticket")]
    Malformed,
    /// Signed by another house.
    #[error("this ticket was signed with an unknown key")]
    Key,
    /// Changed, or invented.
    #[error("this ticket's signature is wrong")]
    Signature,
}

/// What a good code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Which ticket.
    pub ticket_id: TicketId,
    /// For which show.
    pub event_id: Uuid,
}

/// The key that signs tickets, made from 32 random bytes.
#[derive(Clone)]
pub struct TicketKey {
    signing: SigningKey,
    key_id: [u8; 8],
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TicketKey({})", HEXLOWER.encode(&self.key_id))
    }
}

/// The sixteen bytes that stand for a show, for ever: of its seat map, else of its item.
pub fn event_id(seat_map: Option<&SeatMapId>, sku: Option<&Sku>) -> Uuid {
    match (seat_map, sku) {
        (Some(map), _) => holdfast_domain::derive(&["show", "seatmap", map.as_str()]),
        (None, Some(sku)) => holdfast_domain::derive(&["show", "item", sku.as_str()]),
        (None, None) => Uuid::nil(),
    }
}

impl TicketKey {
    /// The key that follows from a seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let digest = Sha256::digest(signing.verifying_key().to_bytes());
        let mut key_id = [0; 8];
        key_id.copy_from_slice(&digest[..8]);
        Self { signing, key_id }
    }

    fn verifying(&self) -> VerifyingKey {
        self.signing.verifying_key()
    }

    /// The code of a ticket.
    pub fn sign(&self, code: Code) -> String {
        let mut bytes = Vec::with_capacity(WHOLE);
        bytes.extend_from_slice(code.ticket_id.0.as_bytes());
        bytes.extend_from_slice(code.event_id.as_bytes());
        bytes.extend_from_slice(&self.key_id);
        let signature = self.signing.sign(&message(&bytes));
        bytes.extend_from_slice(&signature.to_bytes());
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Which ticket a code stands for, if we signed it.
    pub fn verify(&self, text: &str) -> Result<Code, CodeError> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(CodeError::Malformed)?;
        if text.len() > WHOLE * 2 {
            return Err(CodeError::Malformed);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| CodeError::Malformed)?;
        if bytes.len() != WHOLE {
            return Err(CodeError::Malformed);
        }
        if bytes[KEY_ID] != self.key_id {
            return Err(CodeError::Key);
        }
        let (signed, signature) = bytes.split_at(SIGNED);
        let signature = Signature::from_slice(signature).map_err(|_| CodeError::Malformed)?;
        self.verifying().verify(&message(signed), &signature).map_err(|_| CodeError::Signature)?;
        let id = |at: usize| Uuid::from_slice(&signed[at..at + 16]).expect("sixteen bytes");
        Ok(Code { ticket_id: TicketId(id(0)), event_id: id(16) })
    }

    /// What gates fetch.
    pub fn published(&self) -> serde_json::Value {
        serde_json::json!({
            "format": "HF1",
            "layout": "HF1. + base64url(ticket_id[16] || event_id[16] || key_id[8] || signature[64]); \
                       the Ed25519 signature covers the ASCII text HF1 and the 40 bytes before it",
            "keys": [{
                "key_id": HEXLOWER.encode(&self.key_id),
                "alg": "Ed25519",
                "public_key": BASE64URL_NOPAD.encode(&self.verifying().to_bytes()),
            }],
        })
    }
}

fn message(signed: &[u8]) -> Vec<u8> {
    [b"HF1", signed].concat()
}

/// The picture of a code.
pub fn svg(payload: &str) -> String {
    use qrcode::{EcLevel, QrCode, render::svg::Color};
    QrCode::with_error_correction_level(payload, EcLevel::M).map_or_else(
        |_| String::new(), // longer than any QR code; ours never is
        |code| {
            let picture = code
                .render()
                .min_dimensions(200, 200)
                .dark_color(Color("#000"))
                .light_color(Color("#fff"))
                .build();
            // Without the XML declaration it can stand inside a page.
            picture.find("<svg").map_or(picture.clone(), |at| picture[at..].to_owned())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Code {
        let map = SeatMapId::new("hall").expect("a name");
        Code { ticket_id: TicketId(Uuid::from_u128(7)), event_id: event_id(Some(&map), None) }
    }

    #[test]
    fn a_code_is_read_back_by_its_own_house_only() {
        let key = TicketKey::from_seed(&[1; 32]);
        let text = key.sign(code());
        assert!(text.starts_with("HF1."));
        assert_eq!(key.verify(&text), Ok(code()));
        assert_eq!(TicketKey::from_seed(&[2; 32]).verify(&text), Err(CodeError::Key));
    }

    #[test]
    fn no_byte_of_a_code_can_be_changed() {
        let key = TicketKey::from_seed(&[1; 32]);
        let text = key.sign(code());
        let bytes = BASE64URL_NOPAD.decode(&text.as_bytes()[PREFIX.len()..]).expect("base64url");
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let bad = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bad));
            assert!(key.verify(&bad).is_err(), "byte {at}");
        }
        for text in ["", "HF1.", "HF2.AAAA", &text[..text.len() - 1], &format!("{text}A")] {
            assert_eq!(key.verify(text), Err(CodeError::Malformed));
        }
    }

    #[test]
    fn a_gate_can_verify_with_the_published_key_alone() {
        let key = TicketKey::from_seed(&[1; 32]);
        let published = key.published();
        let public = published["keys"][0]["public_key"].as_str().expect("a text");
        let public = BASE64URL_NOPAD.decode(public.as_bytes()).expect("base64url");
        let public =
            VerifyingKey::from_bytes(&public.try_into().expect("32 bytes")).expect("a key");
        let text = key.sign(code());
        let bytes = BASE64URL_NOPAD.decode(&text.as_bytes()[PREFIX.len()..]).expect("base64url");
        let signature = Signature::from_slice(&bytes[SIGNED..]).expect("64 bytes");
        assert!(public.verify(&message(&bytes[..SIGNED]), &signature).is_ok());
        assert_eq!(&bytes[..16], code().ticket_id.0.as_bytes());
    }

    #[test]
    fn the_picture_is_an_svg() {
        let picture = svg(&TicketKey::from_seed(&[1; 32]).sign(code()));
        assert!(picture.starts_with("<svg") && picture.len() < 64 << 10);
    }
}
