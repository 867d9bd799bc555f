//! Where a store lies: the server, the schema, and what it is called in messages.

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::store::StoreError;

/// A schema of a database, and a pool of connections to it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The URL without its password.
    name: String,
    /// Quoted, for use in SQL: every name in every statement is qualified with it, because behind a pooler no session
    /// keeps a search path.
    schema: String,
    pool: PgPool,
}

impl Place {
    /// Parses `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME`; connects when first used. Without `schema` it
    /// is `public`.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let (plain, schema) = split_schema(url);
        let schema = schema.unwrap_or_else(|| "public".to_owned());
        let options: PgConnectOptions = plain.parse().map_err(|error: sqlx::Error| StoreError::Unusable {
            store: "postgres://…".to_owned(),
            reason: format!("its URL cannot be read ({error}): write postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        })?;
        let name = format!(
            "postgres://{}@{}:{}/{}?schema={schema}",
            options.get_username(),
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or(options.get_username()),
        );
        let pool = PgPoolOptions::new().max_connections(16).test_before_acquire(false).connect_lazy_with(options);
        Ok(Self { name, schema: quoted(&schema), pool })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// An identifier for use in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Takes `schema=NAME` out of a URL's query: sqlx does not know it.
fn split_schema(url: &str) -> (String, Option<String>) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (mut schema, mut rest) = (None, Vec::new());
    for pair in query.split('&') {
        match pair.strip_prefix("schema=") {
            Some(name) => schema = Some(name.to_owned()),
            None => rest.push(pair),
        }
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    (format!("{address}{query}"), schema)
}
