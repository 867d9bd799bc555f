//! Keys for scenarios: what they seal is the same each time, so that events can be compared.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::events::Ref;
use crate::events::personal::{Envelope, Found, KeyError, Opening, PersonalKeys, Sealable, within};
use crate::text::{from_hex, hex};

/// Keys of all subjects, but of those that are erased.
#[derive(Clone, Default)]
pub(super) struct ScenarioKeys {
    pub(super) erased: BTreeSet<Ref>,
}

impl ScenarioKeys {
    /// Runs a function with these keys at hand.
    pub(super) fn within<R>(&self, run: impl FnOnce() -> R) -> (R, Found) {
        let keys: Arc<dyn PersonalKeys> = Arc::new(self.clone());
        within(&keys, Sealable::All, run)
    }
}

impl PersonalKeys for ScenarioKeys {
    fn seal(&self, of: &Ref, event_type: &str, field: &str, text: &str) -> Result<Option<Envelope>, KeyError> {
        Ok(Some(Envelope::new(of.clone(), event_type, field, "scenario", &hex(text.as_bytes()))))
    }

    fn open(&self, envelope: &Envelope) -> Opening {
        if self.is_erased(&envelope.of) {
            return Opening::Erased;
        }
        let text = envelope.parts().and_then(|parts| from_hex(parts.ciphertext));
        match text.and_then(|text| String::from_utf8(text).ok()) {
            Some(text) => Opening::Value(text),
            None => Opening::Failed(self.lost(envelope.of.clone())),
        }
    }

    fn digest(&self, _: &Ref, _: &[&str]) -> Option<[u8; 32]> {
        None
    }

    fn is_erased(&self, of: &Ref) -> bool {
        self.erased.contains(of)
    }

    fn load(&self, _: Vec<Ref>) -> BoxFuture<'_, Result<(), KeyError>> {
        Box::pin(async { Ok(()) })
    }

    fn provide(&self, _: Vec<Ref>) -> BoxFuture<'_, Result<Vec<Ref>, KeyError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn lost(&self, subject: Ref) -> KeyError {
        KeyError::Lost { store: "of the scenario".to_owned(), subject }
    }
}
