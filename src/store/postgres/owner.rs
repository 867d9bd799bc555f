//! The owner of a store, and the role that an application connects as.
//!
//! Only the owner changes the schema. An application may connect as another role: it needs the rights that [`grants`]
//! lists, and with them it cannot change or delete an event. See `SECURITY.md`.

use sqlx::{Executor, PgConnection, Row};

use super::location::{SchemaLocation, quoted};
use super::schema::{self, State, VERSION};
use super::views;
use crate::store::{OpenOptions, StoreError};

const DOING: &str = "granting rights";

/// The result of [`upgrade`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Upgraded {
    /// The version of the schema before; `None` if there was no store.
    pub from: Option<i64>,
    /// The version now.
    pub to: i64,
}

/// Creates the store, or migrates its schema to this program's version, as its owner. Returns `None` if the schema holds the
/// events of postgres-es: [`App::migrate`](crate::app::App::migrate) takes them over.
///
/// # Errors
/// When the schema is another application's or of a newer program, this user may not change it, or the database reports
/// an error.
pub async fn upgrade(url: &str, options: OpenOptions) -> Result<Option<Upgraded>, StoreError> {
    let location = SchemaLocation::parse(url)?;
    let mut connection = location.connect().await?;
    let from = match schema::look(&location, &mut connection).await? {
        State::PostgresEs => return Ok(None),
        found => schema::usable(&location, &options.app, found)?,
    };
    if from != Some(VERSION) {
        schema::migrate(&location, &mut connection, &options.app, true).await?;
    }
    Ok(Some(Upgraded { from, to: VERSION }))
}

/// Grants `role` the rights that an application needs, and makes it the owner of the tables of projections. Returns the
/// statements that it ran.
///
/// # Errors
/// When there is no store of this program's version, this user is not its owner, or the database reports an error.
pub async fn grant(url: &str, role: &str) -> Result<Vec<String>, StoreError> {
    let location = SchemaLocation::parse(url)?;
    let mut connection = location.connect().await?;
    let mut transaction = schema::begin(&location, &mut connection).await?;
    schema::lock(&location, &mut transaction).await?;
    match schema::inspect(&location, &mut transaction).await? {
        State::Ours { version: VERSION, .. } => {}
        _ => {
            return Err(
                location.unusable("there is no store of this program's version: run `migrate` first".to_owned())
            );
        }
    }
    let Rights { user, owner, acts_as_owner } = Rights::of(&location, &mut transaction).await?;
    if !acts_as_owner {
        return Err(location.unusable(format!(
            "its owner is `{owner}`, this user is `{user}`: run `migrate --grant` as the owner"
        )));
    }
    let mut statements = grants(&location, role);
    let tables = views::tables_of_others(&location, &mut transaction, role).await;
    for table in tables.map_err(|error| location.fault(DOING, error))? {
        let role = quoted(role);
        statements.push(format!("ALTER TABLE {}.{} OWNER TO {role}", location.schema(), quoted(&table)));
    }
    for statement in &statements {
        transaction.execute(statement.as_str()).await.map_err(|error| match &error {
            sqlx::Error::Database(said) => {
                let message = said.message();
                location.unusable(format!(
                    "`{statement}` failed ({message}): the role must exist (CREATE ROLE), and this user must be a \
                     superuser or, to hand tables over, a member of it (GRANT {role} TO {user})"
                ))
            }
            _ => location.fault(DOING, error),
        })?;
    }
    transaction.commit().await.map_err(|error| location.fault(DOING, error))?;
    Ok(statements)
}

/// Returns the statements that grant a role the rights of an application: to append to the log, to read it, and to run
/// projections.
pub(super) fn grants(location: &SchemaLocation, role: &str) -> Vec<String> {
    let role = quoted(role);
    let statements = [
        "GRANT USAGE, CREATE ON SCHEMA {schema} TO",
        "GRANT SELECT ON {schema}.meta, {schema}.events, {schema}.commands TO",
        "GRANT EXECUTE ON FUNCTION {schema}.hold, {schema}.append, {schema}.expire TO",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.projections, {schema}.notes, {schema}.leases, \
         {schema}.aggregate_snapshots TO",
    ];
    statements.map(|statement| format!("{} {role}", location.sql(statement))).into()
}

/// Checks that this user may migrate the schema from `version`; `None`: may create the store.
pub(super) async fn may_migrate(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    version: Option<i64>,
) -> Result<(), StoreError> {
    if let Some(version) = version {
        let Rights { user, owner, acts_as_owner } = Rights::of(location, connection).await?;
        return match acts_as_owner {
            true => Ok(()),
            false => Err(location.unusable(format!(
                "its schema has version {version}, this program needs {VERSION}: run `migrate` as its owner `{owner}`; \
                 this user is `{user}`"
            ))),
        };
    }
    const MAY: &str = "SELECT current_user::text, CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) \
         THEN has_schema_privilege($1, 'CREATE') ELSE has_database_privilege(current_database(), 'CREATE') END";
    let asked = sqlx::query(MAY).persistent(false).bind(location.plain_schema()).fetch_one(connection).await;
    let (user, may): (String, bool) = asked
        .and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .map_err(|error| location.fault(DOING, error))?;
    if may {
        return Ok(());
    }
    Err(location.unusable(format!(
        "it holds no store yet, and this user `{user}` may not create one: run `migrate --grant {user}` once as the \
         role that will own it"
    )))
}

/// The owner of the store, and the role of this connection.
struct Rights {
    user: String,
    owner: String,
    acts_as_owner: bool,
}

impl Rights {
    async fn of(location: &SchemaLocation, connection: &mut PgConnection) -> Result<Self, StoreError> {
        const ASK: &str = "SELECT current_user::text, pg_get_userbyid(c.relowner)::text, pg_has_role(c.relowner, 'USAGE') \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = 'meta'";
        let asked = sqlx::query(ASK).persistent(false).bind(location.plain_schema()).fetch_one(connection).await;
        let read = |row: sqlx::postgres::PgRow| {
            Ok(Self { user: row.try_get(0)?, owner: row.try_get(1)?, acts_as_owner: row.try_get(2)? })
        };
        asked.and_then(read).map_err(|error| location.fault(DOING, error))
    }
}
