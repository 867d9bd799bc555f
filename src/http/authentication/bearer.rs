//! [`Bearer`]: verification of JSON Web Tokens.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use super::keys::KeyDigest;
use super::{Identity, Keys};
use crate::events::Ref;

/// The accepted difference between the issuer's clock and this one, in seconds.
const LEEWAY: u64 = 30;

/// The longest time to wait for a token to expire, in seconds: a year.
const MAX_VALID_FOR: f64 = 365.0 * 24.0 * 3_600.0;

const MALFORMED: &str = "the token is malformed";

/// The longest token, in bytes.
const MAX_TOKEN: usize = 8 * 1_024;

#[derive(Clone, Debug)]
pub(in crate::http) struct Bearer {
    keys: Keys,
    audience: String,
    issuer: Option<String>,
    pub kind: String,
}

/// Until when a token is accepted.
#[derive(Debug)]
pub(in crate::http) struct TokenValidity {
    expires: Instant,
    signed_by: SignedBy,
}

/// The key that a token is signed with.
#[derive(Debug)]
pub(super) enum SignedBy {
    Jwk(Keys, KeyDigest),
    #[cfg(feature = "access")]
    TokenKey(crate::tokens::Keys, crate::tokens::KeyInfo),
}

/// Why a token is not accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum TokenEnd {
    /// It has expired.
    Expired,
    /// The key file no longer has the key that it is signed with.
    Revoked,
}

impl TokenValidity {
    /// A token that is accepted for this long.
    pub(super) fn new(seconds: f64, signed_by: SignedBy) -> Self {
        let valid_for = Duration::try_from_secs_f64(seconds.clamp(0.0, MAX_VALID_FOR)).unwrap_or_default();
        Self { expires: Instant::now() + valid_for, signed_by }
    }

    /// How long it is still accepted, unless its key is withdrawn.
    pub(in crate::http) fn remaining(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }

    /// Waits until the token is not accepted any more.
    pub(in crate::http) async fn ended(&self) -> TokenEnd {
        tokio::select! {
            biased;
            () = sleep_until(self.expires) => TokenEnd::Expired,
            () = self.signed_by.withdrawn() => TokenEnd::Revoked,
        }
    }
}

impl SignedBy {
    async fn withdrawn(&self) {
        match self {
            Self::Jwk(keys, key) => keys.withdrawn(key).await,
            #[cfg(feature = "access")]
            Self::TokenKey(keys, key) => keys.withdrawn(key).await,
        }
    }
}

#[derive(Clone, Deserialize)]
struct Claims {
    sub: String,
    /// Unix seconds, possibly with a fraction. The validation requires it: the default is never used.
    #[serde(default)]
    exp: f64,
}

impl Bearer {
    pub fn new(keys: Keys, audience: &str) -> Self {
        Self { keys, audience: audience.to_owned(), issuer: None, kind: "user".to_owned() }
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn issuer(&mut self, issuer: &str) {
        self.issuer = Some(issuer.to_owned());
    }

    /// Verifies a token. `with_claims`: return all its claims. The error helps the issuer and reveals nothing to an attacker.
    pub(super) fn verify(&self, token: &str, with_claims: bool) -> Result<Identity, &'static str> {
        let (Claims { sub, exp }, key, claims) = match with_claims {
            false => {
                let (own, key) = self.decode(token)?;
                (own, key, None)
            }
            true => {
                let (claims, key): (Map<String, Value>, _) = self.decode(token)?;
                let sub = claims.get("sub").and_then(Value::as_str).ok_or(MALFORMED)?.to_owned();
                let exp = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
                (Claims { sub, exp }, key, Some(claims))
            }
        };
        let actor = Ref::new(&self.kind, &sub).map_err(|_| "the token's subject (`sub`) is not a valid id")?;
        let seconds = exp + LEEWAY as f64 - Timestamp::now().as_duration().as_secs_f64();
        let token = TokenValidity::new(seconds, SignedBy::Jwk(self.keys.clone(), key));
        Ok(Identity { claims, ..Identity::new(actor, token) })
    }

    /// Verifies a token, and parses its claims as a `T`. Also returns the key that verified it.
    fn decode<T: DeserializeOwned + Clone>(&self, token: &str) -> Result<(T, KeyDigest), &'static str> {
        if token.len() > MAX_TOKEN {
            return Err("the token is too long");
        }
        // The library rejects unknown algorithms here, `none` above all.
        let header =
            decode_header(token).map_err(|_| "the token is malformed, or its algorithm is not supported")?;
        if header.crit.is_some() {
            return Err("the token requires an extension that is not supported (`crit`)");
        }
        let mut reason = "no configured key has the token's key id and algorithm";
        for key in self.keys.current().iter() {
            let other = key.id.is_some() && header.kid.is_some() && key.id != header.kid;
            if other || header.alg != key.algorithm {
                continue;
            }
            let mut validation = Validation::new(key.algorithm);
            validation.leeway = LEEWAY;
            validation.validate_nbf = true;
            validation.set_audience(&[&self.audience]);
            let mut required = vec!["exp", "sub", "aud"];
            if let Some(issuer) = &self.issuer {
                validation.set_issuer(&[issuer]);
                required.push("iss");
            }
            validation.set_required_spec_claims(&required);
            match decode::<T>(token, &key.key, &validation) {
                Ok(verified) => return Ok((verified.claims, key.digest)),
                Err(error) => reason = message(error.kind()),
            }
        }
        Err(reason)
    }
}

fn message(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not yet valid",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidSignature => "the token's signature is invalid",
        ErrorKind::MissingRequiredClaim(_) => {
            "the token lacks a claim: `exp`, `sub` and `aud` are required, and `iss` if an issuer is configured"
        }
        _ => MALFORMED,
    }
}
