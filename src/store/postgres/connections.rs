//! The connections of this process to one database: all stores in it share them, one for each schema or tenant.
//!
//! They are bounded for each [`Purpose`]; a caller that finds none free waits, for [`FREE`] at most. With the one that
//! listens, that is at most 34 connections per database and process, however many schemas are open, and at most 24 to a standby
//! that is read. (Opening, checking and copying a store each take one more while they last.)
//!
//! A connection returns to the pool only when its user calls [`Loan::give_back`]; a dropped one is closed, so that none
//! returns in the middle of an answer or a transaction. When one turns out to be dead ([`Connections::doubt`]), all that
//! are as old are closed too: the server was restarted, or the address now leads to another server. A connection to a
//! read-only server is replaced after [`READ_ONLY`] for the same reason.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::lost;
use super::listener::Listener;
use super::location::CONNECT;

/// How many of the connections for views snapshots may use: the others are for transactions.
pub(super) const SNAPSHOTS: usize = 12;
/// How long a caller waits for a free connection or snapshot: half as long as a response over HTTP may take to begin.
pub(super) const FREE: Duration = Duration::from_secs(if cfg!(test) { 12 } else { 30 });
/// An unused connection is closed after this time: sooner than most firewalls drop it.
const IDLE: Duration = Duration::from_secs(240);
/// How long a connection to a read-only server is used: the primary may be elsewhere by then.
const READ_ONLY: Duration = Duration::from_secs(2);
/// How long closing idle connections may take. Closing is only a courtesy to the server.
const CLOSE: Duration = Duration::from_secs(1);
/// How often connecting is tried again after the new connection was lost.
const LOST: u32 = 3;
/// The time between two attempts to connect to a server that is starting.
const PAUSE: Duration = Duration::from_millis(50);

/// What a connection is used for. Each purpose has its own connections, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading the log.
    Log,
    /// Transactions of projections, and reading views.
    Views,
    /// Appending batches.
    Append,
    /// Holding the log's lock for one caller.
    WriteLock,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Log, Self::Views, Self::Append, Self::WriteLock];

    /// The most connections of this purpose.
    pub(super) const fn most(self) -> usize {
        match self {
            Self::Log => 8,
            Self::Views => 16,
            Self::Append => 6,
            Self::WriteLock => 3,
        }
    }
}

/// The URL of a database, without the schema, and the runtime that its connections belong to.
type Key = (String, Option<tokio::runtime::Id>);

static DATABASES: LazyLock<Mutex<HashMap<Key, Weak<Connections>>>> = LazyLock::new(Mutex::default);

/// The connections to one database.
pub(super) struct Connections {
    pub(super) pooler: bool,
    /// Whether they are for reading from a standby, which is always read-only.
    standby: bool,
    pub(super) options: PgConnectOptions,
    /// Each statement is planned again: a plan made on empty tables scans full ones.
    reading: PgConnectOptions,
    kept: [Kept; 4],
    /// Raised by [`Connections::doubt`]: connections of an earlier generation are not used again.
    generation: AtomicU64,
    /// How many stores use it.
    users: AtomicUsize,
    pub(super) listener: Arc<Listener>,
    /// The permits of open snapshots of views; a further snapshot waits.
    pub(super) snapshots: Arc<Semaphore>,
}

struct Kept {
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: OpenConnection,
    since: Instant,
}

impl Kept {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct OpenConnection {
    inner: PgConnection,
    origin: Origin,
    read_only: bool,
    made: Instant,
    /// The schema that last used it, whose statements are prepared on it.
    schema: Arc<str>,
}

/// The origin of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The process id of the server process; `None` behind a pooler, where it changes.
    pub(super) backend: Option<i32>,
    generation: u64,
}

