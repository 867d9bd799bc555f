//! Detection of dead connections: the server is frozen, a firewall dropped the connection, or the address now leads to
//! another server.
//!
//! The socket reports none of this, and sqlx cannot set keepalives on it. So a caller that waits for an answer checks after
//! each [`SILENCE`], on a new connection, whether the server's process for this one still works. If it does not, or if the
//! check is not answered within [`CONNECT`], the connection is given up: 15 seconds after it fell silent at the latest. A long
//! statement takes as long as it needs.
//!
//! The server detects dead clients by `tcp_keepalives_idle` and `tcp_user_timeout`: a server process whose answer is not
//! received ends after [`UNTAKEN`] and releases its locks.
//!
//! Behind a pooler the process of the server is unknown: there an answer may take [`POOLED`].

use std::pin::pin;
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, Executor, Row};

use super::connections::{Connections, Origin};
use super::location::CONNECT;

/// After this time without an answer, the caller checks whether the server still works.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// How long the server tries to send an answer that is not received.
const UNTAKEN: Duration = Duration::from_secs(15);
/// How long an answer may take behind a pooler.
const POOLED: Duration = Duration::from_secs(60);

/// No answer came, and the server does not work on one.
#[derive(Debug, thiserror::Error)]
#[error("the connection fell silent: the server does not answer, and no longer works on the request")]
pub(super) struct Silent;

impl From<Silent> for sqlx::Error {
    fn from(silent: Silent) -> Self {
        Self::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silent))
    }
}

/// Settings with which the server detects dead clients.
pub(super) fn settings() -> [(&'static str, String); 3] {
    [
        ("tcp_keepalives_idle", "10".to_owned()),
        ("tcp_keepalives_interval", "5".to_owned()),
        ("tcp_user_timeout", UNTAKEN.as_millis().to_string()),
    ]
}

impl Connections {
    /// Waits for an answer on the connection of this origin. After an error the connection must not be used again.
    pub(super) async fn attend<T>(&self, origin: Origin, answer: impl Future<Output = T>) -> Result<T, Silent> {
        let mut answer = pin!(answer);
        let wait = if origin.backend.is_some() { SILENCE } else { POOLED };
        loop {
            if let Ok(answer) = tokio::time::timeout(wait, answer.as_mut()).await {
                return Ok(answer);
            }
            let at_work = tokio::select! {
                answer = answer.as_mut() => return Ok(answer),
                at_work = self.is_at_work(origin) => at_work,
            };
            if !at_work {
                self.doubt(origin);
                return Err(Silent);
            }
        }
    }

    /// Whether the server's process for a connection works, or did a moment ago.
    async fn is_at_work(&self, origin: Origin) -> bool {
        let Some(backend) = origin.backend else { return false };
        let asked = async {
            let mut connection = self.options.connect().await?;
            let sql = format!(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = {backend} AND \
                 (coalesce(state, '') NOT LIKE 'idle%' OR state_change > clock_timestamp() - interval '{} s'))",
                SILENCE.as_secs()
            );
            let row = connection.fetch_one(sql.as_str()).await?;
            let at_work = row.try_get(0)?;
            // Closing is only a courtesy to the server.
            let _ = connection.close().await;
            Ok(at_work)
        };
        match tokio::time::timeout(CONNECT, asked).await {
            Ok(Ok(at_work)) => at_work,
            // The server is alive but takes no more connections: check again later.
            Ok(Err(sqlx::Error::Database(error))) => error.code().as_deref() == Some("53300"),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
