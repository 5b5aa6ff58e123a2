//! Access tokens: JSON Web Tokens signed with Ed25519, and nothing else.
//!
//! ```text
//!   holdfast token --role CUSTOMER --user ada ──► eyJ…  (typ at+jwt, alg EdDSA, kid of our key)
//!   Authorization: Bearer eyJ… ──► verify: algorithm and key are ours to choose, never the header's
//! ```
//!
//! RFC 8725 is the checklist: one algorithm; the key id only looks a key up in a map; `jku`, `x5u`,
//! `jwk` are never followed; `crit` is refused; issuer, audience, type and times are all checked,
//! against the clock that the caller hands in.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use holdfast_domain::{Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use crate::access::{Permission, Role};

/// Who signs.
const ISSUER: &str = "holdfast";
/// For whom: another service's token of the same signer is no token here.
const AUDIENCE: &str = "holdfast-api";
/// What kind of token: neither an id token nor a refresh token passes. RFC 9068.
const TYPE: &str = "at+jwt";
/// How far the clocks of two nodes may differ, for tokens that begin; none outlives its end.
const LEEWAY: Duration = Duration::from_secs(5);
/// No token of ours is longer; what is longer is not even parsed.
const LONGEST: usize = 4_096;
/// PKCS#8 version 1 around an Ed25519 seed (RFC 8410): the seed follows.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why a token is not taken. The caller learns only that it is not; the log learns this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts, not JSON, or too long.
    #[error("this is no token")]
    Malformed,
    /// Another algorithm than the one there is, `none` included.
    #[error("the algorithm is not EdDSA")]
    Algorithm,
    /// Not an access token.
    #[error("the type is not at+jwt")]
    Type,
    /// Signed by a key that is not in the map, or that was taken out of it.
    #[error("the key is unknown")]
    Key,
    /// The header demands an extension (`crit`).
    #[error("the header demands what is not understood")]
    Critical,
    /// The signature is not that of the key.
    #[error("the signature is wrong")]
    Signature,
    /// Issued by somebody else, or for somebody else.
    #[error("issuer or audience is another")]
    Audience,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
    /// Subject or role is nothing that there is.
    #[error("subject or role is unknown")]
    Claims,
}

/// A key that signs access tokens, made from 32 random bytes.
#[derive(Clone)]
pub struct TokenKey {
    kid: String,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKey({})", self.kid)
    }
}

impl TokenKey {
    /// The key that follows from a seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let mut pkcs8 = PKCS8.to_vec();
        pkcs8.extend_from_slice(seed);
        Self {
            kid: HEXLOWER.encode(&Sha256::digest(public)[..8]),
            signing: EncodingKey::from_ed_der(&pkcs8),
            verifying: DecodingKey::from_ed_der(&public),
        }
    }

    /// The name under which verifiers look it up.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

/// The keys whose tokens are taken; one of them signs.
#[derive(Clone, Debug)]
pub struct TokenKeys {
    signing: TokenKey,
    by_kid: BTreeMap<String, TokenKey>,
}

impl TokenKeys {
    /// One key for everything.
    pub fn new(signing: TokenKey) -> Self {
        let by_kid = BTreeMap::from([(signing.kid.clone(), signing.clone())]);
        Self { signing, by_kid }
    }

    /// Takes tokens of an older key too, until it is taken out again.
    #[must_use]
    pub fn and_older(mut self, key: TokenKey) -> Self {
        self.by_kid.insert(key.kid.clone(), key);
        self
    }

    /// The key that signs.
    pub fn signing(&self) -> &TokenKey {
        &self.signing
    }

