//! What stores on SQL databases share: checks and errors of statements that a projection passes as text, and the names of
//! its tables.

use super::StoreError;
use crate::BoxError;
use crate::digest::short_hash;

/// Words that begin or end a transaction or change its connection. What follows a `COMMIT` would be written without the
/// checkpoint.
const RESERVED: [&str; 15] = [
    "ABORT",
    "ATTACH",
    "BEGIN",
    "COMMIT",
    "DETACH",
    "END",
    "PRAGMA",
    "PREPARE",
    "RELEASE",
    "RESET",
    "ROLLBACK",
    "SAVEPOINT",
    "SET",
    "START",
    "VACUUM",
];

/// An error that shows the statement.
#[derive(Debug, thiserror::Error)]
#[error("{sql}")]
struct StatementError {
    sql: String,
    source: BoxError,
}

/// The error of a statement.
pub(super) fn fault(sql: &str, error: impl Into<BoxError>) -> StoreError {
    let source = StatementError { sql: sql.to_owned(), source: error.into() };
    StoreError::Database { doing: "running a statement of a projection", source: Box::new(source) }
}

/// Refuses a text without a statement, and statements that only the store may run.
pub(super) fn check(sql: &str) -> Result<(), StoreError> {
    let statement = without_comments(sql);
    if statement.is_empty() {
        return Err(fault(sql, "the text holds no statement"));
    }
    let word: String = statement.chars().take_while(char::is_ascii_alphabetic).collect();
    let word = word.to_ascii_uppercase();
    match RESERVED.contains(&word.as_str()) {
        true => Err(fault(
            sql,
            format!("{word} ends the transaction or changes its connection: only the store may run it"),
        )),
        false => Ok(()),
    }
}

/// The statement without the blanks, semicolons and comments before it.
fn without_comments(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ';');
        sql = if let Some(comment) = sql.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = sql.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return sql;
        };
    }
}

/// Returns the projection's name if it is an identifier of at most `longest` bytes that is no other's prefix and does not
/// begin with a reserved word; else `x0` and its hash.
pub(super) fn identifier(name: &str, reserved: &[&str], longest: usize) -> String {
    let identifier = name.len() <= longest
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // Something like `_v1` comes before the version.
    let has_version =
        name.match_indices("_v").any(|(at, _)| name[at + 2..].starts_with(|c: char| c.is_ascii_digit()));
    match identifier && !has_version && !reserved.iter().any(|word| name.starts_with(word)) {
        true => name.to_owned(),
        false => format!("x0{}", short_hash(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_found_behind_comments_and_empty_texts_are_refused() {
        for sql in [
            "COMMIT",
            " end;",
            "/* x */ -- y\n rollback",
            ";BEGIN",
            "--\n/**/savepoint a",
            "Pragma x",
            "commit--",
            "SET search_path = x",
            "",
            " ; ",
            "/* COMMIT",
        ] {
            assert!(check(sql).is_err(), "{sql}");
        }
        for sql in ["INSERT INTO t VALUES ('COMMIT')", "SELECT 1 -- COMMIT", "endings", "\"end\""] {
            check(sql).unwrap();
        }
    }
}
