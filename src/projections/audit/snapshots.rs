//! [`Snapshots`]: the snapshots of one query.

use std::ops::{Deref, DerefMut};

use crate::events::LogPosition;
use crate::projections::{ReadError, Reading};
use crate::store::ViewSnapshot;

/// Where a query gets its snapshots: from its caller, or its own. An own one is open only while the audit log's tables are read,
/// since a store has few and events of the log may take long to read.
pub(super) enum Snapshots<'a> {
    Given(&'a mut dyn ViewSnapshot),
    /// A new one each time, of a log that still holds the head of the one before.
    Own(&'a Reading, LogPosition),
}

impl<'a> Snapshots<'a> {
    /// Own snapshots, of a log that still holds the event `seen`.
    pub fn of(reading: &'a Reading, seen: LogPosition) -> Self {
        Self::Own(reading, seen)
    }

    /// A snapshot, until it is dropped.
    pub async fn lend(&mut self) -> Result<LentSnapshot<'_>, ReadError> {
        match self {
            Self::Given(snapshot) => Ok(LentSnapshot::Given(&mut **snapshot)),
            Self::Own(reading, seen) => {
                let snapshot = reading.snapshot_after(*seen).await?;
                *seen = snapshot.head();
                Ok(LentSnapshot::Own(snapshot))
            }
        }
    }
}

/// A snapshot on loan.
pub(super) enum LentSnapshot<'a> {
    Given(&'a mut dyn ViewSnapshot),
    Own(Box<dyn ViewSnapshot>),
}

impl<'a> Deref for LentSnapshot<'a> {
    type Target = dyn ViewSnapshot + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Given(snapshot) => &**snapshot,
            Self::Own(snapshot) => &**snapshot,
        }
    }
}

impl DerefMut for LentSnapshot<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Given(snapshot) => &mut **snapshot,
            Self::Own(snapshot) => &mut **snapshot,
        }
    }
}
