//! Parses a message as a CloudEvent 1.0: in structured mode (one JSON object) or in binary mode (attributes in headers).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use super::cloud_event::{CloudEvent, Content};
use super::source::IncomingMessage;

/// The longest attribute, in bytes: an id becomes a part of texts that people read.
const MAX_ATTRIBUTE: usize = 2_048;

/// The prefixes of attributes in headers: of the bindings for NATS and HTTP, and for AMQP.
const PREFIXES: [&str; 3] = ["ce-", "cloudEvents:", "cloudEvents_"];

/// The attribute that a header holds, in lower case.
pub(super) fn attribute(header: &str) -> Option<String> {
    let matches =
        |prefix: &&&str| header.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let prefix = PREFIXES.iter().find(matches)?;
    Some(header[prefix.len()..].to_ascii_lowercase())
}

/// Parses a message, or says why it is no CloudEvent.
pub(super) fn parse(message: &IncomingMessage) -> Result<CloudEvent, String> {
    let kind = message.content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("application/cloudevents-batch") {
        return Err("it is a batch of CloudEvents: send each as a message".to_owned());
    }
    let headers: BTreeMap<String, String> =
        message.headers.iter().filter_map(|(name, value)| Some((attribute(name)?, value.clone()))).collect();
    let is_structured = kind.starts_with("application/cloudevents");
    if is_structured && !kind.starts_with("application/cloudevents+json") {
        return Err(format!("it is a CloudEvent in a format other than JSON: {kind}"));
    }
    let (attributes, data) = match is_structured || headers.is_empty() {
        true => structured(&message.body)?,
        false => binary(headers, message),
    };
    event(attributes, data, message.publisher.clone())
}

type Attributes = BTreeMap<String, String>;

fn structured(body: &[u8]) -> Result<(Attributes, Content), String> {
    let not_json = |error: serde_json::Error| format!("it is no CloudEvent in JSON: {error}");
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).map_err(not_json)?;
    let (json, base64) = (members.remove("data"), members.remove("data_base64"));
    let mut attributes = Attributes::new();
    for (name, value) in members {
        let text = match serde_json::from_str(value.get()).map_err(not_json)? {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.get().to_owned(),
            Value::Array(_) | Value::Object(_) => return Err(format!("its attribute `{name}` is no text")),
        };
        attributes.insert(name, text);
    }
    let data = match (json, base64) {
        (Some(_), Some(_)) => return Err("it has both `data` and `data_base64`".to_owned()),
        (Some(json), None) => match is_json(attributes.get("datacontenttype")) {
            true => Content::Json(json.get().to_owned()),
            // Text of another type is a JSON string.
            false => match serde_json::from_str(json.get()) {
                Ok(Value::String(text)) => Content::Bytes(text.into_bytes()),
                _ => Content::Json(json.get().to_owned()),
            },
        },
        (None, Some(base64)) => {
            let text: String = serde_json::from_str(base64.get()).map_err(not_json)?;
            let bytes = STANDARD.decode(text).map_err(|error| format!("its `data_base64` is wrong: {error}"))?;
            Content::Bytes(bytes)
        }
        (None, None) => Content::None,
    };
    Ok((attributes, data))
}

fn binary(mut attributes: Attributes, message: &IncomingMessage) -> (Attributes, Content) {
    if let Some(kind) = &message.content_type {
        attributes.insert("datacontenttype".to_owned(), kind.clone());
    }
    let data = match (message.body.is_empty(), std::str::from_utf8(&message.body)) {
        (true, _) => Content::None,
        (false, Ok(text)) if is_json(attributes.get("datacontenttype")) => Content::Json(text.to_owned()),
        _ => Content::Bytes(message.body.clone()),
    };
    (attributes, data)
}

/// Whether data of this content type is JSON: also if there is none.
fn is_json(content_type: Option<&String>) -> bool {
    let kind = content_type.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    kind.is_none_or(|kind| kind.ends_with("/json") || kind.ends_with("+json"))
}