impl Connections {
    /// Returns the connections to the database of this URL, shared with other stores of this process.
    ///
    /// `url` is without the parameters of this crate.
    pub(super) fn of(url: &str, pooler: bool, standby: bool, options: PgConnectOptions) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::try_current().ok().map(|handle| handle.id());
        let key = (format!("{pooler} {standby} {url}"), runtime);
        let mut databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
        databases.retain(|_, connections| connections.strong_count() > 0);
        if let Some(known) = databases.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let reading = match pooler {
            true => options.clone(),
            false => options.clone().options([("plan_cache_mode", "force_custom_plan")]),
        };
        let kept = Purpose::ALL
            .map(|purpose| Kept { slots: Arc::new(Semaphore::new(purpose.most())), idle: Mutex::default() });
        let made = Arc::new(Self {
            pooler,
            standby,
            listener: Listener::new(options.clone()),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS)),
            options,
            reading,
            kept,
            generation: AtomicU64::new(0),
            users: AtomicUsize::new(0),
        });
        databases.insert(key, Arc::downgrade(&made));
        made
    }

    fn kept(&self, purpose: Purpose) -> &Kept {
        &self.kept[purpose as usize]
    }

    /// Stops using all connections that are as old as this failed one. It may be the only dead one, but after a restart of
    /// the server, or behind an address that now leads elsewhere, all of them are.
    pub(super) fn doubt(&self, origin: Origin) {
        let next = origin.generation + 1;
        let raised =
            self.generation.compare_exchange(origin.generation, next, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if raised {
            for kept in &self.kept {
                kept.idle().retain(|idle| idle.connection.origin.generation >= next);
            }
        }
    }

    /// Takes the idle connection used last, by the same schema if there is one.
    fn idle(&self, purpose: Purpose, schema: &str) -> Option<OpenConnection> {
        let mut idle = self.kept(purpose).idle();
        idle.retain(|idle| self.is_fresh(idle));
        let own = idle.iter().rposition(|idle| &*idle.connection.schema == schema);
        let found = own.or_else(|| idle.len().checked_sub(1))?;
        Some(idle.remove(found).connection)
    }

    fn is_fresh(&self, Idle { connection, since }: &Idle) -> bool {
        connection.origin.generation == self.generation.load(Ordering::SeqCst)
            && since.elapsed() < IDLE
            && (self.standby || !connection.read_only || connection.made.elapsed() < READ_ONLY)
    }

    async fn connect(&self, purpose: Purpose, schema: &Arc<str>) -> Result<OpenConnection, sqlx::Error> {
        let generation = self.generation.load(Ordering::SeqCst);
        let options = match purpose {
            Purpose::Log | Purpose::Views => &self.reading,
            Purpose::Append | Purpose::WriteLock => &self.options,
        };
        let mut connection = options.connect().await?;
        let (mut backend, mut read_only) = (None, false);
        if !self.pooler {
            const ABOUT: &str = "SELECT pg_backend_pid(), current_setting('transaction_read_only') = 'on'";
            let row = connection.fetch_one(ABOUT).await?;
            (backend, read_only) = (Some(row.try_get(0)?), row.try_get(1)?);
        }
        let origin = Origin { backend, generation };
        Ok(OpenConnection { inner: connection, origin, read_only, made: Instant::now(), schema: schema.clone() })
    }

    /// Opens a connection. Tries again if it is lost while it is opened: nothing was sent on it. Readers wait for a server that
    /// is starting.
    async fn connect_in_time(&self, purpose: Purpose, schema: &Arc<str>) -> Result<OpenConnection, sqlx::Error> {
        let reads = matches!(purpose, Purpose::Log | Purpose::Views);
        let mut lost_before = 0;
        loop {
            match self.connect(purpose, schema).await {
                Err(error) if reads && is_starting(&error) => {}
                Err(error) if lost(&error) && lost_before < LOST => lost_before += 1,
                connected => return connected,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn take_back(&self, purpose: Purpose, connection: OpenConnection) {
        if self.users.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.kept(purpose).idle().push(Idle { connection, since: Instant::now() });
        for kept in &self.kept {
            kept.idle().retain(|idle| self.is_fresh(idle));
        }
    }

    /// Closes the idle connections.
    async fn close_idle(&self) {
        let idle: Vec<Idle> = self.kept.iter().flat_map(|kept| std::mem::take(&mut *kept.idle())).collect();
        let closing = idle.into_iter().map(|idle| idle.connection.inner.close());
        // After a timeout the server notices by itself that they are gone.
        let _ = tokio::time::timeout(CLOSE, futures::future::join_all(closing)).await;
    }
}

/// Whether the server is starting.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

/// The server did not answer in time when a connection was opened.
#[derive(Debug, thiserror::Error)]
#[error("the server does not answer within {CONNECT:?}: check that it runs, and that no firewall blocks it")]
pub(super) struct Unanswered;

/// One of the stores that use the connections. Closed or dropped, it gets no more; the last one closes the idle ones.
pub(super) struct User {
    pub(super) connections: Arc<Connections>,
    schema: Arc<str>,
    open: AtomicBool,
}

impl User {
    pub(super) fn new(connections: Arc<Connections>, schema: &str) -> Self {
        connections.users.fetch_add(1, Ordering::SeqCst);
        Self { connections, schema: schema.into(), open: AtomicBool::new(true) }
    }

    /// Lends a connection as soon as one is free: [`sqlx::Error::PoolTimedOut`] after [`FREE`].
    pub(super) async fn lend(self: &Arc<Self>, purpose: Purpose) -> Result<Loan, sqlx::Error> {
        let slots = self.connections.kept(purpose).slots.clone();
        let slot =
            tokio::time::timeout(FREE, slots.acquire_owned()).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let slot = slot.map_err(|_| sqlx::Error::PoolClosed)?;
        let lent = async {
            if !self.open.load(Ordering::SeqCst) {
                return Err(sqlx::Error::PoolClosed);
            }
            let connection = match self.connections.idle(purpose, &self.schema) {
                Some(mut connection) => {
                    connection.schema = self.schema.clone();
                    connection
                }
                None => self.connections.connect_in_time(purpose, &self.schema).await?,
            };
            Ok(Loan { connection, purpose, user: self.clone(), _slot: slot })
        };
        let lent = tokio::time::timeout(CONNECT, lent).await;
        lent.unwrap_or_else(|_| Err(sqlx::Error::AnyDriverError(Unanswered.into())))
    }

    /// Ends the use; returns whether this was the last user.
    fn leave(&self) -> bool {
        self.open.swap(false, Ordering::SeqCst) && self.connections.users.fetch_sub(1, Ordering::SeqCst) == 1
    }

    pub(super) async fn close(&self) {
        if self.leave() {
            self.connections.close_idle().await;
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A connection on loan. Dropping it closes it: see [`Loan::give_back`].
pub(super) struct Loan {
    connection: OpenConnection,
    purpose: Purpose,
    user: Arc<User>,
    _slot: OwnedSemaphorePermit,
}

impl Loan {
    pub(super) fn origin(&self) -> Origin {
        self.connection.origin
    }

    /// Whether the server is read-only.
    pub(super) fn is_read_only(&self) -> bool {
        self.connection.read_only
    }

    /// Returns the connection to the pool: every request on it was answered, and no transaction is open.
    pub(super) fn give_back(self) {
        let Self { connection, purpose, user, _slot } = self;
        user.connections.take_back(purpose, connection);
    }
}

impl Deref for Loan {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection.inner
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection.inner
    }
}
