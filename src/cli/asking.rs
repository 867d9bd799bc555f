//! The flags of a question to the audit log, and who asks it.

use clap::Args;

use super::ReaderArgs;
use crate::BoxError;
use crate::app::{Annals, App};
use crate::projections::audit::{Asked, AuditQuery, Cursor};

/// What is asked for, and by whom.
#[derive(Args, Clone, Debug)]
pub(super) struct Asking {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    reader: ReaderArgs,
}

impl Asking {
    /// An error if it has to be said who reads, and is not.
    pub(super) fn check(&self, app: &App) -> Result<(), BoxError> {
        self.reader.check(app)
    }

    pub(super) fn limit(&self) -> Option<u64> {
        self.asked.limit
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.asked.cursor
    }

    /// The question, of all that there is: without limit and cursor.
    pub(super) fn of(&self, annals: &Annals) -> AuditQuery {
        self.asked.of_all(self.query(annals))
    }

    /// The question, with its limit and from its cursor on.
    pub(super) fn bounded(&self, annals: &Annals) -> AuditQuery {
        self.asked.of(self.query(annals))
    }

    fn query(&self, annals: &Annals) -> AuditQuery {
        match self.reader.of(annals) {
            Some(reader) => reader.audit(),
            None => annals.audit(),
        }
    }
}
