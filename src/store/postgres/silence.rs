//! A connection on which nothing comes any more, although nobody has closed it: a frozen server, a firewall that has
//! forgotten it, an address that leads elsewhere now.
//!
//! The socket tells nothing of that, and sqlx has no way to set keepalives on it. So whoever waits for an answer asks
//! after [`SILENCE`], on a new connection, whether the server is still at work for it, and again each time that the
//! same time has passed. If not, or if that is not answered within [`CONNECT`], the connection is given up: 15 seconds
//! after it fell silent at the latest. A statement that takes long for good reasons takes as long as it needs.
//!
//! The server looks after its own ends, by `tcp_keepalives_idle` and `tcp_user_timeout`: one that cannot get rid of an
//! answer ends after [`UNTAKEN`], with its locks.
//!
//! Behind a pooler nobody knows which of the server's processes it is: there an answer may take [`POOLED`].

use std::pin::pin;
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, Executor, Row};

use super::connections::{Connections, Origin};
use super::place::CONNECT;

/// After so long without an answer it is asked whether the server is still at it.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// How long the server tries to get rid of an answer that is not taken.
const UNTAKEN: Duration = Duration::from_secs(15);
/// How long an answer may take behind a pooler.
const POOLED: Duration = Duration::from_secs(60);

/// Nothing came any more, and the server was not at work.
#[derive(Debug, thiserror::Error)]
#[error("the connection fell silent: the server does not answer, and does not work on it any more")]
pub(super) struct Silent;

impl From<Silent> for sqlx::Error {
    fn from(silent: Silent) -> Self {
        Self::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silent))
    }
}

/// Settings with which the server notices clients that are gone.
pub(super) fn settings() -> [(&'static str, String); 3] {
    [
        ("tcp_keepalives_idle", "10".to_owned()),
        ("tcp_keepalives_interval", "5".to_owned()),
        ("tcp_user_timeout", UNTAKEN.as_millis().to_string()),
    ]
}

impl Connections {
    /// Waits for what is asked on the connection of this origin. If it falls silent, it must not be used again.
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

    /// Whether the server is at work on a connection, or was a moment ago.
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
            // Nothing depends on the farewell.
            let _ = connection.close().await;
            Ok(at_work)
        };
        match tokio::time::timeout(CONNECT, asked).await {
            Ok(Ok(at_work)) => at_work,
            // It takes no more connections: it is there, and it is asked again.
            Ok(Err(sqlx::Error::Database(error))) => error.code().as_deref() == Some("53300"),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
