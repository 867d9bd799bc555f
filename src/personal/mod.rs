//! Personal values: the keys of subjects, apart from the log, and erasure by destroying a key (feature `personal`).
//!
//! A [`Personal`](crate::events::Personal) value is stored sealed under the key of its subject. The keys lie in a [`KeyStore`], never in
//! the log. `Annals::erase` erases a subject in two recorded steps: the decision, an event; then the key is destroyed, every process
//! drops it from memory, and a second event says that it is done. A process that is killed in between continues at its next start.
//!
//! ## Layout
//! - `key_store`: [`KeyStore`], where keys lie, and [`SubjectKey`]
//! - `key_file`: a key store in a pair of files (feature `sqlite`)
//! - `key_database`: a key store in a PostgreSQL database (feature `postgres`)
//! - `key_memory`: a key store in memory, for a store that is deleted when it is closed
//! - `settings`: [`Keys`], which key store an application uses
//! - `cipher`: seals and opens with one key
//! - `ring`: `KeyRing`, the keys that a process has in memory
//! - `commands`: the commands on the record of a subject
//! - `erasures`: [`Erasure`], what the log says about erasures
//! - `eraser`: follows the log for erasures, and completes them
//! - `error`: [`EraseError`]

mod cipher;
mod commands;
mod eraser;
mod erasures;
mod error;
#[cfg(feature = "postgres")]
mod key_database;
#[cfg(feature = "sqlite")]
mod key_file;
mod key_memory;
mod key_store;
mod ring;
mod settings;
#[cfg(all(test, feature = "sqlite"))]
mod tests;

pub(crate) use eraser::Eraser;
pub use erasures::Erasure;
pub use error::EraseError;
pub use key_store::{KeyInfo, KeyStore, KeyStoreError, StoredKey, SubjectKey};
pub(crate) use ring::KeyRing;
pub use settings::{Keys, KeysError};

#[doc(inline)]
pub use crate::events::personal::KeyError;
