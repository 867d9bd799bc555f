//! Errors of Postgres as [`StoreError`], with what to do.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::connections::{FREE, Unanswered};
use super::location::SchemaLocation;
use super::owner;
use crate::store::{StoreError, clock, time_of_micros};

/// How long an append waits for the lock, as `append.sql` has it.
pub(super) const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// How often a statement that changes nothing is tried, each time on another connection, if its connection was lost. The first
/// lost connection replaces all that are as old.
pub(super) const ATTEMPTS: u32 = 5;

/// The Unix error codes for too many open files: in the system, and in the process.
const TOO_MANY_FILES: [i32; 2] = [23, 24];

/// Returns what to do when no TLS session is established.
fn tls_advice(error: &str) -> String {
    if cfg!(feature = "postgres-tls") {
        format!(
            "no TLS session is established ({error}): check that the server has `ssl = on` and a certificate for this host, \
             and name the certificate of its authority with `sslrootcert=FILE`"
        )
    } else {
        "its URL asks for TLS, and this program was built without it: build it with the feature `postgres-tls` of annals"
            .to_owned()
    }
}

impl SchemaLocation {
    pub(super) fn unusable(&self, reason: String) -> StoreError {
        StoreError::Unusable { store: self.name().to_owned(), reason }
    }

    pub(super) fn read_only(&self, message: &str) -> StoreError {
        self.unusable(format!(
            "it is read-only ({message}): this is a replica, or default_transaction_read_only is on: name the primary \
             server, or wait until it is back"
        ))
    }

    /// Converts an error while `doing`. Nothing was written.
    pub(super) fn fault(&self, doing: &'static str, error: sqlx::Error) -> StoreError {
        match &error {
            sqlx::Error::Database(database) => match self.advice(database.as_ref()) {
                Some(advised) => advised,
                None if rejects_data(database.as_ref()) => StoreError::Rejected { doing, source: error.into() },
                None => StoreError::Database { doing, source: error.into() },
            },
            sqlx::Error::PoolClosed => StoreError::Closed,
            sqlx::Error::PoolTimedOut => StoreError::NoneFree(FREE),
            sqlx::Error::AnyDriverError(error) if error.is::<Unanswered>() => self.unusable(Unanswered.to_string()),
            sqlx::Error::Io(failed) if failed.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code)) => self
                .unusable(format!("too many files are open ({failed}): raise the limit of open files (`ulimit -n`)")),
            sqlx::Error::Io(failed) if failed.kind() == std::io::ErrorKind::NotFound => self.unusable(format!(
                "a file that its URL names does not exist ({failed}): check `sslrootcert`, `sslcert` and `sslkey`, and the \
                 directory of a socket in `host`"
            )),
            // rustls reports a certificate that it does not trust as invalid data.
            sqlx::Error::Io(failed) if failed.kind() == std::io::ErrorKind::InvalidData => {
                self.unusable(tls_advice(&failed.to_string()))
            }
            sqlx::Error::Tls(_) => self.unusable(tls_advice(&error.to_string())),
            sqlx::Error::Io(_) => self.unusable(format!(
                "the server cannot be reached ({error}): check that it runs, and the host and port of the URL"
            )),
            _ => StoreError::Database { doing, source: error.into() },
        }
    }

    /// Returns the error with what to do; `None` if the server's error concerns the data.
    fn advice(&self, error: &dyn sqlx::error::DatabaseError) -> Option<StoreError> {
        let message = error.message();
        let reason = match error.code()?.as_ref() {
            "55P03" => return Some(StoreError::Busy(WAIT)),
            "28000" | "28P01" => {
                format!("the server refuses the user ({message}): check the user and password of the URL")
            }
            "3D000" => format!("{message}: make it with `createdb`, or name another"),
            "25006" => return Some(self.read_only(message)),
            "AN001" => format!("{message}: {}", clock::advice(&format!("{}.meta", self.schema()))),
            "AN004" => return detail(error).map(|name| StoreError::Requires(name.to_owned())),
            "AN003" => return expired_at(error).map(StoreError::Expired),
            "AN002" => format!("{message}: run `check`, and have the owner correct the row that it names"),
            "42501" if message.starts_with("annals:") => return None,
            "42501" => {
                let user = self.options().get_username();
                let grants = owner::grants(self, user).join("; ");
                format!(
                    "the user `{user}` lacks a right ({message}): as the schema's owner, run `migrate --grant {user}`, or \
                     {grants}"
                )
            }
            "53300" => {
                format!(
                    "the server accepts no more connections ({message}): raise max_connections, or use a pooler"
                )
            }
            "53100" | "53200" | "53000" => {
                format!("the server is out of disk space or memory ({message}): free some, then try again")
            }
            "57P01" | "57P02" | "57P03" | "57P05" => {
                format!("the server ends the connection ({message}): try again")
            }
            "08P01" if message.contains("startup parameter") => {
                format!("{message}: this is a pooler: add `pooler=transaction` to the URL")
            }
            "26000" | "42P05" => format!("{message}: behind a pooler, add `pooler=transaction` to the URL"),
            "25000" if message.starts_with("annals:") => {
                format!("{message}: set default_transaction_isolation to `read committed` for this user")
            }
            "42883" | "42P01" | "3F000" => {
                format!(
                    "a table or function of this crate is missing ({message}): restore the schema from a backup, or name another one"
                )
            }
            "40001" if message.contains("recovery") => format!(
                "the server ended the read ({message}): on a standby, set hot_standby_feedback = on or raise \
                 max_standby_streaming_delay"
            ),
            "57014" => format!("the server cancelled the statement ({message}): check its statement_timeout"),
            _ => return None,
        };
        Some(self.unusable(reason))
    }

    /// Converts an error of a transaction that was sent with its COMMIT.
    pub(super) fn after_sending(&self, doing: &'static str, error: sqlx::Error) -> StoreError {
        if proves_rollback(&error) { self.fault(doing, error) } else { StoreError::OutcomeUnknown(error.into()) }
    }
}

