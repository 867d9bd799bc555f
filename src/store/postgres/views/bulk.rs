//! Writing a statement for one row of parameters anew, so that it takes many.
//!
//! Each parameter becomes an array, and the arrays are laid side by side as rows. This is done only where it means the
//! same as running the statement row by row, in order: an `INSERT` of one row of values, a `DELETE`, a `SELECT`, none
//! of which looks at other rows than its own. All else is run row by row.

use std::ops::Range;

use super::tokens::{Placed, Token, tokens};

/// A statement that takes arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bulk {
    pub sql: String,
    /// The parameters (counted from 0) of which two rows may not have all alike in one statement: an upsert does not
    /// come upon a row twice.
    pub unique: Vec<usize>,
}

/// The one name that the rows of parameters have: no table of an application is called so.
const ROWS: &str = r#""$""#;

/// Words that may make a statement look at other rows than its own, or answer.
const TOO_MUCH: &[&str] = &["select", "with", "table", "returning", "values", "default", "using", "current"];

fn column(parameter: usize) -> String {
    format!(r#""${parameter}""#)
}

/// `UNNEST($1, …) AS "$" ("$1", …)`
fn rows(parameters: usize, also: &str) -> String {
    let arrays: Vec<String> = (1..=parameters).map(|n| format!("${n}")).collect();
    let columns: Vec<String> = (1..=parameters).map(column).collect();
    let (with, more) = if also.is_empty() { ("", "") } else { (" WITH ORDINALITY", also) };
    format!("UNNEST({}){with} AS {ROWS} ({}{more})", arrays.join(", "), columns.join(", "))
}

/// A part of the statement with the rows' columns in place of its parameters.
fn part(sql: &str, tokens: &[Placed], range: Range<usize>) -> String {
    let (mut text, mut at) = (String::new(), range.start);
    for placed in tokens.iter().filter(|placed| range.contains(&placed.at.start)) {
        if let Token::Parameter(number) = placed.token {
            text += &sql[at..placed.at.start];
            text += &format!("{ROWS}.{}", column(number));
            at = placed.at.end;
        }
    }
    text + &sql[at..range.end]
}

fn any(tokens: &[Placed], words: &[&str]) -> bool {
    tokens.iter().any(|placed| words.iter().any(|word| placed.is(word)))
}

fn any_parameter(tokens: &[Placed]) -> bool {
    tokens.iter().any(|placed| matches!(placed.token, Token::Parameter(_)))
}

/// The statement without the semicolon at its end.
fn trimmed(mut tokens: Vec<Placed>) -> Vec<Placed> {
    while tokens.last().is_some_and(|last| last.is_sign(';')) {
        tokens.pop();
    }
    tokens
}

/// Of the tokens from an opening bracket on, how many there are up to the one that closes it.
fn bracketed(tokens: &[Placed]) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, placed) in tokens.iter().enumerate() {
        match placed.token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// What stands between the commas of a list.
fn items(tokens: &[Placed]) -> Vec<&[Placed]> {
    let mut depth = 0_usize;
    let parts = tokens.split(|placed| {
        match placed.token {
            Token::Sign('(' | '[') => depth += 1,
            Token::Sign(')' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && placed.is_sign(',')
    });
    parts.collect()
}

/// The statement that does for all rows what `sql` does for one; `None` where that is not certain.
pub(super) fn execute_many(sql: &str, parameters: usize) -> Option<Bulk> {
    let tokens = trimmed(tokens(sql));
    match tokens.first() {
        Some(first) if first.is("insert") => insert(sql, &tokens, parameters),
        Some(first) if first.is("delete") => delete(sql, &tokens, parameters),
        _ => None,
    }
}

/// `INSERT INTO table (columns) VALUES (…) ON CONFLICT …`
fn insert(sql: &str, tokens: &[Placed], parameters: usize) -> Option<Bulk> {
    let values = tokens.iter().position(|placed| placed.is("values"))?;
    let open = values + 1;
    let close = open + bracketed(&tokens[open..]).filter(|length| *length > 0)?;
    let (before, within, after) = (&tokens[..values], &tokens[open + 1..close], &tokens[close + 1..]);
    let others = [before, after].concat();
    if any(within, TOO_MUCH) || any(&others, TOO_MUCH) || any_parameter(&others) {
        return None;
    }
    let unique = match after {
        [] => Vec::new(),
        [on, conflict, ..] if on.is("on") && conflict.is("conflict") => {
            match after.windows(2).any(|two| two[0].is("do") && two[1].is("nothing")) {
                true => Vec::new(),
                false => conflicting(before, within, after)?,
            }
        }
        _ => return None,
    };
    let end = tokens.last()?.at.end;
    let sql = format!(
        "{}SELECT {} FROM {}{}",
        &sql[..tokens[values].at.start],
        part(sql, tokens, tokens[open].at.end..tokens[close].at.start),
        rows(parameters, ""),
        if after.is_empty() { String::new() } else { format!(" {}", &sql[after[0].at.start..end]) },
    );
    Some(Bulk { sql, unique })
}

/// The parameters that go into the columns of `ON CONFLICT (…)`, if each of those takes one as it is.
fn conflicting(before: &[Placed], within: &[Placed], after: &[Placed]) -> Option<Vec<usize>> {
    let open = before.iter().position(|placed| placed.is_sign('('))?;
    let columns = items(before.get(open + 1..before.len() - 1)?);
    let values = items(within);
    if columns.len() != values.len() || !after.get(2)?.is_sign('(') {
        return None;
    }
    let target = &after[3..2 + bracketed(&after[2..])?];
    let name = |tokens: &[Placed]| match tokens {
        [Placed { token: Token::Word(name) | Token::Name(name), .. }] => Some(name.clone()),
        _ => None,
    };
    let parameter = |target: &[Placed]| {
        let target = name(target)?;
        let index = columns.iter().position(|column| name(column).is_some_and(|column| column == target))?;
        match values[index] {
            [Placed { token: Token::Parameter(number), .. }] => number.checked_sub(1),
            _ => None,
        }
    };
    items(target).into_iter().map(parameter).collect()
}

/// `DELETE FROM table WHERE …`
fn delete(sql: &str, tokens: &[Placed], parameters: usize) -> Option<Bulk> {
    let whether = tokens.iter().position(|placed| placed.is("where"))?;
    if any(tokens, TOO_MUCH) || any_parameter(&tokens[..whether]) {
        return None;
    }
    let end = tokens.last()?.at.end;
    let sql = format!(
        "{}USING {} WHERE ({})",
        &sql[..tokens[whether].at.start],
        rows(parameters, ""),
        part(sql, tokens, tokens[whether].at.end..end),
    );
    Some(Bulk { sql, unique: Vec::new() })
}

/// The query that answers what `sql` answers to each row, in the order of the rows, and for each row in the order
/// that `sql` asks for. Its first column says which row an answer is for, from 1; the second number that comes back
/// says how many columns stand before the answer's own.
pub(super) fn query_many(sql: &str, parameters: usize) -> Option<(String, usize)> {
    let tokens = trimmed(tokens(sql));
    if !tokens.first()?.is("select") || any(&tokens, &["for", "into"]) {
        return None;
    }
    let all = part(sql, &tokens, 0..tokens.last()?.at.end);
    let rows = rows(parameters, r#", "$n""#);
    let begin = format!(r#"SELECT {ROWS}."$n", "$q".* FROM {rows} CROSS JOIN LATERAL"#);
    Some(match any(&tokens, &["order"]) {
        false => (format!(r#"{begin} ({all}) AS "$q" ORDER BY 1"#), 1),
        true => {
            let numbered = format!(r#"SELECT row_number() OVER () AS "$m", "$o".* FROM ({all}) AS "$o""#);
            (format!(r#"{begin} ({numbered}) AS "$q" ORDER BY 1, 2"#), 2)
        }
    })
}
