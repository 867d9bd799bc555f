//! Which blocks are accepted, and the restrictions in them.
//!
//! A block is judged by its structure in the protobuf message, not by its text: text that is printed and parsed again can
//! be made to hide a check. A holder's block has checks only; each is `check if` with one predicate (`method`, `path`,
//! `target`, `observe` or `time`) and at most one comparison with a literal, or several such alternatives about the same fact. The
//! issuer's block also has the facts `actor` and `grant`.

use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::schema::check::Kind;
use biscuit_auth::format::schema::op_binary::Kind as Operator;
use biscuit_auth::format::schema::{Block, Check, Expression, Fact, OpBinary, Rule, Term, op, term};
use uuid::Uuid;

use super::restriction::{Restriction, Subject, Test, Value};
use crate::events::Ref;

/// The reason why a block is not accepted.
pub(super) type Reason = &'static str;

/// The versions of the block format whose meaning this code knows.
const VERSIONS: std::ops::RangeInclusive<u32> = 3..=6;

/// The first version that may name the kind of a check.
const NAMES_KINDS: u32 = 4;

/// The first version in which `==` may compare values of different types.
const COMPARES_TYPES: u32 = 6;

/// The strings of the blocks that were read so far. Blocks refer to strings by number.
#[derive(Default)]
pub(super) struct Symbols(SymbolTable);

impl Symbols {
    /// Adds the strings of a block.
    fn add(&mut self, block: &Block) -> Result<(), Reason> {
        let own = SymbolTable::from(block.symbols.clone()).map_err(|_| "it repeats a predefined string")?;
        self.0.extend(&own).map_err(|_| "it repeats a string of an earlier block")
    }

    fn get(&self, symbol: u64) -> Result<&str, Reason> {
        self.0.get_symbol(symbol).ok_or("it refers to a string that it does not have")
    }
}

/// Reads the issuer's block: the actor, the grant and its restrictions.
pub(super) fn issuer(block: &Block, symbols: &mut Symbols) -> Result<(Ref, Uuid, Vec<Restriction>), Reason> {
    let restrictions = checks(block, symbols)?;
    let facts: Result<Vec<(&str, &str)>, Reason> = block.facts.iter().map(|one| fact(one, symbols)).collect();
    let (actor, grant) = match facts?[..] {
        [("actor", actor), ("grant", grant)] | [("grant", grant), ("actor", actor)] => (actor, grant),
        _ => return Err("the issuer states other facts than one actor and one grant"),
    };
    let actor = percent_encoding::percent_decode_str(actor).decode_utf8().ok();
    let actor = actor.and_then(|actor| actor.parse().ok()).ok_or("its actor is not a reference")?;
    let grant = grant.parse().map_err(|_| "its grant is not a UUID")?;
    Ok((actor, grant, restrictions))
}

/// Reads a holder's block: its restrictions.
pub(super) fn holder(block: &Block, symbols: &mut Symbols) -> Result<Vec<Restriction>, Reason> {
    if !block.facts.is_empty() {
        return Err("it states facts, and only the issuer may");
    }
    checks(block, symbols)
}

/// A fact with one text.
fn fact<'a>(fact: &Fact, symbols: &'a Symbols) -> Result<(&'a str, &'a str), Reason> {
    let name = symbols.get(fact.predicate.name)?;
    match &fact.predicate.terms[..] {
        [Term { content: Some(term::Content::String(text)) }] => Ok((name, symbols.get(*text)?)),
        _ => Err("a fact of the issuer is not one text"),
    }
}

fn checks(block: &Block, symbols: &mut Symbols) -> Result<Vec<Restriction>, Reason> {
    let version = block.version.filter(|version| VERSIONS.contains(version)).ok_or("its version is not known")?;
    if !block.rules.is_empty() {
        return Err("it has a rule");
    }
    if !block.scope.is_empty() || !block.public_keys.is_empty() {
        return Err("it trusts other keys or blocks");
    }
    symbols.add(block)?;
    block.checks.iter().map(|one| check(one, version, symbols)).collect()
}

