//! The server, the directories, and a fresh place for each measurement.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use annals_bench_driver::{BoxError, schema_of};
use annals_test_postgres::Fresh;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::catalogue::{Database, Entry};

/// What a whole run stands on.
pub struct Session {
    /// Or why there is none.
    server: Result<Server, String>,
    directory: PathBuf,
    schemas: Mutex<Vec<String>>,
}

struct Server {
    /// Without a schema.
    url: String,
    /// The server that was started for this run lives as long.
    _started: Option<Fresh>,
}

/// Where one competitor's data lies.
pub enum Place {
    Schema { url: String, name: String },
    Directory(TempDir),
}

impl Place {
    /// As a process is told.
    pub fn address(&self) -> String {
        match self {
            Self::Schema { url, .. } => url.clone(),
            Self::Directory(directory) => directory.path().display().to_string(),
        }
    }
}

impl Session {
    /// Starts a server, if somebody needs one and none was named.
    pub async fn start(arguments: &Arguments, entries: &[Entry]) -> Result<Self, BoxError> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let directory = arguments.sqlite_dir.clone().unwrap_or(target);
        std::fs::create_dir_all(&directory)
            .map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
        let directory = directory.canonicalize()?;
        let server = match entries.iter().any(|entry| entry.database == Database::Postgres) {
            true => Server::find(arguments.database_url.clone()).await,
            false => Err("nobody who takes part needs one".to_owned()),
        };
        Ok(Self { server, directory, schemas: Mutex::default() })
    }

    /// Where SQLite files lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A connection to the server.
    pub async fn connect(&self) -> Result<PgConnection, BoxError> {
        Ok(PgConnection::connect(&self.server.as_ref().map_err(Clone::clone)?.url).await?)
    }

    /// An empty place.
    pub async fn fresh(&self, database: Database) -> Result<Place, BoxError> {
        match (database, &self.server) {
            (Database::Sqlite, _) => {
                Ok(Place::Directory(tempfile::Builder::new().prefix("annals-bench-").tempdir_in(&self.directory)?))
            }
            (Database::Postgres, Err(why)) => Err(why.clone().into()),
            (Database::Postgres, Ok(server)) => {
                let name = format!("bench_{}", uuid::Uuid::now_v7().simple());
                let mut connection = PgConnection::connect(&server.url).await?;
                self.schemas().push(name.clone());
                sqlx::query(&format!("CREATE SCHEMA {name}")).execute(&mut connection).await?;
                connection.close().await?;
                let joint = if server.url.contains('?') { '&' } else { '?' };
                Ok(Place::Schema { url: format!("{}{joint}schema={name}", server.url), name })
            }
        }
    }

    /// Lets the server do now to what was just written what it would do in the minutes that follow, in the middle of a
    /// measurement. A log that is rebuilt from is mostly older than that.
    pub async fn settle(&self, place: &Place) -> Result<(), BoxError> {
        let Place::Schema { name, .. } = place else { return Ok(()) };
        let mut connection = self.connect().await?;
        let tables =
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_catalog.pg_tables WHERE schemaname = $1";
        let tables: Vec<String> = sqlx::query_scalar(tables).bind(name).fetch_all(&mut connection).await?;
        for table in tables {
            sqlx::query(&format!("VACUUM (ANALYZE) {table}")).execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }

    /// Leaves nothing behind.
    pub async fn remove(&self, place: Place) {
        match place {
            Place::Schema { name, .. } => self.drop_schema(&name).await,
            Place::Directory(directory) => {
                if let Err(error) = directory.close() {
                    eprintln!("  a directory could not be removed: {error}");
                }
            }
        }
    }

    /// Drops what an interrupted measurement left.
    pub async fn clean_up(&self) {
        let left = self.schemas().clone();
        for schema in left {
            self.drop_schema(&schema).await;
        }
    }

    async fn drop_schema(&self, name: &str) {
        let Ok(server) = &self.server else { return };
        let dropped = async {
            let mut connection = PgConnection::connect(&server.url).await?;
            sqlx::query(&format!("DROP SCHEMA IF EXISTS {name} CASCADE")).execute(&mut connection).await?;
            connection.close().await
        };
        match dropped.await {
            Ok(()) => self.schemas().retain(|schema| schema != name),
            Err(error) => eprintln!("  the schema {name} could not be dropped: {error}"),
        }
    }

    fn schemas(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    async fn find(named: Option<String>) -> Result<Self, String> {
        if let Some(url) = named {
            return Ok(Self { url: schema_of(&url).0, _started: None });
        }
        // A thread of its own: starting a server takes its time, and may panic where there is none to start.
        let started = tokio::task::spawn_blocking(Fresh::schema).await;
        let started = started.map_err(|_| {
            "no PostgreSQL could be started: name one with --database-url, or leave its competitors out with --only"
        })?;
        Ok(Self { url: schema_of(started.url()).0, _started: Some(started) })
    }
}
