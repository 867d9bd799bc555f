//! Opens the values of events and of JSON for an answer: the keys are loaded first, then the answer is made with them at hand.
//!
//! A value that cannot be opened, because the key store does not answer, reads `[personal]`, and the reason is logged. Projections do
//! not use this: what they make does not depend on keys.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::{KeyError, PersonalKeys, Sealable, open_json, subjects_in, within};
#[cfg(feature = "personal")]
use super::{Opened, Personal};
use crate::events::{Ref, Stored, Types};
use crate::text::error_chain;

/// The keys of an open application; none in an application without personal values.
#[derive(Clone, Default)]
pub(crate) struct OpeningKeys(Option<Arc<dyn PersonalKeys>>);

impl fmt::Debug for OpeningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpeningKeys").field(&self.0.is_some()).finish()
    }
}

fn warn(error: &KeyError) {
    tracing::warn!(error = %error_chain(error), "a personal value cannot be opened");
}

impl Types {
    /// The same types, whose values are opened with these keys.
    #[cfg(any(feature = "feeds", feature = "personal"))]
    pub(crate) fn opened_with(mut self, keys: Option<Arc<dyn PersonalKeys>>) -> Self {
        self.keys = OpeningKeys(keys);
        self
    }

    /// The same types, with which nothing is opened.
    #[cfg(feature = "feeds")]
    pub(crate) fn sealed(self: &Arc<Self>) -> Arc<Self> {
        match self.has_keys() {
            true => Arc::new(Self::clone(self).opened_with(None)),
            false => self.clone(),
        }
    }

    /// Whether personal values can be opened.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.0.is_some()
    }

    async fn load(&self, subjects: BTreeSet<Ref>) {
        if let Some(keys) = self.keys.0.as_ref().filter(|_| !subjects.is_empty())
            && let Err(error) = keys.load(subjects.into_iter().collect()).await
        {
            warn(&error);
        }
    }

    /// Loads the keys of the personal values of these events.
    pub(crate) async fn load_keys(&self, events: &[Stored]) {
        if !self.has_keys() {
            return;
        }
        let mut subjects = BTreeSet::new();
        for stored in events {
            // An upcaster may put what is stored into a personal field: any payload may have an envelope.
            if stored.payload.contains("\"sealed\"")
                && let Ok(payload) = serde_json::from_str(&stored.payload)
            {
                subjects_in(&payload, &mut subjects);
            }
        }
        self.load(subjects).await;
    }

    /// Makes an answer with the keys at hand that are in memory: see [`load_keys`](Self::load_keys).
    pub(crate) fn opened<R>(&self, run: impl FnOnce() -> R) -> R {
        let Some(keys) = &self.keys.0 else { return run() };
        let (result, found) = within(keys, Sealable::Nothing, run);
        if let Some(error) = found.problem {
            warn(&error);
        } else if let Some(subject) = found.open.into_iter().next() {
            warn(&keys.lost(subject));
        }
        result
    }

    /// Opens the values inside of JSON: documents and states, which are shown as JSON.
    pub(crate) async fn open_json(&self, values: &mut [&mut Value]) {
        if !self.has_keys() {
            return;
        }
        let mut subjects = BTreeSet::new();
        values.iter().for_each(|value| subjects_in(value, &mut subjects));
        if subjects.is_empty() && !values.iter().any(|value| value.to_string().contains("\"withheld\"")) {
            return;
        }
        self.load(subjects).await;
        self.opened(|| values.iter_mut().for_each(|value| open_json(value)));
    }

    /// Opens one value.
    #[cfg(feature = "personal")]
    pub(crate) async fn open_value<T: Clone + serde::de::DeserializeOwned>(
        &self,
        value: &Personal<T>,
    ) -> Result<Opened<T>, KeyError> {
        let Some(keys) = &self.keys.0 else { return Ok(value.open()) };
        if let Some(envelope) = value.envelope() {
            keys.load(vec![envelope.of.clone()]).await?;
        }
        let (opened, found) = within(keys, Sealable::Nothing, || value.open());
        match (found.problem, found.open.into_iter().next()) {
            (Some(problem), _) => Err(problem),
            (None, Some(subject)) => Err(keys.lost(subject)),
            (None, None) => Ok(opened),
        }
    }
}
