//! PROV-N (W3C Recommendation of 2013).

use std::fmt::Write;

use super::document::{ANNALS_NAMESPACE, AttributeValue, Document, Statement};

impl Document {
    /// The document as PROV-N.
    #[must_use]
    pub fn to_prov_n(&self) -> String {
        let mut text =
            format!("document\n  prefix log <{}>\n  prefix annals <{ANNALS_NAMESPACE}>\n\n", self.namespace());
        for statement in &self.statements {
            write_statement(&mut text, statement);
        }
        text.push_str("endDocument\n");
        text
    }
}

fn write_statement(text: &mut String, statement: &Statement) {
    let mut parts: Vec<String> = statement.id.iter().cloned().collect();
    // All arguments are written or none: a marker is one that is left out. An activity without times has none.
    if statement.arguments.iter().any(Option::is_some) {
        let places = 0..statement.kind.arguments().len();
        let argument = |place: usize| statement.arguments.get(place).cloned().flatten();
        parts.extend(places.map(|place| argument(place).unwrap_or_else(|| "-".to_owned())));
    }
    if !statement.attributes.is_empty() {
        let attributes: Vec<String> =
            statement.attributes.iter().map(|(name, value)| format!("{name}={}", literal(value))).collect();
        parts.push(format!("[{}]", attributes.join(", ")));
    }
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {}({})", statement.kind, parts.join(", "));
}

fn literal(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Text(text) => quoted(text),
        AttributeValue::Name(name) => format!("'{name}'"),
        AttributeValue::Number(number) => format!("\"{number}\" %% xsd:long"),
    }
}

/// A string literal. Labels have no control characters: see `naming::label`.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
