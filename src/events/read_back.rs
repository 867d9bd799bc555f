//! Checks that an encoded event decodes to an equal event, before it is queued.

use std::fmt;

use super::event::decode_columns;
use super::json::{self, Unheld};
use super::{DecodeError, Event};

/// An error when an event would not read back from the log as it was written.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// The payload does not decode.
    #[error(
        "its JSON does not decode{}: the type writes this value as JSON that it does not read. JSON has no NaN \
         and no infinity, and `Serialize` and `Deserialize` must agree. Refuse the value in the handler, or change the \
         type",
        At(path)
    )]
    Decode {
        /// The path in the payload: `dose.amount`. Empty if unknown.
        path: String,
        /// The decoder's error.
        source: DecodeError,
    },
    /// The payload decodes to another event.
    #[error(
        "its JSON decodes to another event{}: a value is not written, or is not read as it was written (NaN, `Some(None)`, \
         a skipped field, a variant of an untagged enum that looks like an earlier one). Refuse the value in the handler, \
         or change the type",
        At(path)
    )]
    Differs {
        /// The last field before the first difference. Empty if unknown.
        path: String,
    },
    /// The payload has an integer beyond 64 bits.
    #[error(
        "its JSON has the number {number}{}: JSON readers support integers from -2^63 to 2^64 - 1. Write larger ones as strings",
        At(path)
    )]
    Number {
        /// The number.
        number: String,
        /// The path in the payload: `balance.wei`.
        path: String,
    },
    /// The payload has JSON text from elsewhere that not every parser accepts.
    #[error("its JSON has text from elsewhere (a `RawValue`) that not every JSON parser accepts")]
    Text(#[source] serde_json::Error),
}

/// Displays ` (at `path`)`, if there is a path.
struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            path => write!(f, " (at `{path}`)"),
        }
    }
}

/// Decodes a payload as readers of the log do, and compares the result with the event.
///
/// # Errors
/// When it does not decode, or decodes to another event.
pub(crate) fn read_back<E: Event>(event: &E, version: &str, payload: &str) -> Result<(), ReadBackError> {
    let event_type = event.declaration().event_type;
    let decoded = decode_columns::<E>(event_type, version, payload).map_err(|source| {
        let path = match &source {
            DecodeError::Payload { source, .. } => json::path_of(source, payload),
            _ => String::new(),
        };
        ReadBackError::Decode { path, source }
    })?;
    if decoded != *event {
        return Err(ReadBackError::Differs { path: difference(&format!("{event:?}"), &format!("{decoded:?}")) });
    }
    match json::unheld(payload) {
        None => Ok(()),
        Some(Unheld::Number(number, path)) => Err(ReadBackError::Number { number: number.to_owned(), path }),
        Some(Unheld::Text(source)) => Err(ReadBackError::Text(source)),
    }
}

