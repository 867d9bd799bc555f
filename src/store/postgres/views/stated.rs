//! What a statement says of itself, before the database sees it; and what the database says of it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::place::Place;
use super::tokens::{Token, tokens};
use super::{DOING, LOCK_WAIT};
use crate::BoxError;
use crate::store::{Row, StoreError};

/// What begins a statement that would take the transaction out of its owner's hands.
const NOT_YOURS: &[&str] =
    &["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare", "set", "reset"];

pub(super) fn fault(place: &Place, sql: &str, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(said) if matches!(said.code().as_deref(), Some("55P03" | "40P01")) => {
            StoreError::Busy(LOCK_WAIT)
        }
        sqlx::Error::Database(said) if said.code().as_deref() == Some("42501") => place.fault(DOING, error),
        sqlx::Error::Database(_) | sqlx::Error::Encode(_) | sqlx::Error::Decode(_) => wrong(sql, error),
        sqlx::Error::Protocol(_) => wrong(sql, error),
        _ => place.fault(DOING, error),
    }
}

pub(super) fn wrong(sql: &str, error: impl Into<BoxError>) -> StoreError {
    #[derive(Debug, thiserror::Error)]
    #[error("{sql}")]
    struct Sql {
        sql: String,
        source: BoxError,
    }
    StoreError::Database { doing: DOING, source: Sql { sql: sql.to_owned(), source: error.into() }.into() }
}

/// One statement with its parameters.
#[derive(Debug)]
pub(super) struct Stated<'s> {
    pub sql: Cow<'s, str>,
    pub rows: Cow<'s, [Row]>,
    /// How many parameters it names.
    pub named: usize,
}

impl<'s> Stated<'s> {
    /// Looks that it is one statement, of a projection, and that each row has the parameters that it names.
    ///
    /// Postgres cannot tell the type of a parameter that is given and not named: such are left out.
    pub(super) fn of(sql: &'s str, rows: &'s [Row]) -> Result<Self, StoreError> {
        let tokens = tokens(sql);
        let end = tokens.iter().position(|placed| placed.is_sign(';'));
        if end.is_some_and(|end| tokens[end..].iter().any(|placed| !placed.is_sign(';'))) {
            return Err(wrong(sql, "these are several statements: run them one by one"));
        }
        let Some(first) = tokens.first().filter(|_| end != Some(0)) else {
            return Err(wrong(sql, "there is no statement in it"));
        };
        if NOT_YOURS.iter().any(|word| first.is(word)) {
            let word = sql[first.at.clone()].to_uppercase();
            return Err(wrong(
                sql,
                format!(
                    "{word} would have ended the transaction or changed its connection: leave that to its owner"
                ),
            ));
        }
        let parameters = || {
            tokens.iter().filter_map(|placed| match placed.token {
                Token::Parameter(number) => Some((number, placed.at.clone())),
                _ => None,
            })
        };
        let used: BTreeSet<usize> = parameters().map(|(number, _)| number).collect();
        let most = used.last().copied().unwrap_or(0);
        if most > usize::from(u16::MAX) || used.contains(&0) {
            return Err(wrong(sql, format!("placeholders are `$1`, `$2`, … up to `${}`", u16::MAX)));
        }
        if let Some(row) = rows.iter().find(|row| row.len() != most) {
            return Err(wrong(sql, format!("it names {most} parameters, {} were given", row.len())));
        }
        if used.len() == most {
            return Ok(Self { sql: sql.into(), rows: rows.into(), named: most });
        }
        let (mut compact, mut at) = (String::new(), 0);
        for (number, place) in parameters() {
            let smaller = used.range(..=number).count();
            compact += &format!("{}${smaller}", &sql[at..place.start]);
            at = place.end;
        }
        compact += &sql[at..];
        let rows = rows.iter().map(|row| used.iter().map(|number| row[number - 1].clone()).collect());
        Ok(Self { sql: compact.into(), rows: rows.collect::<Vec<Row>>().into(), named: used.len() })
    }
}
