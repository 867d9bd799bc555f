//! [`SubjectRecord`]: what the log says about the erasure of a subject. Each commit that seals a value of a subject names this
//! aggregate, so that an erasure in between is a conflict.

use std::convert::Infallible;

use annals_macros::{Event, Id};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregates::{Aggregate, AnyState, Loaded};
use crate::events::{Id as _, InvalidRef, Ref};

/// The id of the record of a subject: the whole reference of the subject.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "annals_subject")]
pub struct SubjectId(String);

impl SubjectId {
    /// The record of this subject.
    #[must_use]
    pub fn of(subject: &Ref) -> Self {
        Self::new(subject.as_str())
    }

    /// The subject.
    ///
    /// # Errors
    /// When the id is not a reference.
    pub fn subject(&self) -> Result<Ref, InvalidRef> {
        self.text().parse()
    }
}

/// How far the erasure of a subject is.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubjectRecord {
    /// It is not erased.
    #[default]
    Present,
    /// It was decided. New personal values of the subject are refused.
    Erasing,
    /// It is complete.
    Erased,
}

impl Aggregate for SubjectRecord {
    const TYPE: &'static str = "annals_subject";
    type Id = SubjectId;
    type Event = SubjectEvent;
    type Error = Infallible;

    fn apply(&mut self, event: &SubjectEvent) {
        *self = match event {
            SubjectEvent::Erasing { .. } => Self::Erasing,
            SubjectEvent::Erased { .. } => Self::Erased,
        };
    }
}

/// The two events of an erasure.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_subject", topic = "annals/erasure", on = SubjectRecord)]
pub enum SubjectEvent {
    /// Somebody decided that the personal values of a subject are erased.
    #[event(delete, "{actor} decided to erase the personal data of {subject}: {reason}")]
    Erasing {
        /// The subject.
        #[event(target)]
        subject: Ref,
        /// The reason.
        reason: String,
    },
    /// The key is destroyed, and no process opens its values any more.
    #[event(delete, "{actor} destroyed the key of {subject} in {keys}: its personal data is erased")]
    Erased {
        /// The subject.
        #[event(target)]
        subject: Ref,
        /// The id of the event that decided it.
        decided: Uuid,
        /// The key store.
        keys: String,
        /// Why copies of the key may remain, if so.
        weak: Option<String>,
    },
}

/// The reference of the record of a subject.
pub(crate) fn record_of(subject: &Ref) -> Ref {
    Ref::unchecked(SubjectRecord::TYPE, subject.as_str())
}

/// The subject of a record.
pub(crate) fn subject_of(record: &Ref) -> Option<Ref> {
    (record.kind() == SubjectRecord::TYPE).then(|| record.id().parse().ok()).flatten()
}

/// Whether the state of a record says that the subject is erased, or is to be.
pub(crate) fn is_erased(state: &AnyState) -> bool {
    state.downcast_ref::<Loaded<SubjectRecord>>().is_some_and(|record| *record.state() != SubjectRecord::Present)
}
