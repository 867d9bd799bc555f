//! Compares what two logs answer that differ in nothing but their secrets, and searches the answers for the secrets.

use std::collections::BTreeSet;

use regex::Regex;

use crate::asking::{Answered, Answers};
use crate::routes::{HASHES, NOT_COMPARED};
use crate::secret::Secret;

/// What one log answers.
pub struct LogAnswers {
    pub secret: Secret,
    /// To a reader of metadata.
    pub of_metadata: Answers,
    /// To an operator with the right to metadata. Not compared: the state of projections changes.
    pub of_operator: Answers,
    /// To a reader of everything: of the rich log.
    pub in_full: Answers,
}

/// Calls that show no value to anybody: a pattern of their labels, and why.
pub type Exceptions = &'static [(&'static str, &'static str)];

/// Checks that no answer to a reader of metadata shows a value or depends on one.
///
/// # Panics
/// With all that it finds.
pub fn check(poor: &LogAnswers, rich: &LogAnswers) {
    let mut problems = Vec::new();
    for log in [poor, rich] {
        for (label, answered) in log.of_metadata.iter().chain(&log.of_operator) {
            if let Some(form) = log.secret.found_in(&answered.bytes) {
                problems.push(format!("{label} shows `{form}`: {}", start(&answered.text())));
            }
        }
    }
    let labels = |log: &LogAnswers| log.of_metadata.keys().cloned().collect::<Vec<_>>();
    assert_eq!(labels(poor), labels(rich));
    for (label, one) in poor.of_metadata.iter().filter(|(label, _)| is_compared(label)) {
        let other = &rich.of_metadata[label];
        if HASHES.contains(&route_of(label)) {
            assert_eq!((one.status, one.bytes.len()), (other.status, other.bytes.len()), "{label}");
        } else if let Some(difference) = difference(one, other) {
            problems.push(format!("{label}: the answer depends on a value: {difference}"));
        }
        // Whether a text exists cannot be probed.
        let text = label.strip_suffix("secret").filter(|label| !label.contains("combined"));
        if let Some(label) = text {
            let absent = &poor.of_metadata[&format!("{label}absent")];
            if let Some(difference) = difference(one, absent) {
                problems.push(format!("{label}: the answer depends on whether the text exists: {difference}"));
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n\n"));
}

/// Checks that the same calls show values to a reader of everything, but for the exceptions: otherwise [`check`] would prove nothing.
///
/// # Panics
/// With the calls that show no value though they have to, and the exceptions that are none.
pub fn check_shown(log: &LogAnswers, exceptions: Exceptions) {
    let exceptions: Vec<(Regex, &str)> =
        exceptions.iter().map(|(pattern, why)| (Regex::new(&format!("^(?:{pattern})$")).unwrap(), *why)).collect();
    let (mut problems, mut used) = (Vec::new(), BTreeSet::new());
    for (label, answered) in log.in_full.iter().filter(|(label, _)| !label.contains("combined")) {
        let shows = log.secret.found_in(&answered.bytes).is_some();
        let exception = exceptions.iter().position(|(pattern, _)| pattern.is_match(label));
        used.extend(exception);
        match (shows, exception) {
            (false, None) => problems.push(format!(
                "{label} shows no value even to a reader of everything, so it tests nothing: fill its parameters, or add it to the \
                 exceptions in tests/metadata/exceptions.rs: {}",
                start(&answered.text())
            )),
            (true, Some(exception)) => problems.push(format!(
                "{label} shows a value, but is an exception ({}): remove it from tests/metadata/exceptions.rs",
                exceptions[exception].1
            )),
            _ => {}
        }
    }
    let unused = exceptions.iter().enumerate().filter(|(number, _)| !used.contains(number));
    problems.extend(unused.map(|(_, (pattern, _))| format!("no call is the exception `{pattern}`: remove it")));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n\n"));
}

/// Whether the answers of two logs to a call have to be equal.
fn is_compared(label: &str) -> bool {
    !NOT_COMPARED.contains(&route_of(label))
}

fn route_of(label: &str) -> &str {
    label.split(' ').nth(1).unwrap_or_default()
}

/// Where two answers differ first, with what is around.
fn difference(one: &Answered, other: &Answered) -> Option<String> {
    let (text, other_text) = (one.text(), other.text());
    if (one.status, &text) == (other.status, &other_text) {
        return None;
    }
    // Rather in the bodies: a header has their length.
    let body = |text: String| text.split_once("\n\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    let (text, other_text) = match (body(text.clone()), body(other_text.clone())) {
        (one, other) if one == other => (text, other_text),
        bodies => bodies,
    };
    let at = text.chars().zip(other_text.chars()).take_while(|(one, other)| one == other).count();
    let around = |text: &str| text.chars().skip(at.saturating_sub(200)).take(500).collect::<String>();
    Some(format!("{} `{}`\nor {} `{}`", one.status, around(&text), other.status, around(&other_text)))
}

pub fn start(text: &str) -> String {
    text.chars().take(600).collect()
}
