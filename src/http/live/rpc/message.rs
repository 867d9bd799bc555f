//! What a message says, and what is answered: the envelopes of JSON-RPC 2.0.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::code::Fault;

/// The most calls of a batch.
pub(super) const MOST_CALLS: usize = 100;

/// What was sent.
pub(super) enum Message<'a> {
    /// One call, or what should have been one.
    One(Result<Call<'a>, Invalid>),
    /// Several.
    Batch(Vec<Result<Call<'a>, Invalid>>),
}

/// A call that makes sense.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub method: Cow<'a, str>,
    /// An object or an array.
    pub params: &'a str,
    /// None: it is a notification, and not answered.
    pub id: Option<Id>,
}

/// What was sent is no call.
#[derive(Debug)]
pub(super) struct Invalid {
    pub id: Id,
    pub fault: Fault,
}

/// The id of a call, given back as it came: a number, a text or null.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Id(Box<RawValue>);

impl Id {
    fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    fn of(raw: &RawValue) -> Option<Self> {
        matches!(raw.get().as_bytes().first(), Some(b'"' | b'-' | b'n' | b'0'..=b'9')).then(|| Self(raw.to_owned()))
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    id: Option<&'a RawValue>,
}

/// What is there, be it null.
fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let whole: &RawValue = match serde_json::from_str(text) {
            Ok(whole) => whole,
            Err(error) => return Self::One(Err(Invalid { id: Id::null(), fault: Fault::no_json(&error) })),
        };
        if !whole.get().starts_with('[') {
            return Self::One(Call::read(whole));
        }
        match serde_json::from_str::<Vec<&RawValue>>(whole.get()) {
            Ok(calls) if calls.is_empty() => Self::One(Err(invalid("a batch of nothing"))),
            Ok(calls) if calls.len() > MOST_CALLS => {
                Self::One(Err(invalid(&format!("a batch of {} calls, {MOST_CALLS} at most", calls.len()))))
            }
            Ok(calls) => Self::Batch(calls.into_iter().map(Call::read).collect()),
            Err(error) => Self::One(Err(Invalid { id: Id::null(), fault: Fault::no_json(&error) })),
        }
    }
}

fn invalid(why: &str) -> Invalid {
    Invalid { id: Id::null(), fault: Fault::no_request(why) }
}

impl<'a> Call<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, Invalid> {
        if !raw.get().starts_with('{') {
            return Err(invalid("a call is an object"));
        }
        let fields: Fields<'a> = serde_json::from_str(raw.get()).map_err(|error| invalid(&error.to_string()))?;
        let id = match fields.id.map(Id::of) {
            Some(None) => return Err(invalid("an id is a text, a number or null")),
            id => id.flatten(),
        };
        let wrong = |why| Invalid { id: id.clone().unwrap_or_else(Id::null), fault: Fault::no_request(why) };
        let text = |raw: Option<&'a RawValue>| serde_json::from_str::<Word<'a>>(raw?.get()).ok().map(|word| word.0);
        if text(fields.jsonrpc).as_deref() != Some("2.0") {
            return Err(wrong("`jsonrpc` has to be \"2.0\""));
        }
        let method = text(fields.method).ok_or_else(|| wrong("`method` has to be a text"))?;
        let params = fields.params.map_or("{}", RawValue::get);
        // No parameters by position are none by name.
        let inside = params.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let params = if inside.is_some_and(|inside| inside.trim().is_empty()) { "{}" } else { params };
        if !params.starts_with(['{', '[']) {
            return Err(wrong("`params` has to be an object or an array"));
        }
        Ok(Self { method, params, id })
    }
}

#[derive(Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

/// The answer to a call.
#[derive(Serialize)]
pub(super) struct Answer {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    id: Id,
}

impl Answer {
    pub(super) fn new(id: Id, result: Result<Box<RawValue>, Fault>) -> Self {
        let (result, error) = match result {
            Ok(result) => (Some(result), None),
            Err(fault) => (None, Some(fault)),
        };
        Self { jsonrpc: "2.0", result, error, id }
    }
}

impl From<Invalid> for Answer {
    fn from(invalid: Invalid) -> Self {
        Self::new(invalid.id, Err(invalid.fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> serde_json::Value {
        match Message::read(text) {
            Message::One(Err(invalid)) => serde_json::to_value(Answer::from(invalid)).unwrap(),
            Message::One(Ok(call)) => panic!("{call:?}"),
            Message::Batch(_) => panic!("a batch"),
        }
    }

    /// Mission P5: the cases of the specification, and those that it leaves open.
    #[test]
    fn what_is_no_call_is_answered_by_the_protocols_own_codes() {
        for (text, code, id) in [
            ("", -32700, "null"),
            ("{\"jsonrpc\": \"2.0\", \"method\": \"foobar, \"params\": \"bar\", \"baz]", -32700, "null"),
            ("[{\"jsonrpc\": \"2.0\", \"method\": \"sum\"},{\"jsonrpc\": \"2.0\", \"method\"", -32700, "null"),
            ("{} {}", -32700, "null"),
            ("[]", -32600, "null"),
            ("1", -32600, "null"),
            ("null", -32600, "null"),
            (r#"{"jsonrpc":"2.0","method":1,"params":"bar"}"#, -32600, "null"),
            (r#"{"jsonrpc":"2.0","method":"x","params":"bar","id":7}"#, -32600, "7"),
            (r#"{"jsonrpc":"2.0","method":"x","params":null,"id":7}"#, -32600, "7"),
            (r#"{"jsonrpc":"1.0","method":"x","id":"a"}"#, -32600, "\"a\""),
            (r#"{"method":"x","id":-1.5}"#, -32600, "-1.5"),
            (r#"{"jsonrpc":"2.0","method":"x","id":{}}"#, -32600, "null"),
            (r#"{"jsonrpc":"2.0","method":"x","id":true}"#, -32600, "null"),
            (r#"{"jsonrpc":"2.0","method":"x","method":"y","id":1}"#, -32600, "null"),
        ] {
            let answer = answer(text);
            assert_eq!((&answer["error"]["code"], answer["id"].to_string().as_str()), (&code.into(), id), "{text}");
        }
        let many = format!("[{}]", vec!["1"; MOST_CALLS + 1].join(","));
        assert_eq!(answer(&many)["error"]["code"], -32600);
    }

    #[test]
    fn a_call_is_read_as_it_was_written_and_one_without_an_id_is_a_notification() {
        let text = r#"[{"jsonrpc":"2.0","method":"\u0061","id":null},{"jsonrpc":"2.0","method":"b","params":[ ]},
            {"jsonrpc":"2.0","method":"c","params":{"d":1},"id":12345678901234567890123,"more":0},1]"#;
        let Message::Batch(calls) = Message::read(text) else { panic!("no batch") };
        let calls: Vec<_> = calls.iter().map(|call| call.as_ref().ok()).collect();
        let [Some(a), Some(b), Some(c), None] = calls[..] else { panic!("{calls:?}") };
        assert_eq!((&*a.method, a.params, a.id.as_ref().unwrap().0.get()), ("a", "{}", "null"));
        assert_eq!((&*b.method, b.params), ("b", "{}"));
        assert!(b.id.is_none());
        assert_eq!((c.params, c.id.as_ref().unwrap().0.get()), (r#"{"d":1}"#, "12345678901234567890123"));
    }
}
