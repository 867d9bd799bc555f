//! [`Bearer`]: verification of JSON Web Tokens.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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

    pub fn issuer(&mut self, issuer: &str) {
        self.issuer = Some(issuer.to_owned());
    }

    /// Verifies a token. `with_claims`: return all its claims. The error helps the issuer and reveals nothing to an attacker.
    pub(super) fn verify(&self, token: &str, with_claims: bool) -> Result<Identity, &'static str> {
        let (Claims { sub, exp }, claims) = match with_claims {
            false => (self.decode(token)?, None),
            true => {
                let claims: Map<String, Value> = self.decode(token)?;
                let sub = claims.get("sub").and_then(Value::as_str).ok_or(MALFORMED)?.to_owned();
                let exp = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
                (Claims { sub, exp }, Some(claims))
            }
        };
        let actor = Ref::new(&self.kind, &sub).map_err(|_| "the token's subject (`sub`) is not a valid id")?;
        Ok(Identity { actor: Some(actor), valid_for: Some(valid_for(exp)), claims })
    }

    /// Verifies a token, and parses its claims as a `T`.
    fn decode<T: DeserializeOwned + Clone>(&self, token: &str) -> Result<T, &'static str> {
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
        for key in &self.keys.0 {
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
                Ok(verified) => return Ok(verified.claims),
                Err(error) => reason = message(error.kind()),
            }
        }
        Err(reason)
    }
}

/// How long a token with this expiry is still accepted.
fn valid_for(exp: f64) -> Duration {
    let seconds = exp + LEEWAY as f64 - Timestamp::now().as_duration().as_secs_f64();
    Duration::try_from_secs_f64(seconds.clamp(0.0, MAX_VALID_FOR)).unwrap_or_default()
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
