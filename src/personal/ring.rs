//! [`KeyRing`]: the keys that a process has in memory, and the key store behind them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::cipher::Cipher;
use super::key_store::{KeyStore, KeyStoreError, StoredKey};
use crate::events::Ref;
use crate::events::personal::{Envelope, KeyError, Opening, PersonalKeys};

/// How long a process may open values after it last knew that it has read the log: so long after the decision to erase a subject, no
/// process opens its values any more.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// How long the key store may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most keys in memory: about 50 MB.
const MAX_KEYS: usize = 200_000;

/// The keys of one open application.
pub(crate) struct KeyRing {
    store: Arc<dyn KeyStore>,
    memory: RwLock<Memory>,
    /// When the log was last read to its end, by a read that began then.
    confirmed: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Memory {
    keys: HashMap<Ref, Arc<Cipher>>,
    /// The log or the key store says that these are erased.
    erased: std::collections::HashSet<Ref>,
}

impl KeyRing {
    pub(crate) fn new(store: Arc<dyn KeyStore>) -> Self {
        Self { store, memory: RwLock::default(), confirmed: Mutex::new(None) }
    }

    /// The key store.
    pub(crate) fn store(&self) -> &Arc<dyn KeyStore> {
        &self.store
    }

    /// Drops the key of a subject: it is erased.
    pub(super) fn erase(&self, subject: &Ref) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.keys.remove(subject);
        memory.erased.insert(subject.clone());
    }

    /// The log was read to its end, by a read that began at this time.
    pub(super) fn confirm(&self, began: Instant) {
        let mut confirmed = self.lock();
        *confirmed = Some(confirmed.map_or(began, |earlier| earlier.max(began)));
    }

    /// Whether this process knows the erasures of the last seconds.
    fn is_fresh(&self) -> bool {
        self.lock().is_some_and(|confirmed| confirmed.elapsed() < FRESH)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cipher(&self, of: &Ref) -> Option<Arc<Cipher>> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).keys.get(of).cloned()
    }

    /// The subjects of these that are not in memory.
    fn missing(&self, of: Vec<Ref>) -> Vec<Ref> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        of.into_iter().filter(|of| !memory.keys.contains_key(of) && !memory.erased.contains(of)).collect()
    }

    /// Keeps what the key store has. An erasure that was read in the log meanwhile stays.
    fn keep(&self, of: Vec<Ref>, found: Vec<Option<StoredKey>>) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.keys.len() > MAX_KEYS {
            memory.keys.clear();
        }
        for (of, found) in of.into_iter().zip(found) {
            match found {
                Some(StoredKey::Key(key)) if !memory.erased.contains(&of) => {
                    memory.keys.insert(of, Arc::new(Cipher::new(&key)));
                }
                Some(StoredKey::Key(_)) | None => {}
                Some(StoredKey::Erased) => {
                    memory.keys.remove(&of);
                    memory.erased.insert(of);
                }
            }
        }
    }

    fn failed(&self, doing: &'static str, source: KeyStoreError) -> KeyError {
        KeyError::Store { store: self.store.describe(), doing, source: source.0 }
    }

    /// Waits for the key store.
    pub(crate) async fn answer<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, KeyStoreError>>,
    ) -> Result<T, KeyError> {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(|error| self.failed(doing, error)),
            Err(_) => Err(self.failed(doing, KeyStoreError(format!("it took longer than {PATIENCE:?}").into()))),
        }
    }
}

impl PersonalKeys for KeyRing {
    fn seal(&self, of: &Ref, event_type: &str, field: &str, text: &str) -> Result<Option<Envelope>, KeyError> {
        self.cipher(of).map(|cipher| cipher.seal(of, event_type, field, text)).transpose()
    }

    fn open(&self, envelope: &Envelope) -> Opening {
        if self.is_erased(&envelope.of) {
            return Opening::Erased;
        }
        if !self.is_fresh() {
            return Opening::Failed(KeyError::Behind);
        }
        let Some(cipher) = self.cipher(&envelope.of) else { return Opening::NoKey };
        match cipher.open(envelope) {
            Some(Ok(text)) => Opening::Value(text),
            Some(Err(error)) => Opening::Failed(error),
            None => Opening::Failed(self.lost(envelope.of.clone())),
        }
    }

    fn digest(&self, of: &Ref, parts: &[&str]) -> Option<[u8; 32]> {
        self.cipher(of).map(|cipher| cipher.digest(parts))
    }

    fn is_erased(&self, of: &Ref) -> bool {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).erased.contains(of)
    }

    fn load(&self, of: Vec<Ref>) -> BoxFuture<'_, Result<(), KeyError>> {
        Box::pin(async move {
            let missing = self.missing(of);
            if !missing.is_empty() {
                let found = self.answer("looking up keys", self.store.find(&missing)).await?;
                self.keep(missing, found);
            }
            Ok(())
        })
    }

    fn provide(&self, of: Vec<Ref>) -> BoxFuture<'_, Result<Vec<Ref>, KeyError>> {
        Box::pin(async move {
            let missing = self.missing(of.clone());
            if !missing.is_empty() {
                let found = self.answer("creating keys", self.store.find_or_create(&missing)).await?;
                self.keep(missing, found.into_iter().map(Some).collect());
            }
            Ok(of.into_iter().filter(|of| self.is_erased(of)).collect())
        })
    }

    fn lost(&self, subject: Ref) -> KeyError {
        KeyError::Lost { store: self.store.describe(), subject }
    }
}
