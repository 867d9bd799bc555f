//! Compares the functions of the schema with those of the migrations.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};

use super::integrity::DOING;
use super::location::SchemaLocation;
use super::schema::{APPEND, EXPIRY, GUARD, LOCK};
use crate::store::{Finding, FindingKind, StoreError};

/// The files that create functions, in the order of the migrations: a later definition replaces an earlier one.
const FILES: [&str; 4] = [GUARD, LOCK, APPEND, EXPIRY];

const FOUND: &str = "SELECT p.proname::text, p.prosrc, p.prosecdef, coalesce(p.proconfig, '{}'), l.lanname::text, \
         CASE p.provolatile WHEN 'v' THEN 'VOLATILE' WHEN 's' THEN 'STABLE' ELSE 'IMMUTABLE' END \
         || CASE WHEN p.proisstrict THEN ' STRICT' ELSE '' END, p.proowner = e.relowner, \
         p.proacl IS NULL OR EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) a WHERE a.grantee = 0) \
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
     JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
     JOIN pg_catalog.pg_class e ON e.relnamespace = n.oid AND e.relname = 'events' \
     WHERE n.nspname = $1";

/// The checked properties of a function.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    body: String,
    language: String,
    /// `VOLATILE`, `STABLE` or `IMMUTABLE`.
    volatility: String,
    /// Whether it runs with the rights of its owner.
    definer: bool,
    /// Its settings, `name=value` without quotes and spaces, ordered.
    settings: Vec<String>,
}

/// Returns the differences from the functions of the migrations.
pub(super) async fn differences(
    location: &SchemaLocation,
    on: &mut PgConnection,
) -> Result<Vec<Finding>, StoreError> {
    let rows = sqlx::query(FOUND).persistent(false).bind(location.plain_schema()).fetch_all(on).await;
    let rows = rows.map_err(|error| location.fault(DOING, error))?;
    let mut problems = Vec::new();
    for (name, made) in made(location) {
        let mut named = Vec::new();
        for row in &rows {
            if row.try_get::<String, _>(0).map_err(|error| location.fault(DOING, error))? == name {
                named.push(row);
            }
        }
        match named.as_slice() {
            [] => problems.push(format!("the function {name} is missing")),
            [row] => problems.extend(changes(&name, &made, row).map_err(|error| location.fault(DOING, error))?),
            _ => problems
                .push(format!("there are {} functions {name}: drop those that are not this crate's", named.len())),
        }
    }
    Ok(problems.into_iter().map(|problem| Finding::new(FindingKind::Protection, problem)).collect())
}

fn changes(name: &str, made: &Function, row: &sqlx::postgres::PgRow) -> Result<Vec<String>, sqlx::Error> {
    let found = Function {
        body: row.try_get(1)?,
        definer: row.try_get(2)?,
        settings: plain(row.try_get::<Vec<String>, _>(3)?.iter().map(String::as_str)),
        language: row.try_get(4)?,
        volatility: row.try_get(5)?,
    };
    let (owned, public): (bool, bool) = (row.try_get(6)?, row.try_get(7)?);
    let mut problems = Vec::new();
    let mut changed = |what: &str| problems.push(format!("the function {name} was changed: {what}"));
    if (&found.body, &found.language) != (&made.body, &made.language) {
        changed("its body differs");
    }
    if found.definer != made.definer {
        changed(if made.definer { "it is not SECURITY DEFINER" } else { "it is SECURITY DEFINER" });
    }
    if found.settings != made.settings {
        changed(&format!("its settings are {:?}, not {:?}", found.settings, made.settings));
    }
    if found.volatility != made.volatility {
        changed(&format!("it is {}, not {}", found.volatility, made.volatility));
    }
    if !owned {
        changed("its owner is not the owner of the table events");
    }
    if made.definer && public {
        problems.push(format!("everybody may execute the function {name}: REVOKE ALL ON FUNCTION … FROM PUBLIC"));
    }
    Ok(problems)
}

/// Returns the functions of the migrations, by name.
fn made(location: &SchemaLocation) -> BTreeMap<String, Function> {
    let start = format!("CREATE FUNCTION {}.", location.schema());
    let mut made = BTreeMap::new();
    for file in FILES {
        let sql = location.sql(file).replace("CREATE OR REPLACE FUNCTION", "CREATE FUNCTION");
        let mut parts = sql.split("$annals$");
        while let (Some(before), Some(body)) = (parts.next(), parts.next()) {
            let Some((_, definition)) = before.rsplit_once(&start) else { continue };
            let (name, _) = definition.split_once('(').unwrap_or((definition, ""));
            // After the arguments, which have comments.
            let (_, options) = definition.rsplit_once("LANGUAGE").unwrap_or_default();
            let options = options.split_whitespace().collect::<Vec<_>>().join(" ");
            let options = options.strip_suffix(" AS").unwrap_or(&options);
            let settings = plain(options.split(" SET ").skip(1));
            let definer = options.contains("SECURITY DEFINER");
            let language = options.split_whitespace().next().unwrap_or_default().to_owned();
            let mut words = options.split_whitespace();
            let volatility =
                words.find(|word| ["STABLE", "IMMUTABLE"].contains(word)).unwrap_or("VOLATILE").to_owned();
            let function = Function { body: body.to_owned(), language, volatility, definer, settings };
            made.insert(name.to_owned(), function);
        }
    }
    made
}

/// Settings without quotes and spaces: how Postgres quotes them depends on how it was set up.
fn plain<'a>(settings: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut plain: Vec<String> = settings
        .map(|setting| setting.chars().filter(|letter| !matches!(letter, '"' | '\'' | ' ')).collect())
        .collect();
    plain.sort();
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_functions_are_read_from_the_migrations_with_their_settings() {
        let made = made(&SchemaLocation::parse("postgres://h/d?schema=acme").unwrap());
        assert_eq!(made.keys().collect::<Vec<_>>(), ["append", "expire", "hold", "stay", "unreadable"]);
        let kind = |name: &str| (made[name].language.as_str(), made[name].volatility.as_str());
        assert_eq!((kind("append"), kind("unreadable")), (("plpgsql", "VOLATILE"), ("sql", "STABLE")));
        let append = &made["append"];
        assert!(append.definer && made["hold"].definer && !made["stay"].definer);
        assert!(append.settings.contains(&"search_path=pg_catalog,pg_temp".to_owned()), "{:?}", append.settings);
        assert!(append.settings.contains(&"lock_timeout=30s".to_owned()), "{:?}", append.settings);
        assert_eq!(made["stay"].settings, ["search_path=pg_catalog,pg_temp"]);
    }
}
