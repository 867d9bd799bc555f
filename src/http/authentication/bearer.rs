//! A token, verified.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;

use super::Keys;
use crate::events::Ref;

/// How far the clocks of who makes tokens and of who verifies them may be apart, in seconds.
const LEEWAY: u64 = 30;

/// Beyond a year nobody waits for a token to expire, in seconds.
const LONGEST_LEFT: f64 = 365.0 * 24.0 * 3_600.0;

/// The longest token.
const LONGEST: usize = 8 * 1_024;

#[derive(Clone, Debug)]
pub(in crate::http) struct Bearer {
    keys: Keys,
    audience: String,
    issuer: Option<String>,
    pub kind: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// Seconds, perhaps with a fraction. That it is there is looked at when the token is.
    #[serde(default)]
    exp: f64,
}

/// Whose a token is, and how much longer it is taken.
pub(super) struct Verified {
    pub actor: Ref,
    pub left: Duration,
}

impl Bearer {
    pub fn new(keys: Keys, audience: &str) -> Self {
        Self { keys, audience: audience.to_owned(), issuer: None, kind: "user".to_owned() }
    }

    pub fn issuer(&mut self, issuer: &str) {
        self.issuer = Some(issuer.to_owned());
    }

    /// Whose token it is, and for how long; else what is wrong with it, in words that help who made it and nobody else.
    pub(super) fn verify(&self, token: &str) -> Result<Verified, &'static str> {
        if token.len() > LONGEST {
            return Err("the token is too long");
        }
        // Whatever is none of ours, `none` above all, is no header to this library.
        let header = decode_header(token).map_err(|_| "the token cannot be read, or its algorithm is not taken")?;
        if header.crit.is_some() {
            return Err("the token says that something must be understood which is not (`crit`)");
        }
        let mut reason = "the token's key and algorithm are none of those that are taken";
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
            match decode::<Claims>(token, &key.key, &validation) {
                Ok(verified) => {
                    let Claims { sub, exp } = verified.claims;
                    let actor = Ref::new(&self.kind, &sub)
                        .map_err(|_| "the token's subject is none that can be recorded")?;
                    return Ok(Verified { actor, left: left(exp) });
                }
                Err(error) => reason = in_words(error.kind()),
            }
        }
        Err(reason)
    }
}

/// Until a token that expires then is not taken any more.
fn left(exp: f64) -> Duration {
    let seconds = exp + LEEWAY as f64 - Timestamp::now().as_duration().as_secs_f64();
    Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_LEFT)).unwrap_or_default()
}

fn in_words(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not yet valid",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::MissingRequiredClaim(_) => {
            "the token lacks one of `exp`, `sub`, `aud`, or `iss` where an issuer is set"
        }
        _ => "the token cannot be read",
    }
}
