//! [`SchemaLocation`]: the server and schema of a store, and their name in messages.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::Semaphore;

use super::connections::{Connections, Loan, Origin, Purpose, Unanswered, User};
use super::listener::Subscription;
use super::liveness;
use super::transaction::Open;
use crate::store::StoreError;

/// How long a connection may take to be made.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// A schema of a database, and the connections to it, which stores in other schemas use too.
#[derive(Clone)]
pub(super) struct SchemaLocation {
    /// The URL without its password.
    name: String,
    /// The schema's name, not quoted.
    plain_schema: String,
    /// Quoted, for use in SQL: every name in every statement is qualified with it, because behind a pooler no session
    /// keeps a search path.
    schema: String,
    /// Whether the connections belong to a pooler in transaction mode, which keeps nothing of a session: no prepared
    /// statements, no LISTEN.
    pooler: bool,
    user: Arc<User>,
}

impl std::fmt::Debug for SchemaLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the options: the password is among them.
        f.debug_struct("SchemaLocation")
            .field("name", &self.name)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

/// A schema of a database, for what is no store.
#[derive(Clone)]
pub(crate) struct DatabaseUrl {
    /// The URL without its password.
    pub(crate) name: String,
    /// The schema, quoted for use in SQL.
    #[cfg(feature = "personal")]
    pub(crate) schema: String,
    pub(crate) options: PgConnectOptions,
}

#[cfg(feature = "personal")]
impl DatabaseUrl {
    /// Parses a URL as that of a store.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        read(url).map(|(_, database)| database)
    }

    /// The identifier of the server's files: the same on a primary and on its standbys, another one for each other cluster.
    pub(crate) async fn cluster(&self) -> Result<i64, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let cluster = sqlx::query_scalar("SELECT system_identifier FROM pg_catalog.pg_control_system()")
            .fetch_one(&mut connection)
            .await;
        // Closing is only a courtesy to the server.
        let _ = sqlx::Connection::close(connection).await;
        cluster
    }
}

fn read(url: &str) -> Result<(UrlOptions, DatabaseUrl), StoreError> {
    let unusable = |reason| StoreError::Unusable { store: "postgres://…".to_owned(), reason };
    let own = UrlOptions::parse(url).map_err(unusable)?;
    let options: PgConnectOptions = own.rest.parse().map_err(|_: sqlx::Error| {
        // The error may contain the password.
        unusable(UNREADABLE.to_owned())
    })?;
    let name = format!(
        "postgres://{}@{}:{}/{}?schema={}",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username()),
        own.schema,
    );
    let options = options.application_name("annals").disable_statement_logging();
    #[cfg(feature = "personal")]
    let schema = quoted(&own.schema);
    let database = DatabaseUrl {
        name,
        #[cfg(feature = "personal")]
        schema,
        options,
    };
    Ok((own, database))
}

