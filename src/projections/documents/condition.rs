//! [`Condition`]: which values of a field a list of documents includes; [`ViewFilterParams`]: conditions as flags and
//! URL parameters.

use serde::{Deserialize, Serialize};

use super::{FieldInfo, FieldKind, FieldValue, Listing};
use crate::projections::{ReadError, Reading, indexed_text};
use crate::store::Cell;

/// The most values that the conditions of one list compare with: a database limits the parameters of a statement.
const MOST_VALUES: usize = 1_000;

/// Which values of a field are included.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// One of these.
    AnyOf(Vec<FieldValue>),
    /// This one and greater ones.
    From(FieldValue),
    /// Smaller ones.
    Until(FieldValue),
    /// Texts that begin with this.
    Prefix(String),
}

impl Condition {
    /// The condition in SQL; `place` adds a parameter and returns its placeholder.
    fn sql(
        &self,
        reading: &Reading,
        field: FieldInfo,
        place: &mut impl FnMut(Cell) -> String,
    ) -> Result<String, ReadError> {
        let column = field.column_name();
        Ok(match self {
            Self::AnyOf(values) => {
                let values = values.iter().map(|one| Ok(place(value(reading, field, one)?)));
                match values.collect::<Result<Vec<_>, ReadError>>()?.as_slice() {
                    [] => "1 = 0".to_owned(),
                    [one] => format!("{column} = {one}"),
                    some => format!("{column} IN ({})", some.join(", ")),
                }
            }
            Self::From(from) => format!("{column} >= {}", place(value(reading, field, from)?)),
            Self::Until(until) => format!("{column} < {}", place(value(reading, field, until)?)),
            Self::Prefix(prefix) => {
                let not = |what: String| ReadError::Invalid(format!("{what} of `{}`", reading.name()));
                if field.kind != FieldKind::Text {
                    return Err(not(format!("a prefix needs a text field, not the number `{}`", field.name)));
                }
                if !indexed_text::holds_prefix(prefix) {
                    let most = indexed_text::LONGEST_PREFIX;
                    return Err(not(format!(
                        "a prefix has at most {most} bytes: shorten that of `{}`",
                        field.name
                    )));
                }
                let from = format!("{column} >= {}", place(prefix.as_str().into()));
                match after_all_with(prefix) {
                    Some(end) => format!("{from} AND {column} < {}", place(end.into())),
                    None => from,
                }
            }
        })
    }

    fn values(&self) -> usize {
        match self {
            Self::AnyOf(values) => values.len(),
            Self::From(_) | Self::Until(_) | Self::Prefix(_) => 1,
        }
    }
}

/// The conditions in SQL, one for each.
pub(super) fn sql(
    conditions: &[(String, Condition)],
    reading: &Reading,
    place: &mut impl FnMut(Cell) -> String,
) -> Result<Vec<String>, ReadError> {
    let values: usize = conditions.iter().map(|(_, condition)| condition.values()).sum();
    if values > MOST_VALUES {
        let problem = format!("a list compares fields with at most {MOST_VALUES} values, not {values}");
        return Err(ReadError::Invalid(problem));
    }
    conditions
        .iter()
        .map(|(name, condition)| {
            let field = Listing::field(reading, name)?;
            if let Condition::From(from) = condition {
                check_order(conditions, reading, field, &value(reading, field, from)?)?;
            }
            condition.sql(reading, field, place)
        })
        .collect()
}

/// Refuses a range that ends before it starts.
fn check_order(
    conditions: &[(String, Condition)],
    reading: &Reading,
    field: FieldInfo,
    from: &Cell,
) -> Result<(), ReadError> {
    for (name, condition) in conditions {
        let Condition::Until(until) = condition else { continue };
        if name != field.name {
            continue;
        }
        let swapped = match (from, &value(reading, field, until)?) {
            (Cell::Integer(from), Cell::Integer(until)) => from > until,
            (Cell::Text(from), Cell::Text(until)) => from > until,
            _ => false,
        };
        if swapped {
            let problem = format!("the range of the field `{name}` ends before it starts: swap `from` and `until`");
            return Err(ReadError::Invalid(problem));
        }
    }
    Ok(())
}

/// The value in the field's type, as stored: on a command line numbers are text.
fn value(reading: &Reading, field: FieldInfo, value: &FieldValue) -> Result<Cell, ReadError> {
    match (field.kind, &value.0) {
        (FieldKind::Text, Cell::Text(text)) => Ok(Cell::from(&*indexed_text::indexed(text))),
        (FieldKind::Number, Cell::Integer(_)) => Ok(value.0.clone()),
        (FieldKind::Number, Cell::Text(text)) if text.parse::<i64>().is_ok() => {
            Ok(Cell::Integer(text.parse().unwrap_or_default()))
        }
        (kind, other) => Err(ReadError::Invalid(format!(
            "the field `{}` of `{}` is {}: {other:?} is not",
            field.name,
            reading.name(),
            if kind == FieldKind::Text { "text" } else { "a whole number" }
        ))),
    }
}