    /// Checks a token at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let kid = checked_header(token)?;
        let key = self.by_kid.get(&kid).ok_or(TokenError::Key)?;
        verify_with(key, token, now)
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub user: UserId,
    /// What its bearer may do.
    pub role: Role,
    /// When it ends; open sockets end with it.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Body {
    iss: String,
    aud: String,
    sub: String,
    role: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

/// Signs a token for `user` that ends `ttl` after `now`.
pub fn issue(key: &TokenKey, user: &UserId, role: Role, ttl: Duration, now: Timestamp) -> String {
    let now_secs = now.micros().div_euclid(1_000_000);
    let body = Body {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: user.to_string(),
        role: role.name().into(),
        iat: now_secs,
        nbf: now_secs,
        exp: now.plus(ttl).micros().div_euclid(1_000_000),
        jti: uuid::Uuid::now_v7().to_string(),
    };
    let header = Header {
        typ: Some(TYPE.into()),
        kid: Some(key.kid.clone()),
        ..Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(&header, &body, &key.signing).expect("a seed of 32 bytes always signs")
}

/// Checks a token of one key at `now`.
pub fn verify(key: &TokenKey, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
    if checked_header(token)? != key.kid {
        return Err(TokenError::Key);
    }
    verify_with(key, token, now)
}

/// What of the header matters; everything else in it is ignored, above all where to fetch keys.
#[derive(Deserialize)]
struct Seen {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// The key id, if the header is one of ours.
fn checked_header(token: &str) -> Result<String, TokenError> {
    if token.len() > LONGEST || token.split('.').count() != 3 {
        return Err(TokenError::Malformed);
    }
    let (head, _) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let head = BASE64URL_NOPAD.decode(head.as_bytes()).map_err(|_| TokenError::Malformed)?;
    let seen: Seen = serde_json::from_slice(&head).map_err(|_| TokenError::Malformed)?;
    if seen.alg != "EdDSA" {
        Err(TokenError::Algorithm)
    } else if seen.crit.is_some() {
        Err(TokenError::Critical)
    } else if !seen.typ.is_some_and(|typ| {
        typ.eq_ignore_ascii_case(TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
    }) {
        Err(TokenError::Type)
    } else {
        seen.kid.ok_or(TokenError::Key)
    }
}

fn verify_with(key: &TokenKey, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
    let mut rules = Validation::new(Algorithm::EdDSA);
    // Times are judged below, by the caller's clock; issuer and audience too, to name what is wrong.
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    let body: Body = jsonwebtoken::decode(token, &key.verifying, &rules)
        .map_err(|error| {
            // The signature is checked first: claims that cannot be read were signed by us.
            let claims = matches!(error.kind(), jsonwebtoken::errors::ErrorKind::Json(_));
            if claims { TokenError::Claims } else { TokenError::Signature }
        })?
        .claims;
    if body.iss != ISSUER || body.aud != AUDIENCE {
        return Err(TokenError::Audience);
    }
    let expires_at = Timestamp::from_secs(body.exp);
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    if now.plus(LEEWAY) < Timestamp::from_secs(body.nbf) {
        return Err(TokenError::NotYet);
    }
    let user = UserId::new(body.sub).map_err(|_| TokenError::Claims)?;
    let role = body.role.parse().map_err(|_| TokenError::Claims)?;
    Ok(Claims { user, role, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn key() -> TokenKey {
        TokenKey::from_seed(&[7; 32])
    }

    fn ada() -> UserId {
        UserId::new("ada").expect("a name")
    }

    fn token() -> String {
        issue(&key(), &ada(), Role::Customer, Duration::from_secs(900), NOW)
    }

    /// A token with this header and these claims, signed with our key all the same.
    fn forged(header: serde_json::Value, claims: serde_json::Value) -> String {
        use ed25519_dalek::Signer;
        let part = |v: serde_json::Value| BASE64URL_NOPAD.encode(v.to_string().as_bytes());
        let text = format!("{}.{}", part(header), part(claims));
        let signature = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).sign(text.as_bytes());
        format!("{text}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes()))
    }

    fn claims() -> serde_json::Value {
        let now = NOW.micros() / 1_000_000;
        serde_json::json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "role": "CUSTOMER",
            "iat": now, "nbf": now, "exp": now + 900, "jti": "1"})
    }

    fn header() -> serde_json::Value {
        serde_json::json!({"alg": "EdDSA", "typ": TYPE, "kid": key().kid()})
    }

    fn with(mut value: serde_json::Value, name: &str, to: serde_json::Value) -> serde_json::Value {
        value[name] = to;
        value
    }

    #[test]
    fn a_token_says_who_and_what_until_it_ends() {
        let claims = verify(&key(), &token(), NOW).expect("it is ours");
        assert_eq!((claims.user, claims.role), (ada(), Role::Customer));
        let later = NOW.plus(Duration::from_secs(906));
        assert_eq!(verify(&key(), &token(), later), Err(TokenError::Expired));
        let earlier = NOW.minus(Duration::from_secs(60));
        assert_eq!(verify(&key(), &token(), earlier), Err(TokenError::NotYet));
    }

    #[test]
    fn a_hand_made_token_with_the_right_contents_is_taken() {
        assert!(verify(&key(), &forged(header(), claims()), NOW).is_ok());
    }

    #[test]
    fn every_header_trick_is_refused() {
        let take = |header| verify(&key(), &forged(header, claims()), NOW);
        for alg in ["none", "None", "HS256", "RS256", "ES256", "EdDSA ", ""] {
            assert_eq!(
                take(with(header(), "alg", alg.into())),
                Err(TokenError::Algorithm),
                "{alg}"
            );
        }
        for typ in ["JWT", "jwt", "rt+jwt", "id+jwt", ""] {
            assert_eq!(take(with(header(), "typ", typ.into())), Err(TokenError::Type), "{typ}");
        }
        for kid in ["", "../../etc/passwd", "' OR 1=1 --", "0000000000000000"] {
            assert_eq!(take(with(header(), "kid", kid.into())), Err(TokenError::Key), "{kid}");
        }
        let crit = with(header(), "crit", serde_json::json!(["exp"]));
        assert_eq!(take(crit), Err(TokenError::Critical));
        // Where to fetch a key is nothing that a stranger tells us: ignored, our own key decides.
        let jku = with(header(), "jku", "http://evil.example/keys".into());
        assert!(take(jku).is_ok());
    }

    #[test]
    fn a_public_key_is_no_secret_for_hs256() {
        // The classic confusion: sign with HMAC under the published public key.
        let public = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
        let header = Header { typ: Some(TYPE.into()), kid: Some(key().kid), ..Header::default() };
        let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&public))
            .expect("signs");
        assert_eq!(verify(&key(), &token, NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn every_claim_trick_is_refused() {
        let take = |claims| verify(&key(), &forged(header(), claims), NOW);
        assert_eq!(take(with(claims(), "iss", "evil".into())), Err(TokenError::Audience));
        assert_eq!(take(with(claims(), "aud", "other".into())), Err(TokenError::Audience));
        assert_eq!(take(with(claims(), "role", "GOD".into())), Err(TokenError::Claims));
        assert_eq!(take(with(claims(), "sub", "a b".into())), Err(TokenError::Claims));
        let mut bare = claims();
        bare.as_object_mut().expect("an object").remove("exp");
        assert_eq!(take(bare), Err(TokenError::Claims));
    }

    #[test]
    fn another_key_under_our_name_signs_nothing() {
        let other = TokenKey { kid: key().kid, ..TokenKey::from_seed(&[8; 32]) };
        let token = issue(&other, &ada(), Role::Admin, Duration::from_secs(900), NOW);
        assert_eq!(verify(&key(), &token, NOW), Err(TokenError::Signature));
    }

    #[test]
    fn one_changed_byte_ends_it() {
        let good = token();
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).expect("ASCII");
            // The last character of a base64 part may carry unused bits: those the decoder refuses.
            assert!(bad == good || verify(&key(), &bad, NOW).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_apart_quickly() {
        for text in ["", "a", "a.b", "a.b.c.d", "..", "=.=.=", &"x".repeat(100_000)] {
            assert_eq!(verify(&key(), text, NOW), Err(TokenError::Malformed));
        }
    }

    #[test]
    fn an_older_key_is_taken_until_it_is_taken_out() {
        let old = TokenKey::from_seed(&[9; 32]);
        let token = issue(&old, &ada(), Role::Auditor, Duration::from_secs(900), NOW);
        let both = TokenKeys::new(key()).and_older(old);
        assert!(both.verify(&token, NOW).is_ok());
        assert_eq!(TokenKeys::new(key()).verify(&token, NOW), Err(TokenError::Key));
    }
}