/// The time at which an expired batch would have been recorded: see `expiry.sql`.
fn expired_at(error: &dyn sqlx::error::DatabaseError) -> Option<jiff::Timestamp> {
    time_of_micros(detail(error)?.parse().ok()?).ok()
}

/// The detail of an error of the append function: a time, or the name of what the log requires.
fn detail(error: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<PgDatabaseError>()?.detail()
}

/// Whether the error proves that the transaction was rolled back. A server, balancer or pooler that ends the connection
/// (FATAL, PANIC) may do so after the commit.
fn proves_rollback(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => aborts_only_the_transaction(error.as_ref()),
        sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::Encode(_) => true,
        _ => false,
    }
}

/// Whether the server rolled back and keeps the connection.
pub(super) fn aborts_only_the_transaction(error: &dyn sqlx::error::DatabaseError) -> bool {
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    // Shutdown, crash, start and connection errors of any severity may follow a commit.
    let ending = error.code().is_none_or(|code| code.starts_with("57P") || code.starts_with("08"));
    severity == Some(PgSeverity::Error) && !ending
}

/// Whether the server rejects the data: a value (class 22), a constraint (23), a size (54).
fn rejects_data(error: &dyn sqlx::error::DatabaseError) -> bool {
    let class = error.code().and_then(|code| code.get(..2).map(str::to_owned));
    aborts_only_the_transaction(error) && matches!(class.as_deref(), Some("22" | "23" | "54"))
}

/// Whether the connection was lost: by shutdown, crash, or the time-out of an idle session.
pub(super) fn lost(error: &sqlx::Error) -> bool {
    match error {
        // A connection that is closed while it is opened is a protocol error.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || matches!(&*code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04")
        }),
        _ => false,
    }
}
