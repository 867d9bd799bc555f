//! The keys that are at hand while a command is decided or an answer is made: handlers and `Deserialize` are not async, so
//! they find the keys in a variable of the thread.
//!
//! If a key is not in memory, the run is discarded: the key is loaded, and it runs again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Envelope, KeyError, Opening, PersonalKeys};
use crate::events::Ref;

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Which values may be sealed in a scope.
#[derive(Clone, Debug)]
pub(crate) enum Sealable {
    /// None.
    Nothing,
    /// Those of these subjects, whose records the commit names; and the subjects of these that are erased.
    Of(BTreeSet<Ref>, BTreeSet<Ref>),
    /// All: in tests of an application.
    All,
}

/// What a run in a scope has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Subjects of values that were to be opened, whose keys are not in memory.
    pub(crate) open: BTreeSet<Ref>,
    /// Subjects of values that were to be sealed, whose keys are not in memory or which are not to be sealed in this scope.
    pub(crate) seal: BTreeSet<Ref>,
    /// Whether a value was opened: what comes of it may repeat the value.
    pub(crate) opened: bool,
    /// A subject of a new value that is erased.
    pub(crate) erased: Option<Ref>,
    /// The first problem.
    pub(crate) problem: Option<KeyError>,
}

impl Found {
    /// Whether keys are missing.
    pub(crate) fn is_missing_keys(&self) -> bool {
        !self.open.is_empty() || !self.seal.is_empty()
    }
}

struct Scope {
    keys: Arc<dyn PersonalKeys>,
    sealable: Sealable,
    found: Found,
}

/// Restores the scope around another one, also after a panic.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

/// Runs a function with these keys at hand. The function must not wait for anything.
pub(crate) fn within<R>(keys: &Arc<dyn PersonalKeys>, sealable: Sealable, run: impl FnOnce() -> R) -> (R, Found) {
    let scope = Scope { keys: keys.clone(), sealable, found: Found::default() };
    let outer = Restore(SCOPE.replace(Some(scope)));
    let result = run();
    let found = SCOPE.take().map(|scope| scope.found).unwrap_or_default();
    drop(outer);
    (result, found)
}

/// The keys at hand.
fn keys() -> Option<Arc<dyn PersonalKeys>> {
    SCOPE.with_borrow(|scope| scope.as_ref().map(|scope| scope.keys.clone()))
}

fn note(note: impl FnOnce(&mut Found)) {
    SCOPE.with_borrow_mut(|scope| {
        if let Some(scope) = scope {
            note(&mut scope.found);
        }
    });
}

/// Notes why a value cannot be opened.
pub(super) fn fail(problem: KeyError) {
    note(|found| _ = found.problem.get_or_insert(problem));
}

/// What became of a value that was to be opened.
pub(super) enum InScope {
    Value(String),
    Erased,
    /// Not here; the scope has noted why.
    Sealed,
}

/// Opens an envelope with the keys at hand.
pub(super) fn open(envelope: &Envelope) -> InScope {
    let Some(keys) = keys() else { return InScope::Sealed };
    match keys.open(envelope) {
        Opening::Value(text) => {
            note(|found| found.opened = true);
            InScope::Value(text)
        }
        Opening::Erased => InScope::Erased,
        Opening::NoKey => {
            note(|found| _ = found.open.insert(envelope.of.clone()));
            InScope::Sealed
        }
        Opening::Failed(problem) => {
            fail(problem);
            InScope::Sealed
        }
    }
}

/// Whether a value was opened in this scope.
pub(crate) fn has_opened() -> bool {
    SCOPE.with_borrow(|scope| scope.as_ref().is_some_and(|scope| scope.found.opened))
}

/// The erased subject of a new value, for a caller that records the refusal itself.
pub(crate) fn take_erased() -> Option<Ref> {
    SCOPE.with_borrow_mut(|scope| scope.as_mut()?.found.erased.take())
}

/// Seals a JSON text with the keys at hand; `None` if that is not possible, which the scope has noted.
pub(super) fn seal(of: &Ref, event_type: &str, field: &str, text: &str) -> Option<Envelope> {
    let (keys, allowed) = SCOPE.with_borrow_mut(|scope| {
        let Scope { keys, sealable, found } = scope.as_mut()?;
        let allowed = match sealable {
            Sealable::Nothing => false,
            Sealable::All => true,
            Sealable::Of(_, erased) if erased.contains(of) => {
                found.erased.get_or_insert_with(|| of.clone());
                return None;
            }
            Sealable::Of(subjects, _) => subjects.contains(of),
        };
        Some((keys.clone(), allowed))
    })?;
    match allowed.then(|| keys.seal(of, event_type, field, text)) {
        Some(Ok(Some(envelope))) => return Some(envelope),
        Some(Err(problem)) => fail(problem),
        Some(Ok(None)) | None => note(|found| _ = found.seal.insert(of.clone())),
    }
    None
}

/// HMAC of these parts under the subject's key, if it is at hand.
pub(crate) fn keyed_digest(of: &Ref, parts: &[&str]) -> Option<[u8; 32]> {
    keys()?.digest(of, parts)
}
