//! [`Fresh`]: an empty schema or database, dropped with its test.

use crate::{psql, shared};

/// An empty schema or database of its own, dropped with this.
#[derive(Debug)]
pub struct Fresh {
    /// The server's URL, with which the schema or database is dropped.
    server: String,
    url: String,
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Schema,
    Database,
}

impl Fresh {
    /// Returns the name of a schema that does not exist yet, on the shared server.
    ///
    /// # Panics
    /// When there is no server and none can be started.
    #[must_use]
    pub fn schema() -> Self {
        Self::schema_on(shared::server())
    }

    /// Returns the name of such a schema on another server.
    #[must_use]
    pub fn schema_on(server: &str) -> Self {
        let name = name();
        let joint = if server.contains('?') { '&' } else { '?' };
        Self { server: server.to_owned(), url: format!("{server}{joint}schema={name}"), kind: Kind::Schema, name }
    }

    /// Creates an empty database on the shared server.
    ///
    /// # Panics
    /// When there is no server and none can be started, or its user may not create databases.
    #[must_use]
    pub fn database() -> Self {
        let (server, name) = (shared::server(), name());
        sql(server, &format!("CREATE DATABASE {name}"));
        Self { server: server.to_owned(), url: with_database(server, &name), kind: Kind::Database, name }
    }

    /// Returns the URL of the store.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the name of the schema or the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL with psql, beside the store. Returns a line for each row, with columns separated by `|`.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn sql(&self, text: &str) -> String {
        self.try_sql(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Runs SQL that may fail.
    ///
    /// # Errors
    /// The output of psql.
    pub fn try_sql(&self, text: &str) -> Result<String, String> {
        match self.kind {
            Kind::Schema => psql::run(&self.server, &format!("SET search_path TO {};\n{text}", self.name)),
            Kind::Database => psql::run(&self.url, text),
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // If dropping fails, a later run does it.
        let name = &self.name;
        let _ = match self.kind {
            Kind::Schema => {
                psql::run(&self.server, &format!("SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS {name} CASCADE"))
            }
            Kind::Database => psql::run(&self.server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")),
        };
    }
}

pub(crate) fn sql(url: &str, text: &str) -> String {
    psql::run(url, text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns a unique name that begins with the time, so that old ones can be found.
fn name() -> String {
    format!("t_{}", uuid::Uuid::now_v7().simple())
}

fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let (scheme, rest) = address.split_once("://").expect("a URL begins with postgres://");
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{host}/{database}{query}")
}

/// Drops schemas and databases that crashed tests left, if they are older than this many seconds.
pub(crate) fn sweep(server: &str, seconds: u64) {
    let found = psql::run(
        server,
        "SELECT 'SCHEMA ' || nspname FROM pg_namespace WHERE nspname ~ '^t_[0-9a-f]{32}$' \
         UNION ALL SELECT 'DATABASE ' || datname FROM pg_database WHERE datname ~ '^t_[0-9a-f]{32}$'",
    );
    let Ok(found) = found else { return };
    for line in found.lines() {
        let Some((kind, name)) = line.split_once(' ') else { continue };
        let made = uuid::Uuid::parse_str(&name[2..]).ok().and_then(|id| id.get_timestamp());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if made.is_none_or(|made| made.to_unix().0 + seconds > now.as_secs()) {
            continue;
        }
        let cascade = if kind == "SCHEMA" { "CASCADE" } else { "WITH (FORCE)" };
        // Another process may do the same.
        let _ = psql::run(server, &format!("SET lock_timeout = '5s'; DROP {kind} IF EXISTS {name} {cascade}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_replaced_and_the_rest_is_kept() {
        for (url, expected) in [
            ("postgres://u:p@h:1/d", "postgres://u:p@h:1/x"),
            ("postgres://h", "postgres://h/x"),
            ("postgres://h/d?sslmode=disable", "postgres://h/x?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "x"), expected);
        }
    }
}
