//! A transaction on a shared connection.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::{Executor, PgConnection};

use super::connections::{Loan, Origin, Purpose, User};

/// An open transaction. Dropping it closes the connection, and the server rolls back.
pub(super) struct Open {
    loan: Loan,
    user: Arc<User>,
}

impl Open {
    /// Begins a transaction with these statements. After an error nothing was done.
    pub(super) async fn begin(user: &Arc<User>, purpose: Purpose, begin: &str) -> Result<Self, sqlx::Error> {
        let mut loan = user.lend(purpose).await?;
        let origin = loan.origin();
        let begun = user.connections.attend(origin, loan.execute(begin)).await;
        match begun.unwrap_or_else(|silent| Err(silent.into())) {
            Ok(_) => Ok(Self { loan, user: user.clone() }),
            Err(error) => {
                if super::fault::lost(&error) {
                    user.connections.doubt(origin);
                }
                Err(error)
            }
        }
    }

    pub(super) fn origin(&self) -> Origin {
        self.loan.origin()
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Rolls back and returns the connection to the pool.
    pub(super) async fn roll_back(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        let ended = self.user.connections.attend(self.loan.origin(), self.loan.execute(how)).await;
        ended.unwrap_or_else(|silent| Err(silent.into()))?;
        self.loan.give_back();
        Ok(())
    }

    /// Rolls back in a task; without a runtime the connection is closed.
    pub(super) fn let_go(self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // An error closes the connection, which rolls back too.
            runtime.spawn(self.roll_back());
        }
    }
}

impl Deref for Open {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.loan
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.loan
    }
}
