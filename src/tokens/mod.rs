//! Access tokens: bearer tokens that their holders narrow offline. They are [biscuits](https://www.biscuitsec.org) of which only
//! a small part is accepted.
//!
//! A token names an actor and one grant, and is signed by this program's key. A holder appends blocks of checks, which only
//! take away: this method only, these paths, this target, not live, until this time. [`Keys::verify`] returns an [`AccessToken`],
//! and [`AccessToken::allows`] says whether it allows a request. Nothing here reads or writes the log: whether the grant still
//! holds is for the authoriser to decide.
//!
//! ```
//! use annals::tokens::{Request, Signer};
//! use annals::events::Ref;
//! use jiff::Timestamp;
//! use uuid::Uuid;
//!
//! let keys = annals::tokens::Keys::generate();
//! let bob: Ref = "user:bob".parse()?;
//! let (grant, until) = (Uuid::new_v4(), "2030-01-01T00:00:00Z".parse()?);
//! let text = keys.signer()?.mint(&bob, grant, Some(until))?;
//! let token = keys.verify(&text)?;
//! assert_eq!((token.actor(), token.grant(), token.expires()), (&bob, grant, Some(until)));
//! let now: Timestamp = "2026-01-01T00:00:00Z".parse()?;
//! let request = Request { method: "GET", path: "/audit", targets: &["project:7"], observe: false, now };
//! token.allows(&request)?;
//! assert!(token.allows(&Request { now: until, ..request }).is_err(), "it has expired");
//! # Ok::<(), annals::BoxError>(())
//! ```
//!
//! ## Layout
//! - `token`: [`AccessToken`], what a verified token says and allows
//! - `presented`: [`PresentedToken`], a token together with the request that it came with
//! - `restriction`: one check of a token, and what it means
//! - `grammar`: which blocks are accepted, and the restrictions in them
//! - `verify`: from the text to a verified token
//! - `mint`: [`Signer`], makes tokens
//! - `keys`: [`KeySet`], the keys at one time, and their text form
//! - `key_file`: [`KeyFile`], the file of the keys, and [`Keys`], which follow it
//! - `withdrawals`: the last withdrawal of a right, beside the key file
//! - `error`: [`TokenError`]

mod error;
mod grammar;
mod key_file;
mod keys;
mod mint;
mod presented;
mod restriction;
#[cfg(test)]
mod tests;
mod token;
mod verify;
mod withdrawals;

pub use error::TokenError;
pub use key_file::{KeyFile, KeyFileError, Keys};
pub use keys::{InvalidKeys, KeyInfo, KeySet};
pub use mint::{MintError, Signer};
pub use presented::PresentedToken;
pub use token::{AccessToken, Request};
#[cfg(feature = "http")]
pub(crate) use verify::has_form_of_access_token;
pub(crate) use withdrawals::WithdrawalFile;

/// Why nothing is allowed to a token where no rights are asked.
pub(crate) const NEEDS_RIGHTS: &str = "access tokens are not accepted: the application has no rights in its log";

/// The longest text of a token, in bytes.
pub const MAX_BYTES: usize = 4 * 1_024;

/// The most blocks of a token: that of the issuer, and those by which holders narrowed it.
pub const MAX_BLOCKS: usize = 6;
