//! The connections of this process to one database: all stores in it share them, one for each schema or tenant.
//!
//! They are bounded for each [`Purpose`]; whoever finds none free waits, for [`CONNECT`] at most. With the one that
//! listens, that is at most 34 connections per database and process, however many schemas are open. (Opening, checking
//! and copying a store each take one more for as long as they last.)
//!
//! A connection goes back to the pool only when its user says that all went well ([`Loan::give_back`]); one that is
//! dropped is closed, so that none comes back in the middle of an answer or of a transaction. When one turns out to be
//! dead ([`Connections::doubt`]), all that are as old are closed too: the server was restarted, or an address leads to
//! another server now. One to a server that is read-only is replaced after [`READ_ONLY`] for the same reason.

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
use super::place::CONNECT;

/// How many connections for views may be taken by snapshots: the others are left to those who write.
pub(super) const SNAPSHOTS: usize = 12;
/// A connection that nobody used for so long is closed: sooner than most firewalls forget it.
const IDLE: Duration = Duration::from_secs(240);
/// A connection to a server that is read-only is used for so long at most: the primary may be elsewhere by then.
const READ_ONLY: Duration = Duration::from_secs(2);
/// How long a farewell to the server may take. Nothing depends on it.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often a connection that is lost while it is being made is tried again.
const LOST: u32 = 3;
/// Between two attempts to connect to a server that is being started.
const PAUSE: Duration = Duration::from_millis(50);

/// What a connection is lent for. Each purpose has connections of its own, so that none waits for another.
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

    /// How many connections it has at most.
    pub(super) const fn most(self) -> usize {
        match self {
            Self::Log => 8,
            Self::Views => 16,
            Self::Append => 6,
            Self::WriteLock => 3,
        }
    }
}

/// A database as this process reaches it: the same for all of its schemas. A connection lives on its runtime.
type Key = (String, Option<tokio::runtime::Id>);

static DATABASES: LazyLock<Mutex<HashMap<Key, Weak<Connections>>>> = LazyLock::new(Mutex::default);

/// The connections to one database.
pub(super) struct Connections {
    pub(super) pooler: bool,
    pub(super) options: PgConnectOptions,
    /// Plans are made for the tables as they are now: one that was made when they were empty reads them whole.
    reading: PgConnectOptions,
    kept: [Kept; 4],
    /// Raised by [`Connections::doubt`]: what was made before is not lent any more.
    generation: AtomicU64,
    /// How many stores use it.
    users: AtomicUsize,
    pub(super) listener: Arc<Listener>,
    /// How many snapshots of views may be open at once, of the connections for views; more wait.
    pub(super) snapshots: Arc<Semaphore>,
}

struct Kept {
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    line: Line,
    since: Instant,
}

impl Kept {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Line {
    connection: PgConnection,
    origin: Origin,
    read_only: bool,
    made: Instant,
    /// The schema that it was used for last: its statements are prepared.
    schema: Arc<str>,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The process id of the server's end; `None` behind a pooler, where it changes.
    pub(super) backend: Option<i32>,
    generation: u64,
}

impl Connections {
    /// The connections to the database of this URL, which other stores of this process may use already.
    ///
    /// `url` is without what only this crate knows.
    pub(super) fn of(url: &str, pooler: bool, options: PgConnectOptions) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::try_current().ok().map(|handle| handle.id());
        let key = (format!("{pooler} {url}"), runtime);
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

    /// Does not lend any more what was made before this connection failed. It may be the only one; but a server that
    /// was restarted, or an address that leads elsewhere now, leaves all of them dead.
    pub(super) fn doubt(&self, origin: Origin) {
        let next = origin.generation + 1;
        let raised =
            self.generation.compare_exchange(origin.generation, next, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if raised {
            for kept in &self.kept {
                kept.idle().retain(|idle| idle.line.origin.generation >= next);
            }
        }
    }

    /// The connection used last, by the same schema if there is one.
    fn idle(&self, purpose: Purpose, schema: &str) -> Option<Line> {
        let mut idle = self.kept(purpose).idle();
        idle.retain(|idle| self.is_fresh(idle));
        let own = idle.iter().rposition(|idle| &*idle.line.schema == schema);
        let found = own.or_else(|| idle.len().checked_sub(1))?;
        Some(idle.remove(found).line)
    }

    fn is_fresh(&self, Idle { line, since }: &Idle) -> bool {
        line.origin.generation == self.generation.load(Ordering::SeqCst)
            && since.elapsed() < IDLE
            && !(line.read_only && line.made.elapsed() > READ_ONLY)
    }

    async fn connect(&self, purpose: Purpose, schema: &Arc<str>) -> Result<Line, sqlx::Error> {
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
        Ok(Line { connection, origin, read_only, made: Instant::now(), schema: schema.clone() })
    }

    /// A new connection: one that is lost while it is being made is tried again, since nothing was asked on it. Readers
    /// wait for a server that is being started.
    async fn connect_in_time(&self, purpose: Purpose, schema: &Arc<str>) -> Result<Line, sqlx::Error> {
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

    fn take_back(&self, purpose: Purpose, line: Line) {
        if self.users.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.kept(purpose).idle().push(Idle { line, since: Instant::now() });
        for kept in &self.kept {
            kept.idle().retain(|idle| self.is_fresh(idle));
        }
    }

    /// Says goodbye on all that nobody uses.
    async fn close_idle(&self) {
        let idle: Vec<Idle> = self.kept.iter().flat_map(|kept| std::mem::take(&mut *kept.idle())).collect();
        let farewells = idle.into_iter().map(|idle| idle.line.connection.close());
        // Nothing depends on it: without, the server notices that they are gone.
        let _ = tokio::time::timeout(FAREWELL, futures::future::join_all(farewells)).await;
    }
}

/// Whether the server will be there in a moment.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

/// One store among those that use the connections. Closed or dropped, it gets no more; the last one closes what is
/// idle.
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

    /// A connection, as soon as one is free.
    pub(super) async fn lend(self: &Arc<Self>, purpose: Purpose) -> Result<Loan, sqlx::Error> {
        let lent = async {
            let slots = self.connections.kept(purpose).slots.clone();
            let slot = slots.acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            if !self.open.load(Ordering::SeqCst) {
                return Err(sqlx::Error::PoolClosed);
            }
            let line = match self.connections.idle(purpose, &self.schema) {
                Some(mut line) => {
                    line.schema = self.schema.clone();
                    line
                }
                None => self.connections.connect_in_time(purpose, &self.schema).await?,
            };
            Ok(Loan { line, purpose, user: self.clone(), _slot: slot })
        };
        tokio::time::timeout(CONNECT, lent).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Whether it was the last user.
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
    line: Line,
    purpose: Purpose,
    user: Arc<User>,
    _slot: OwnedSemaphorePermit,
}

impl Loan {
    pub(super) fn origin(&self) -> Origin {
        self.line.origin
    }

    /// Whether it leads to a server that cannot be written.
    pub(super) fn is_read_only(&self) -> bool {
        self.line.read_only
    }

    /// Lets others use it: all that was asked on it was answered, and no transaction is open.
    pub(super) fn give_back(self) {
        let Self { line, purpose, user, _slot } = self;
        user.connections.take_back(purpose, line);
    }
}

impl Deref for Loan {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.line.connection
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.line.connection
    }
}
