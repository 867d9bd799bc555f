//! The PostgreSQL server, the directories, and an empty database for each measurement.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use annals_bench_driver::{BoxError, schema_of};
use annals_test_postgres::Fresh;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::catalogue::{Database, Entry};

/// The resources of a run.
pub struct Session {
    /// The server, or why there is none.
    server: Result<Server, String>,
    directory: PathBuf,
    schemas: Mutex<Vec<String>>,
}

struct Server {
    /// URL without a schema.
    url: String,
    /// Keeps the server alive that was started for this run.
    _started: Option<Fresh>,
}

/// The place of the data of one measurement.
pub enum Place {
    Schema {
        url: String,
        name: String,
    },
    /// A stream of NATS JetStream, with the local file that the URL names.
    Stream {
        url: String,
    },
    Directory(TempDir),
}

impl Place {
    /// The URL of a log in it.
    pub fn url(&self) -> String {
        match self {
            Self::Schema { url, .. } | Self::Stream { url } => url.clone(),
            Self::Directory(directory) => format!("sqlite://{}", directory.path().join("log.db").display()),
        }
    }

    /// The place as an argument of a process.
    pub fn address(&self) -> String {
        match self {
            Self::Schema { url, .. } | Self::Stream { url } => url.clone(),
            Self::Directory(directory) => directory.path().display().to_string(),
        }
    }
}

impl Session {
    /// Starts a server if a competitor needs one and no URL was given.
    pub async fn start(arguments: &Arguments, entries: &[Entry]) -> Result<Self, BoxError> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let directory = arguments.sqlite_dir.clone().unwrap_or(target);
        std::fs::create_dir_all(&directory)
            .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        let directory = directory.canonicalize()?;
        let server = match entries.iter().any(|entry| entry.database == Database::Postgres) {
            true => Server::find(arguments.database_url.clone()).await,
            false => Err("no selected competitor needs one".to_owned()),
        };
        Ok(Self { server, directory, schemas: Mutex::default() })
    }

    /// The directory of SQLite files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A connection to the server.
    pub async fn connect(&self) -> Result<PgConnection, BoxError> {
        Ok(PgConnection::connect(&self.server.as_ref().map_err(Clone::clone)?.url).await?)
    }

    /// Creates an empty place.
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

    /// Runs VACUUM now, which the server would otherwise run some minutes later, during a measurement. Most logs that are rebuilt
    /// from are older than that.
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

    /// Removes the place.
    pub async fn remove(&self, place: Place) {
        match place {
            Place::Schema { name, .. } => self.drop_schema(&name).await,
            // It ends with its servers.
            Place::Stream { .. } => {}
            Place::Directory(directory) => {
                if let Err(error) = directory.close() {
                    eprintln!("  cannot remove a directory: {error}");
                }
            }
        }
    }

    /// Drops the schemas of interrupted measurements.
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
            Err(error) => eprintln!("  cannot drop the schema {name}: {error}"),
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
        // In a thread, because starting a server blocks, and panics if PostgreSQL is not installed.
        let started = tokio::task::spawn_blocking(Fresh::schema).await;
        let started = started.map_err(|_| {
            "cannot start PostgreSQL: give a server with --database-url, or select other competitors with --only"
        })?;
        Ok(Self { url: schema_of(started.url()).0, _started: Some(started) })
    }
}