/// Returns the name of the last field before the first difference of two `Debug` texts.
fn difference(one: &str, other: &str) -> String {
    let equal = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let before = one.get(..equal).unwrap_or_default();
    let (before, _) = before.rsplit_once(": ").unwrap_or_default();
    let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    before[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use annals_macros::Event;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Dose {
        amount: f64,
        #[serde(default)]
        least: Option<f32>,
        #[serde(skip)]
        note: Option<String>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Loose {
        Number(f64),
        Integer(u8),
    }

    /// A serde form for maps whose keys JSON cannot have.
    mod pairs {
        use super::*;

        pub fn serialize<S: serde::Serializer>(map: &BTreeMap<(u8, u8), u8>, to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq(map)
        }

        pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<(u8, u8), u8>, D::Error> {
            Ok(Vec::<((u8, u8), u8)>::deserialize(from)?.into_iter().collect())
        }

        pub fn text<S: serde::Serializer>(number: &u128, to: S) -> Result<S::Ok, S::Error> {
            to.collect_str(number)
        }

        pub fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
            String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
        }
    }

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "read_back_sample")]
    enum Sample {
        #[event(update, "{actor} gave {doses}")]
        Given { to: String, doses: Vec<Dose> },
        #[event(update, "{actor} wrote {value}")]
        Loose { value: Loose },
        #[event(update, "{actor} paid {wei}")]
        Paid { wei: u128, below: i128 },
        #[event(update, "{actor} set {pairs}")]
        Set {
            #[serde(with = "pairs")]
            pairs: BTreeMap<(u8, u8), u8>,
            #[serde(serialize_with = "pairs::text", deserialize_with = "pairs::number")]
            large: u128,
        },
        #[event(update, "{actor} named {names}")]
        Named { names: HashSet<String>, by: BTreeMap<u128, u8> },
        #[event(update, "{actor} nested {inner}")]
        Nested { inner: Option<Option<u8>> },
    }

    fn tried(event: &Sample) -> Result<(), ReadBackError> {
        read_back(event, "1.0", &event.encode().unwrap())
    }

    fn given(amount: f64, least: Option<f32>) -> Sample {
        Sample::Given { to: "a".into(), doses: vec![Dose::default(), Dose { amount, least, note: None }] }
    }

    #[test]
    fn an_event_that_does_not_decode_is_refused_with_the_path() {
        for amount in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = tried(&given(amount, None)).unwrap_err();
            assert!(matches!(&error, ReadBackError::Decode { path, .. } if path == "doses[1].amount"), "{error:?}");
            assert!(error.to_string().contains("(at `doses[1].amount`)"), "{error}");
        }
    }

    #[test]
    fn an_event_that_decodes_to_another_is_refused_with_the_field() {
        let noted = Dose { note: Some("x".into()), ..Dose::default() };
        for (event, field) in [
            (given(1.0, Some(f32::NAN)), "least"),
            (Sample::Given { to: "a".into(), doses: vec![noted] }, "note"),
            (Sample::Loose { value: Loose::Integer(1) }, "value"),
            (Sample::Nested { inner: Some(None) }, "inner"),
        ] {
            let error = tried(&event).unwrap_err();
            assert!(matches!(&error, ReadBackError::Differs { path } if path == field), "{error:?}");
        }
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused_but_still_read_from_an_old_log() {
        tried(&Sample::Paid { wei: u64::MAX.into(), below: i64::MIN.into() }).unwrap();
        let event = Sample::Paid { wei: u128::MAX, below: i128::MIN };
        let error = tried(&event).unwrap_err();
        assert!(matches!(&error, ReadBackError::Number { path, .. } if path == "wei"), "{error:?}");
        let facts = event.facts().unwrap();
        assert_eq!(facts[0].1, Value::from(u128::MAX.to_string()));
        assert_eq!(facts[1].1, Value::from(i128::MIN.to_string()));
    }

    /// Sentences and topics use a field's own `Serialize`, or the form in the payload if that fails.
    #[test]
    fn a_field_that_is_json_only_by_its_serde_attribute_has_a_fact() {
        let event = Sample::Set { pairs: [((1, 2), 3)].into(), large: u128::MAX };
        tried(&event).unwrap();
        let facts = event.facts().unwrap();
        assert_eq!(facts[0].1, serde_json::json!([[[1, 2], 3]]));
        assert_eq!(facts[1].1, u128::MAX.to_string());
    }

    #[test]
    fn large_keys_and_sets_are_read_back() {
        let names = ["a", "b", "c"].map(str::to_owned).into();
        tried(&Sample::Named { names, by: [(u128::MAX, 1)].into() }).unwrap();
    }

    proptest! {
        #[test]
        fn finite_numbers_are_read_back(amount: f64, least: Option<f32>, to: String) {
            prop_assume!(amount.is_finite() && least.is_none_or(f32::is_finite));
            let Sample::Given { doses, .. } = given(amount, least) else { unreachable!() };
            tried(&Sample::Given { to, doses }).unwrap();
        }
    }
}