fn event(mut attributes: Attributes, data: Content, publisher: Option<String>) -> Result<CloudEvent, String> {
    for (name, value) in &attributes {
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()) {
            let name = name.chars().take(40).collect::<String>();
            return Err(format!("`{name}` is no name of an attribute: lower-case letters and digits"));
        }
        if value.len() > MAX_ATTRIBUTE {
            return Err(format!("its attribute `{name}` has more than {MAX_ATTRIBUTE} bytes"));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("its attribute `{name}` has control characters"));
        }
    }
    let mut needed = |name: &str| match attributes.remove(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value),
        None => Err(format!("it is no CloudEvent: it has no `{name}`")),
    };
    let version = needed("specversion")?;
    if version != "1.0" {
        return Err(format!("it is a CloudEvent of version {version}, and only 1.0 can be read"));
    }
    let (id, source, event_type) = (needed("id")?, needed("source")?, needed("type")?);
    let time = match attributes.remove("time") {
        Some(time) => {
            let parsed: Result<Timestamp, _> = time.parse();
            Some(parsed.map_err(|error| format!("its `time` is none: {error}"))?)
        }
        None => None,
    };
    Ok(CloudEvent {
        id,
        source,
        event_type,
        subject: attributes.remove("subject"),
        time,
        content_type: attributes.remove("datacontenttype"),
        schema: attributes.remove("dataschema"),
        extensions: attributes,
        data,
        publisher,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str, content_type: Option<&str>, headers: &[(&str, &str)]) -> IncomingMessage {
        IncomingMessage {
            tag: 1,
            publisher: Some("shop".to_owned()),
            content_type: content_type.map(ToOwned::to_owned),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn structured_and_binary_mode_give_the_same_event() {
        let body = r#"{"specversion":"1.0","id":"7","source":"/shop","type":"paid","subject":"order/7","n":3,"x":null,
            "time":"2026-01-31T10:00:00Z","data":{"cents": 250}}"#;
        let structured = parse(&message(body, Some("application/cloudevents+json; charset=utf-8"), &[])).unwrap();
        assert_eq!(structured.data::<Value>().unwrap()["cents"], 250);
        assert_eq!((structured.extension("n"), structured.extension("x")), (Some("3"), None));
        assert!(parse(&message(body, None, &[])).is_ok(), "without a content type it is structured");
        for prefix in PREFIXES {
            let headers = [
                ("specversion", "1.0"),
                ("id", "7"),
                ("source", "/shop"),
                ("type", "paid"),
                ("subject", "order/7"),
                ("n", "3"),
                ("time", "2026-01-31T10:00:00Z"),
            ];
            let headers: Vec<(String, &str)> =
                headers.iter().map(|(name, value)| (format!("{prefix}{name}"), *value)).collect();
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let binary = parse(&message(r#"{"cents": 250}"#, None, &headers)).unwrap();
            assert_eq!(format!("{binary:?}"), format!("{structured:?}"));
        }
        let base64 = r#"{"specversion":"1.0","id":"7","source":"/shop","type":"paid","data_base64":"AP8="}"#;
        assert_eq!(parse(&message(base64, None, &[])).unwrap().bytes(), [0, 255]);
        let text =
            r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","datacontenttype":"text/plain","data":"é"}"#;
        assert_eq!(parse(&message(text, None, &[])).unwrap().bytes(), "é".as_bytes());
    }

    #[test]
    fn the_reason_says_why_a_message_is_no_cloud_event() {
        let long = format!(r#"{{"specversion":"1.0","id":"{}","source":"/s","type":"t"}}"#, "x".repeat(3_000));
        for (body, content_type, headers, why) in [
            ("", None, &[][..], "it is no CloudEvent in JSON"),
            ("[]", None, &[], "it is no CloudEvent in JSON"),
            ("{}", None, &[], "it has no `specversion`"),
            (r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#, None, &[], "version 0.3"),
            (r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#, None, &[], "it has no `id`"),
            (r#"{"specversion":"1.0","id":"1","type":"t"}"#, None, &[], "it has no `source`"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","a":{}}"#, None, &[], "`a` is no text"),
            (
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","A":"x"}"#,
                None,
                &[],
                "no name of an attribute",
            ),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"now"}"#, None, &[], "its `time`"),
            (r#"{"specversion":"1.0","id":"a\u0000","source":"/s","type":"t"}"#, None, &[], "control characters"),
            (
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":""}"#,
                None,
                &[],
                "both",
            ),
            (&long, None, &[], "more than 2048 bytes"),
            ("[]", Some("application/cloudevents-batch+json"), &[], "a batch"),
            ("", Some("application/cloudevents+avro"), &[], "other than JSON"),
            ("", None, &[("ce-id", "7")], "it has no `specversion`"),
        ] {
            let error = parse(&message(body, content_type, headers)).unwrap_err();
            assert!(error.contains(why), "{body}: {error}");
        }
    }
}
