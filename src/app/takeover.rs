//! Taking over a database of postgres-es, and what only the owner of a PostgreSQL store does.

use super::{App, OpenError};
use crate::store::{OpenOptions, Takeover};

impl App {
    /// Declares how a log of postgres-es is taken over, for [`App::migrate`] and for `migrate` on the command line.
    #[must_use]
    pub fn takeover(mut self, takeover: Takeover) -> Self {
        self.takeover = takeover;
        self
    }

    /// Turns a database of postgres-es into a store, in one transaction, or reads it as if it did: see [`Takeover`]. Every
    /// event is decoded with this application's event types before anything is written.
    ///
    /// # Errors
    /// When there is no such database, an event cannot be taken over, this user lacks a right, or the database fails.
    pub async fn migrate(self, url: &str) -> Result<crate::store::Migrated, OpenError> {
        self.check()?;
        let check_id = |aggregate: &crate::events::Ref| {
            let known = self.aggregate_types.iter().find(|known| known.name() == aggregate.kind());
            known.map_or(Ok(()), |known| known.0.fresh(aggregate).map(drop))
        };
        let reading = crate::store::TakeoverReading { types: &self.types, check_id: &check_id };
        Ok(crate::store::migrate(url, self.create_options(), &self.takeover, reading).await?)
    }

    /// Puts the table of postgres-es back in place of the store that [`App::migrate`] made, until the first command: see
    /// [`crate::store::undo_migration`].
    ///
    /// # Errors
    /// When the store was not taken over, a command was executed since, or the database fails.
    pub async fn undo_migration(self, url: &str) -> Result<crate::store::Undone, OpenError> {
        Ok(crate::store::undo_migration(url, self.create_options(), &self.takeover).await?)
    }

    fn create_options(&self) -> OpenOptions {
        OpenOptions { app: self.name.to_owned(), clock: self.clock.clone(), create: true }
    }

    /// Creates a store on PostgreSQL, or upgrades its schema, as its owner: see [`crate::store::upgrade`].
    #[cfg(feature = "cli")]
    pub(crate) async fn upgrade(&self, url: &str) -> Result<Option<crate::store::Upgraded>, OpenError> {
        self.check()?;
        Ok(crate::store::upgrade(url, self.create_options()).await?)
    }
}