/// The first text after all texts with this prefix, in the order of their bytes; `None` if there is none.
fn after_all_with(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // The next character: the step from U+D7FF passes over the surrogates, which no text contains.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// The conditions of a list of documents, as command-line flags and URL parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "http", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "http", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct ViewFilterParams {
    /// Only documents with this field value: FIELD=VALUE; repeat it to require several
    #[cfg_attr(feature = "cli", arg(long, value_name = "FIELD=VALUE"))]
    #[cfg_attr(feature = "http", param(pattern = "^[a-z][a-z0-9_]*=[^\\x00]*$"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<String>,
    /// Only documents with one of several field values: FIELD=VALUE; repeat it for each value
    #[cfg_attr(feature = "cli", arg(long, value_name = "FIELD=VALUE"))]
    #[cfg_attr(feature = "http", param(pattern = "^[a-z][a-z0-9_]*=[^\\x00]*$"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<String>,
    /// Only documents with this field value or a greater one: FIELD=VALUE
    #[cfg_attr(feature = "cli", arg(long, value_name = "FIELD=VALUE"))]
    #[cfg_attr(feature = "http", param(pattern = "^[a-z][a-z0-9_]*=[^\\x00]*$"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Only documents with a smaller field value than this: FIELD=VALUE
    #[cfg_attr(feature = "cli", arg(long, value_name = "FIELD=VALUE"))]
    #[cfg_attr(feature = "http", param(pattern = "^[a-z][a-z0-9_]*=[^\\x00]*$"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub until: Vec<String>,
    /// Only documents whose text field begins with this text: FIELD=TEXT
    #[cfg_attr(feature = "cli", arg(long, value_name = "FIELD=TEXT"))]
    #[cfg_attr(feature = "http", param(pattern = "^[a-z][a-z0-9_]*=[^\\x00]*$"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<String>,
}

impl ViewFilterParams {
    /// The list with these conditions.
    ///
    /// # Errors
    /// When a condition is not FIELD=VALUE.
    pub fn listing(&self) -> Result<Listing, ReadError> {
        let mut listing = Listing::default();
        for filter in &self.filter {
            let (field, value) = parts(filter)?;
            listing = listing.filter(field, value);
        }
        let any = self.any.iter().map(|one| parts(one)).collect::<Result<Vec<_>, _>>()?;
        for (n, (field, _)) in any.iter().enumerate() {
            // The values of a field belong together, wherever they are given.
            if any.iter().take(n).all(|(earlier, _)| earlier != field) {
                let values = any.iter().filter(|(other, _)| other == field).map(|(_, value)| *value);
                listing = listing.any_of(field, values);
            }
        }
        for from in &self.from {
            let (field, value) = parts(from)?;
            listing = listing.from(field, value);
        }
        for until in &self.until {
            let (field, value) = parts(until)?;
            listing = listing.until(field, value);
        }
        for prefix in &self.prefix {
            let (field, text) = parts(prefix)?;
            listing = listing.prefix(field, text);
        }
        Ok(listing)
    }
}

fn parts(written: &str) -> Result<(&str, &str), ReadError> {
    let none = || format!("`{}` is no condition: write FIELD=VALUE", written.escape_debug());
    written.split_once('=').ok_or_else(|| ReadError::Invalid(none()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_end_of_a_prefix_is_after_all_texts_with_it_and_before_all_others(
            prefix in "[a-c\u{0}\u{1}\u{d7ff}\u{e000}\u{10ffff}]{0,4}",
            text in "[a-c\u{0}\u{1}\u{d7ff}\u{e000}\u{10ffff}]{0,6}",
        ) {
            let within = text.as_str() >= prefix.as_str()
                && after_all_with(&prefix).is_none_or(|end| text < end);
            prop_assert_eq!(within, text.starts_with(&prefix), "{:?} {:?}", prefix, text);
        }
    }

    #[test]
    fn alternatives_of_one_field_are_one_condition() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let params = ViewFilterParams { any: texts(&["a=1", "b=x=y", "a=2"]), ..ViewFilterParams::default() };
        let expected = Listing::default().any_of("a", ["1", "2"]).any_of("b", ["x=y"]);
        assert_eq!(params.listing().unwrap().conditions, expected.conditions);
        let wrong = ViewFilterParams { prefix: texts(&["a"]), ..ViewFilterParams::default() };
        assert!(wrong.listing().unwrap_err().to_string().ends_with("`a` is no condition: write FIELD=VALUE"));
    }
}
