//! [`Crowd`]: how often each actor, or each target, occurs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

/// How often each occurs.
pub(super) type Crowd = HashMap<String, u64>;

/// Counts so many more of `name`.
pub(super) fn count(crowd: &mut Crowd, name: &str, more: u64) {
    match crowd.get_mut(name) {
        Some(count) => *count += more,
        None => drop(crowd.insert(name.to_owned(), more)),
    }
}

/// Counts all that a text says, a JSON object of names and numbers. Blocks name the same ones again and again: only who is
/// new takes memory.
pub(super) fn count_all(crowd: &mut Crowd, text: &str) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    Counting(crowd).deserialize(&mut json)?;
    json.end()
}

struct Counting<'c>(&'c mut Crowd);

#[derive(PartialEq, Eq, Hash, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Counting<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Counting<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and how often they occur")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), more)) = map.next_entry::<Name<'de>, u64>()? {
            count(self.0, &name, more);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_texts_say_adds_up_however_names_are_written() {
        let mut crowd = Crowd::new();
        count_all(&mut crowd, r#"{"user:a":2,"user:\"b\"":1}"#).unwrap();
        count_all(&mut crowd, r#"{"user:\u0061":3,"user:c":4}"#).unwrap();
        count(&mut crowd, "user:c", 1);
        let expected = [("user:a", 5), ("user:\"b\"", 1), ("user:c", 5)];
        assert_eq!(crowd, expected.map(|(name, count)| (name.to_owned(), count)).into());
        for damaged in ["", "[]", r#"{"a":-1}"#, r#"{"a":1"#, r#"{"a":1} x"#] {
            assert!(count_all(&mut crowd, damaged).is_err(), "{damaged}");
        }
    }
}