fn check(check: &Check, version: u32, symbols: &Symbols) -> Result<Restriction, Reason> {
    let only_if = check.kind.is_none_or(|kind| kind == Kind::One as i32);
    if !only_if || version < NAMES_KINDS && check.kind.is_some() {
        return Err("it has another check than `check if`");
    }
    let alternatives: Result<Vec<_>, Reason> =
        check.queries.iter().map(|query| alternative(query, version, symbols)).collect();
    let alternatives = alternatives?;
    let &(subject, _) = alternatives.first().ok_or("a check is empty")?;
    if alternatives.iter().any(|(other, _)| *other != subject) {
        return Err("a check is about two different facts");
    }
    Ok(Restriction { subject, any_of: alternatives.into_iter().map(|(_, test)| test).collect() })
}

/// One alternative of a check: a predicate, and at most one comparison of its variable with a literal.
fn alternative(query: &Rule, version: u32, symbols: &Symbols) -> Result<(Subject, Test), Reason> {
    if symbols.get(query.head.name)? != "query" || !query.head.terms.is_empty() || !query.scope.is_empty() {
        return Err("a check has a head or trusts other blocks");
    }
    let [predicate] = &query.body[..] else { return Err("a check has another number of predicates than one") };
    let subject = Subject::named(symbols.get(predicate.name)?)
        .ok_or("a check is about something else than method, path, target, observe or time")?;
    let [Term { content: Some(term) }] = &predicate.terms[..] else {
        return Err("a predicate of a check has another number of terms than one");
    };
    let test = match (term, &query.expressions[..]) {
        (term::Content::Variable(variable), []) => {
            symbols.get(u64::from(*variable))?;
            Test::Any
        }
        (term::Content::Variable(variable), [expression]) => {
            symbols.get(u64::from(*variable))?;
            comparison(expression, *variable, subject, version, symbols)?
        }
        (literal, []) => Test::Is(value(literal, subject, symbols)?),
        _ => return Err("a check has more than one comparison"),
    };
    Ok((subject, test))
}

/// `$variable == "text"`, `$variable.starts_with("text")`, `$variable < time`, `$variable <= time`.
fn comparison(
    expression: &Expression,
    variable: u32,
    subject: Subject,
    version: u32,
    symbols: &Symbols,
) -> Result<Test, Reason> {
    const SHAPE: Reason = "a comparison is not of a variable with a literal";
    let [left, right, operator] = &expression.ops[..] else { return Err(SHAPE) };
    let (Some(op::Content::Value(left)), Some(op::Content::Value(Term { content: Some(right) }))) =
        (&left.content, &right.content)
    else {
        return Err(SHAPE);
    };
    let Some(op::Content::Binary(OpBinary { kind, ffi_name: None })) = &operator.content else { return Err(SHAPE) };
    if left.content != Some(term::Content::Variable(variable)) {
        return Err(SHAPE);
    }
    match (Operator::from_i32(*kind), value(right, subject, symbols)?) {
        (Some(Operator::Equal), value) => Ok(Test::Is(value)),
        (Some(Operator::HeterogeneousEqual), value) if version >= COMPARES_TYPES => Ok(Test::Is(value)),
        (Some(Operator::Prefix), Value::Text(start)) => Ok(Test::StartsWith(start)),
        (Some(Operator::LessThan), Value::Time(time)) => Ok(Test::Before(time)),
        (Some(Operator::LessOrEqual), Value::Time(time)) => Ok(Test::Until(time)),
        _ => Err("a comparison is not ==, starts_with, or < or <= of a time"),
    }
}

/// A literal of the type that the subject's facts have.
fn value(literal: &term::Content, subject: Subject, symbols: &Symbols) -> Result<Value, Reason> {
    match (subject, literal) {
        (Subject::Method | Subject::Path | Subject::Target, term::Content::String(text)) => {
            Ok(Value::Text(symbols.get(*text)?.to_owned()))
        }
        (Subject::Observe, term::Content::Bool(flag)) => Ok(Value::Flag(*flag)),
        (Subject::Time, term::Content::Date(time)) => Ok(Value::Time(*time)),
        _ => Err("a literal has another type than the fact: text, for observe a boolean, for time a date"),
    }
}
