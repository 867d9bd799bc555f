//! [`Personal`]: a value about a person, stored sealed under that person's key.
//!
//! A sealed value carries its envelope: the ciphertext, and the subject that it is about. It is written as that envelope
//! everywhere: in payloads, snapshots, documents and answers. It is opened when a handler, a sentence or a reader asks, as long
//! as the subject's key exists. When the key is destroyed, every copy of the value is erased with it.
//!
//! ## Layout
//! - `value`: [`Personal`], the value, and [`Opened`], what opening it gives
//! - `seal`: [`Seal`], what a field marked `#[event(personal)]` may be
//! - `envelope`: what is stored of a sealed value
//! - `scope`: the keys that are at hand while a command is decided or an answer is made
//! - `keys`: what opens and seals: implemented by the key ring of an application
//! - `json`: finds and opens the envelopes inside of JSON
//! - `opening`: loads keys and opens values for an answer

mod envelope;
mod json;
mod keys;
mod opening;
mod scope;
mod seal;
mod value;

pub(crate) use envelope::Envelope;
pub(crate) use json::readable_fields;
use json::{open_json, subjects_in};
pub use keys::KeyError;
pub(crate) use keys::{Opening, PersonalKeys};
pub(crate) use opening::OpeningKeys;
pub(crate) use scope::{Found, Sealable, has_opened, keyed_digest, take_erased, within};
pub use seal::Seal;
#[doc(hidden)]
pub use seal::subject_in;
pub use value::{Opened, Personal, withheld};

/// Shown in place of a value whose key was destroyed.
pub const ERASED: &str = "[erased]";

/// Shown in place of a value that is not opened here.
pub const PERSONAL: &str = "[personal]";