impl SchemaLocation {
    /// Parses `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME&pooler=transaction`; connects when first used.
    /// Without `schema` it is `public`.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        Ok(Self::new(read(url)?, false))
    }

    /// Parses the URL in the parameter `read`: the same schema on a standby.
    pub(super) fn parse_standby(url: &str) -> Result<Option<Self>, StoreError> {
        let (UrlOptions { schema, read: standby, .. }, _) = read(url)?;
        let Some(standby) = standby else { return Ok(None) };
        let joint = if standby.contains('?') { '&' } else { '?' };
        let parsed = read(&format!("{standby}{joint}schema={schema}")).map_err(|error| match error {
            StoreError::Unusable { store, reason } => {
                StoreError::Unusable { store, reason: format!("in its parameter `read`, {reason}") }
            }
            other => other,
        })?;
        Ok(Some(Self::new(parsed, true)))
    }

    fn new((own, database): (UrlOptions, DatabaseUrl), standby: bool) -> Self {
        let UrlOptions { rest, schema, pooler, .. } = own;
        let DatabaseUrl { name, mut options, .. } = database;
        if pooler {
            // A pooler refuses unknown startup parameters, and prepared statements would remain on its connections.
            options = options.extra_float_digits(None).statement_cache_capacity(0);
        } else {
            options = options.options(liveness::settings());
        }
        let user = User::new(Connections::of(&rest, pooler, standby, options), &schema);
        Self { name, schema: quoted(&schema), plain_schema: schema, pooler, user: Arc::new(user) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Quoted, for use in SQL.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The schema's name, for use as a value.
    pub(super) fn plain_schema(&self) -> &str {
        &self.plain_schema
    }

    /// Whether nothing of a session outlives a transaction: statements are not prepared, and run in a transaction.
    pub(super) fn pooler(&self) -> bool {
        self.pooler
    }

    /// `sql` with the quoted schema in place of each `{schema}`.
    pub(super) fn sql(&self, sql: &str) -> String {
        sql.replace("{schema}", &self.schema)
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.user.connections.options
    }

    /// Opens a connection of its own, beside the shared ones, for one task.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        const DOING: &str = "connecting";
        match tokio::time::timeout(CONNECT, self.options().connect()).await {
            Ok(connected) => connected.map_err(|error| self.fault(DOING, error)),
            Err(_) => Err(self.unusable(Unanswered.to_string())),
        }
    }

    /// Lends one of the shared connections.
    pub(super) async fn lend(&self, purpose: Purpose) -> Result<Loan, sqlx::Error> {
        self.user.lend(purpose).await
    }

    /// Lends one of the shared connections, to a server that accepts writes.
    pub(super) async fn lend_to_write(&self, purpose: Purpose) -> Result<Loan, StoreError> {
        let lent = self.lend(purpose).await.map_err(|error| self.fault("connecting", error))?;
        if lent.is_read_only() {
            return Err(self.read_only("the server does not accept writes"));
        }
        Ok(lent)
    }

    /// Begins a transaction on one of the shared connections.
    pub(super) async fn begin(&self, purpose: Purpose, begin: &str) -> Result<Open, sqlx::Error> {
        Open::begin(&self.user, purpose, begin).await
    }

    /// Waits for an answer on a shared connection, unless the connection falls silent: see [`liveness`].
    pub(super) async fn attend<T>(
        &self,
        origin: Origin,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        self.user.connections.attend(origin, answer).await.unwrap_or_else(|silent| Err(silent.into()))
    }

    /// Replaces all connections that are as old as a dead one.
    pub(super) fn doubt(&self, origin: Origin) {
        self.user.connections.doubt(origin);
    }

    /// How many snapshots of views may be open at once.
    pub(super) fn snapshots(&self) -> Arc<Semaphore> {
        self.user.connections.snapshots.clone()
    }

    /// Subscribes to the other processes' appends; `None` behind a pooler, where LISTEN does not work.
    pub(super) fn subscribe(&self) -> Option<Subscription> {
        (!self.pooler).then(|| self.user.connections.listener.subscribe(self.channel()))
    }

    /// The channel on which processes notify each other that the log has grown: at most 63 bytes, as Postgres requires.
    pub(super) fn channel(&self) -> String {
        format!("annals {}", self.plain_schema)
    }

    pub(super) async fn close(&self) {
        self.user.close().await;
    }
}

/// The error of a URL in which any part may belong to a password.
const UNREADABLE: &str = "its URL cannot be read: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, and in a user or \
     password %40 for `@`, %2F for `/`, %3F for `?`, %23 for `#`";

/// The parameters of a URL that sqlx knows; it ignores all others.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Whether this can be the name of a parameter, and not a part of a password.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
}

/// An identifier for use in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A URL without the parameters of this crate, which sqlx does not know, and these.
#[derive(Debug, PartialEq)]
struct UrlOptions {
    rest: String,
    schema: String,
    pooler: bool,
    /// The URL of a standby.
    read: Option<String>,
}

impl UrlOptions {
    fn parse(url: &str) -> Result<Self, String> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        // A password that was not escaped would be taken for a database, and shown.
        let path =
            address.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        if url.contains('#') || path.contains('@') || query.contains('@') {
            return Err(UNREADABLE.to_owned());
        }
        let mut own = Self { rest: String::new(), schema: "public".to_owned(), pooler: false, read: None };
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("schema", name)) => own.schema = schema(name)?.to_owned(),
                Some(("pooler", "transaction")) => own.pooler = true,
                Some(("pooler", other)) => {
                    return Err(format!(
                        "its URL has `pooler={other}`: write `pooler=transaction`, or leave it out"
                    ));
                }
                Some(("read", standby)) => {
                    let standby = percent_decode_str(standby).decode_utf8().map_err(|_| UNREADABLE.to_owned())?;
                    own.read = Some(standby.into_owned());
                }
                Some((name, _)) if PARAMETERS.contains(&name) || name.starts_with("options[") => rest.push(pair),
                Some((name, _)) if is_word(name) => {
                    return Err(format!(
                        "its URL has an unknown parameter `{name}`: known are schema, pooler, read, {}",
                        PARAMETERS.join(", ")
                    ));
                }
                _ => return Err(UNREADABLE.to_owned()),
            }
        }
        let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        own.rest = format!("{address}{query}");
        Ok(own)
    }
}

