//! Qualified names of things, versions, commands and files; labels; times.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::events::Ref;
use crate::projections::presenter::plain;

/// `log:project/7`. Every byte of the id that is not a letter, a digit, `_` or `~` is percent-encoded: no format has to escape
/// anything, so a thing has one name in all of them.
pub(super) fn thing(reference: &Ref) -> String {
    let id = reference.id();
    let mut name = String::with_capacity(reference.as_str().len() + 8);
    name.push_str("log:");
    name.push_str(reference.kind());
    name.push('/');
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'~' => name.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(name, "%{byte:02X}")),
        }
    }
    name
}

/// `log:project/7@3`: the thing after its third event.
pub(super) fn version(reference: &Ref, sequence: u64) -> String {
    format!("{}@{sequence}", thing(reference))
}

/// The thing, and its version, that a name is of: `None` for a command, an export and what else is no thing.
pub(super) fn parse(name: &str) -> Option<(Ref, Option<u64>)> {
    let (kind, rest) = name.strip_prefix("log:")?.split_once('/')?;
    let (id, sequence) = match rest.split_once('@') {
        Some((id, sequence)) => (id, Some(sequence.parse().ok()?)),
        None => (rest, None),
    };
    let mut parts = id.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(plain.as_bytes());
    }
    Some((Ref::new(kind, &String::from_utf8(bytes).ok()?).ok()?, sequence))
}

// Our own names begin with a capital letter, as no kind of a thing does.

pub(super) fn command(id: Uuid) -> String {
    format!("log:Command/{id}")
}

pub(super) fn export(event_id: Uuid) -> String {
    format!("log:Export/{event_id}")
}

pub(super) fn view(event_id: Uuid) -> String {
    format!("log:View/{event_id}")
}

pub(super) fn file(event_id: Uuid) -> String {
    format!("log:File/{event_id}")
}

/// The name of a command is as its author wrote it: `CommandType/add_member@2`.
pub(super) fn command_type(name: &str, version: u32) -> String {
    format!("log:CommandType/{name}@{version}")
}

/// A reference for people. Characters that act instead of being shown, which PROV-N cannot hold, are written as `\u{1}`.
pub(super) fn label(reference: &Ref) -> String {
    plain(reference.as_str()).into_owned()
}

pub(super) fn version_label(reference: &Ref, sequence: u64) -> String {
    format!("{} after its event {sequence}", label(reference))
}

/// A time as PROV has it; `None` beyond the years 1 to 9999, which its readers drop.
pub(super) fn time(time: Timestamp) -> Option<String> {
    let year = time.to_zoned(TimeZone::UTC).year();
    (1..=9999).contains(&year).then(|| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_thing_needs_no_escape_in_any_format() {
        let of = |id: &str| thing(&Ref::new("a-b_c1", id).unwrap());
        assert_eq!(of("7"), "log:a-b_c1/7");
        assert_eq!(of("a b/é%41@1~_"), "log:a-b_c1/a%20b%2F%C3%A9%2541%401~_");
        let every: String = (1..=0x2_ffff).filter_map(char::from_u32).step_by(41).take(300).collect();
        let name = of(&every);
        let plain = |c: char| c.is_ascii_alphanumeric() || "_~%/:-".contains(c);
        assert!(name.chars().all(plain), "{name}");
        let reference = Ref::new("a-b_c1", &every).unwrap();
        assert_eq!(parse(&name), Some((reference.clone(), None)));
        assert_eq!(parse(&version(&reference, 12)), Some((reference, Some(12))));
        for other in [command(Uuid::now_v7()), command_type("a", 1), "log:a/%4".to_owned(), "a/b".to_owned()] {
            assert_eq!(parse(&other), None, "{other}");
        }
        // A version is never the name of another thing.
        assert_ne!(of("7@3"), version(&Ref::new("a-b_c1", "7").unwrap(), 3));
    }

    #[test]
    fn times_have_microseconds_and_end_with_the_year_9999() {
        for (given, written) in [
            ("2026-05-04T08:00:00Z", Some("2026-05-04T08:00:00Z")),
            ("2026-05-04T10:00:00.000001+02:00", Some("2026-05-04T08:00:00.000001Z")),
            ("1969-12-31T23:59:59Z", Some("1969-12-31T23:59:59Z")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("9999-12-30T22:00:00Z", Some("9999-12-30T22:00:00Z")),
            ("0000-12-31T23:59:59Z", None),
            ("-009999-01-02T01:59:59Z", None),
        ] {
            assert_eq!(time(given.parse().unwrap()).as_deref(), written, "{given}");
        }
    }
}
