//! [`Request`] and [`Response`]: the envelopes of JSON-RPC 2.0.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::error::RpcError;

/// The most calls of a batch.
pub(super) const MAX_BATCH: usize = 100;

/// A parsed message.
pub(super) enum Request<'a> {
    Single(Result<Call<'a>, InvalidCall>),
    Batch(Vec<Result<Call<'a>, InvalidCall>>),
}

/// A valid call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub method: Cow<'a, str>,
    /// An object or an array.
    pub params: &'a str,
    /// None for a notification, which gets no response.
    pub id: Option<CallId>,
}

/// A message that is not a valid call.
#[derive(Debug)]
pub(super) struct InvalidCall {
    pub id: CallId,
    pub error: RpcError,
}

/// The id of a call, returned unchanged: a number, a string or null.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct CallId(Box<RawValue>);

impl CallId {
    fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    fn parse(raw: &RawValue) -> Option<Self> {
        matches!(raw.get().as_bytes().first(), Some(b'"' | b'-' | b'n' | b'0'..=b'9')).then(|| Self(raw.to_owned()))
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// A field that is present, even as null.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Request<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let whole: &RawValue = match serde_json::from_str(text) {
            Ok(whole) => whole,
            Err(error) => {
                return Self::Single(Err(InvalidCall { id: CallId::null(), error: RpcError::parse_error(&error) }));
            }
        };
        if !whole.get().starts_with('[') {
            return Self::Single(Call::parse(whole));
        }
        match serde_json::from_str::<Vec<&RawValue>>(whole.get()) {
            Ok(calls) if calls.is_empty() => Self::Single(Err(invalid("empty batch"))),
            Ok(calls) if calls.len() > MAX_BATCH => Self::Single(Err(invalid(&format!(
                "batch of {} calls, at most {MAX_BATCH} are allowed",
                calls.len()
            )))),
            Ok(calls) => Self::Batch(calls.into_iter().map(Call::parse).collect()),
            Err(error) => {
                Self::Single(Err(InvalidCall { id: CallId::null(), error: RpcError::parse_error(&error) }))
            }
        }
    }
}

fn invalid(reason: &str) -> InvalidCall {
    InvalidCall { id: CallId::null(), error: RpcError::invalid_request(reason) }
}

impl<'a> Call<'a> {
    fn parse(raw: &'a RawValue) -> Result<Self, InvalidCall> {
        if !raw.get().starts_with('{') {
            return Err(invalid("a call must be an object"));
        }
        let fields: Fields<'a> = serde_json::from_str(raw.get()).map_err(|error| invalid(&error.to_string()))?;
        let id = match fields.id.map(CallId::parse) {
            Some(None) => return Err(invalid("`id` must be a string, a number or null")),
            id => id.flatten(),
        };
        let wrong = |reason| InvalidCall {
            id: id.clone().unwrap_or_else(CallId::null),
            error: RpcError::invalid_request(reason),
        };
        let text = |raw: Option<&'a RawValue>| serde_json::from_str::<Text<'a>>(raw?.get()).ok().map(|text| text.0);
        if text(fields.jsonrpc).as_deref() != Some("2.0") {
            return Err(wrong("`jsonrpc` must be \"2.0\""));
        }
        let method = text(fields.method).ok_or_else(|| wrong("`method` must be a string"))?;
        let params = fields.params.map_or("{}", RawValue::get);
        // An empty array means no parameters.
        let inside = params.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let params = if inside.is_some_and(|inside| inside.trim().is_empty()) { "{}" } else { params };
        if !params.starts_with(['{', '[']) {
            return Err(wrong("`params` must be an object or an array"));
        }
        Ok(Self { method, params, id })
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The response to a call.
#[derive(Serialize)]
pub(super) struct Response {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
    id: CallId,
}

impl Response {
    pub(super) fn new(id: CallId, result: Result<Box<RawValue>, RpcError>) -> Self {
        let (result, error) = match result {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        Self { jsonrpc: "2.0", result, error, id }
    }
}

impl From<InvalidCall> for Response {
    fn from(invalid: InvalidCall) -> Self {
        Self::new(invalid.id, Err(invalid.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> serde_json::Value {
        match Request::parse(text) {
            Request::Single(Err(invalid)) => serde_json::to_value(Response::from(invalid)).unwrap(),
            Request::Single(Ok(call)) => panic!("{call:?}"),
            Request::Batch(_) => panic!("a batch"),
        }
    }

    /// Mission P5: the examples of the specification, and cases that it leaves open.
    #[test]
    fn an_invalid_call_gets_the_error_code_of_the_protocol() {
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
            let response = response(text);
            assert_eq!(
                (&response["error"]["code"], response["id"].to_string().as_str()),
                (&code.into(), id),
                "{text}"
            );
        }
        let many = format!("[{}]", vec!["1"; MAX_BATCH + 1].join(","));
        assert_eq!(response(&many)["error"]["code"], -32600);
    }

    #[test]
    fn a_call_is_parsed_unchanged_and_one_without_an_id_is_a_notification() {
        let text = r#"[{"jsonrpc":"2.0","method":"\u0061","id":null},{"jsonrpc":"2.0","method":"b","params":[ ]},
            {"jsonrpc":"2.0","method":"c","params":{"d":1},"id":12345678901234567890123,"more":0},1]"#;
        let Request::Batch(calls) = Request::parse(text) else { panic!("no batch") };
        let calls: Vec<_> = calls.iter().map(|call| call.as_ref().ok()).collect();
        let [Some(a), Some(b), Some(c), None] = calls[..] else { panic!("{calls:?}") };
        assert_eq!((&*a.method, a.params, a.id.as_ref().unwrap().0.get()), ("a", "{}", "null"));
        assert_eq!((&*b.method, b.params), ("b", "{}"));
        assert!(b.id.is_none());
        assert_eq!((c.params, c.id.as_ref().unwrap().0.get()), (r#"{"d":1}"#, "12345678901234567890123"));
    }
}