/// Checks that a name needs no escaping anywhere and leaves room for longer names made of it: Postgres cuts names at 63
/// bytes.
fn schema(name: &str) -> Result<&str, String> {
    let fits = (1..=48).contains(&name.len()) && !name.starts_with("pg_");
    if fits && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-')) {
        return Ok(name);
    }
    Err(format!("`{name}` cannot be the name of a schema here: use letters, digits, `_` and `-`, at most 48 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_this_crate_are_removed_from_the_url() {
        let own = UrlOptions::parse("postgres://u@h/d?sslmode=disable&schema=acme&pooler=transaction&options[a]=b")
            .unwrap();
        let rest = "postgres://u@h/d?sslmode=disable&options[a]=b".to_owned();
        assert_eq!(own, UrlOptions { rest, schema: "acme".to_owned(), pooler: true, read: None });
        let own = UrlOptions::parse("postgres://u@h/d").unwrap();
        let rest = "postgres://u@h/d".to_owned();
        assert_eq!(own, UrlOptions { rest, schema: "public".to_owned(), pooler: false, read: None });
    }

    #[test]
    fn a_schema_that_would_need_escaping_is_refused() {
        for name in ["", "a'b", "a\"b", "a$b", "a b", "a%20b", "pg_catalog", &"x".repeat(49)] {
            assert!(UrlOptions::parse(&format!("postgres://h/d?schema={name}")).is_err(), "{name}");
        }
        assert!(UrlOptions::parse("postgres://h/d?pooler=session").is_err());
    }

    #[tokio::test]
    async fn no_name_and_no_message_contains_the_password() {
        let location = SchemaLocation::parse("postgres://user:s3cret@host:5/data?schema=acme").unwrap();
        assert_eq!(location.name(), "postgres://user@host:5/data?schema=acme");
        assert!(!format!("{location:?}").contains("s3cret"), "{location:?}");
        for url in [
            "postgres://user:s3cret@host:port/data",
            "postgres://user:5/s3cret@host/data",
            "postgres://user:5?s3cret@host/data",
            "postgres://user:5?s3cret=@host/data",
            "postgres://user:5#s3cret@host/data",
            "postgres://host/data?read=postgres://user:s3cret@host/data",
        ] {
            let refused = SchemaLocation::parse(url).unwrap_err();
            assert!(!format!("{refused:?} {refused}").contains("s3cret"), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_standby_has_the_schema_of_its_primary_and_a_password_of_its_own() {
        let read = "postgres%3A%2F%2Freader%3Aw%2540rd%40second%3A6%2Fdata%3Fpooler%3Dtransaction";
        let url = format!("postgres://user:s3cret@host:5/data?schema=acme&read={read}");
        assert_eq!(SchemaLocation::parse(&url).unwrap().name(), "postgres://user@host:5/data?schema=acme");
        let standby = SchemaLocation::parse_standby(&url).unwrap().unwrap();
        assert_eq!(standby.name(), "postgres://reader@second:6/data?schema=acme");
        assert!(standby.pooler() && standby.schema() == "\"acme\"");
        assert!(SchemaLocation::parse_standby("postgres://host/data").unwrap().is_none());
        for read in [
            "postgres%3A%2F%2Fu%3As3cret%40h%3Aport%2Fd",
            "postgres%3A%2F%2Fu%3As3cret%40h%2Fd%3Fnone%3D1",
            "s3cret",
        ] {
            let refused = SchemaLocation::parse_standby(&format!("postgres://h/d?read={read}")).unwrap_err();
            let words = format!("{refused:?} {refused}");
            assert!(words.contains("`read`") && !words.contains("s3cret"), "{words}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_name() {
        for name in ["Schema", "schemas", "pool", "connect_timeout"] {
            let refused = UrlOptions::parse(&format!("postgres://h/d?{name}=acme")).unwrap_err();
            assert!(refused.contains(&format!("`{name}`")) && refused.contains("schema, pooler"), "{refused}");
        }
    }
}
