//! A key store in memory, for a store that is deleted when it is closed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::key_store::{KeyInfo, KeyStore, KeyStoreError, StoredKey, SubjectKey};
use crate::events::Ref;

/// Keys in memory.
#[derive(Default)]
pub(super) struct KeyMemory(Mutex<BTreeMap<Ref, Kept>>);

struct Kept {
    key: Option<SubjectKey>,
    created_at: Timestamp,
    erased_at: Option<Timestamp>,
}

impl Kept {
    fn stored(&self) -> StoredKey {
        self.key.clone().map_or(StoredKey::Erased, StoredKey::Key)
    }
}

impl KeyMemory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Ref, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyStore for KeyMemory {
    async fn find(&self, subjects: &[Ref]) -> Result<Vec<Option<StoredKey>>, KeyStoreError> {
        let kept = self.lock();
        Ok(subjects.iter().map(|subject| kept.get(subject).map(Kept::stored)).collect())
    }

    async fn find_or_create(&self, subjects: &[Ref]) -> Result<Vec<StoredKey>, KeyStoreError> {
        let mut kept = self.lock();
        let mut found = Vec::with_capacity(subjects.len());
        for subject in subjects {
            if !kept.contains_key(subject) {
                let key = SubjectKey::random().map_err(|error| KeyStoreError(error.into()))?;
                kept.insert(
                    subject.clone(),
                    Kept { key: Some(key), created_at: Timestamp::now(), erased_at: None },
                );
            }
            found.extend(kept.get(subject).map(Kept::stored));
        }
        Ok(found)
    }

    async fn destroy(&self, subjects: &[Ref]) -> Result<Vec<bool>, KeyStoreError> {
        let (mut kept, now) = (self.lock(), Timestamp::now());
        let destroy = |subject: &Ref| {
            let kept = kept.entry(subject.clone()).or_insert(Kept { key: None, created_at: now, erased_at: None });
            kept.erased_at.get_or_insert(now);
            kept.key.take().is_some()
        };
        Ok(subjects.iter().map(destroy).collect())
    }

    async fn list(&self, after: Option<&Ref>, limit: usize) -> Result<Vec<KeyInfo>, KeyStoreError> {
        let kept = self.lock();
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let info = |(subject, kept): (&Ref, &Kept)| KeyInfo {
            subject: subject.clone(),
            key: kept.key.as_ref().map(|key| key.id().to_owned()),
            created_at: kept.created_at,
            erased_at: kept.erased_at,
        };
        Ok(kept.range::<Ref, _>(range).take(limit).map(info).collect())
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
