//! Personal values of an application: where their keys lie, opening them, erasing a subject.

use std::sync::Arc;

use super::{Annals, App, OpenError};
use crate::commands::{Context, Engine};
use crate::events::personal::{KeyError, PersonalKeys};
use crate::events::{Opened, Personal, Ref};
use crate::personal::{EraseError, Eraser, Erasure, KeyInfo, KeyRing, KeyStore, Keys};
use crate::store::Store;

impl App {
    /// Sets where the keys of personal values lie: by default in a file beside a log in a file. A log in PostgreSQL needs a key store.
    /// The last one wins.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }
}

/// Opens the key store of an application with personal values, on a store with this URL, if it has one.
pub(super) async fn open(keys: &Keys, store: &Arc<dyn Store>, url: Option<&str>) -> Result<Arc<Eraser>, OpenError> {
    let id = store.info().await?.log_id;
    let keys = keys.open(url, &id).await?;
    let ring = Arc::new(KeyRing::new(keys));
    let is_alone = url == Some("sqlite::memory:");
    Eraser::open(store.clone(), ring, is_alone).await.map_err(|error| OpenError::Erasures(Box::new(error)))
}

/// What opens and seals, for the engine and for answers.
pub(super) fn opening(eraser: Option<&Arc<Eraser>>) -> Option<Arc<dyn PersonalKeys>> {
    eraser.map(|eraser| eraser.ring().clone() as Arc<dyn PersonalKeys>)
}

/// Follows the log for erasures.
pub(super) fn start(eraser: Option<&Arc<Eraser>>, engine: &Arc<Engine>) {
    if let Some(eraser) = eraser {
        eraser.start(engine);
    }
}

impl Annals {
    /// Whether the application has personal values.
    #[must_use]
    pub fn has_personal_data(&self) -> bool {
        self.eraser().is_some()
    }

    /// Opens a personal value of a document or a loaded aggregate: `annals.open_personal(&roster.name).await?`. The answer is the
    /// program's own: neither authorised nor recorded.
    ///
    /// # Errors
    /// When the key store does not answer, lacks the key, or the value was changed.
    pub async fn open_personal<T>(&self, value: &Personal<T>) -> Result<Opened<T>, KeyError>
    where
        T: Clone + serde::de::DeserializeOwned,
    {
        self.types().open_value(value).await
    }

    /// Erases the personal values of a subject: records the decision, destroys the subject's key, and waits until no process opens
    /// its values any more, which takes some five seconds. From the decision on, new personal values of the subject are refused. If this process ends meanwhile, another one
    /// continues, or the next one that opens the application. It is the same if the subject is erased already.
    ///
    /// `reason` stays in the log: do not write personal data into it.
    ///
    /// # Errors
    /// When there is no reason, the decision cannot be recorded, the key store does not destroy the key, or it takes longer than half
    /// a minute. After the last two, the erasure continues.
    pub async fn erase(&self, subject: &Ref, reason: &str, context: &Context) -> Result<Erasure, EraseError> {
        let eraser = self.eraser().ok_or(EraseError::Off)?;
        eraser.erase(self.write_engine(), subject, reason, context).await
    }

    /// Returns all erasures of the log, in the order in which they were decided.
    ///
    /// # Errors
    /// When the application has no personal values, or the log cannot be read.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, EraseError> {
        self.eraser().ok_or(EraseError::Off)?.list().await
    }

    /// Why the keys of these subjects are not destroyed yet.
    ///
    /// # Errors
    /// When the application has no personal values.
    pub fn erasure_problems(&self) -> Result<std::collections::BTreeMap<Ref, String>, EraseError> {
        Ok(self.eraser().ok_or(EraseError::Off)?.problems())
    }

    /// The key store.
    ///
    /// # Errors
    /// When the application has no personal values.
    pub fn key_store(&self) -> Result<Arc<dyn KeyStore>, EraseError> {
        Ok(self.eraser().ok_or(EraseError::Off)?.ring().store().clone())
    }

    /// Lists at most `limit` subjects that the key store has, after this one.
    ///
    /// # Errors
    /// When the application has no personal values, or the key store cannot be read.
    pub async fn subjects(&self, after: Option<&Ref>, limit: usize) -> Result<Vec<KeyInfo>, EraseError> {
        let ring = self.eraser().ok_or(EraseError::Off)?.ring();
        let listed = ring.answer("listing keys", ring.store().list(after, limit)).await;
        listed.map_err(EraseError::KeyStore)
    }
}
