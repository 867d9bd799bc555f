//! The command id and the digest of a message.
//!
//! The id is derived from the intake, the publisher, the source and the id of the event, the digest from all that the event says. So the
//! same event is executed once, by whatever program, and another event with the same id is noticed.

use serde_json::Value;
use uuid::Uuid;

use super::cloud_event::{CloudEvent, Content};
use super::parsing::attribute;
use super::source::IncomingMessage;
use crate::commands::internal_id;
use crate::digest::PartsDigest;

/// The attributes that a second attempt of the publisher may have changed: where it is in a distributed trace.
const OF_THE_ATTEMPT: [&str; 2] = ["traceparent", "tracestate"];

/// What a message is executed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: Uuid,
    pub(super) digest: [u8; 32],
}

impl Identity {
    /// The identity of an event.
    pub(super) fn of_event(intake: &str, event: &CloudEvent) -> Self {
        let mut parts = PartsDigest::default();
        parts.add("annals intake");
        parts.add(intake);
        add_option(&mut parts, event.publisher.as_deref());
        parts.add(&event.source);
        parts.add(&event.id);
        Self { id: internal_id::derive(&parts.finish(), &[]), digest: content(event) }
    }

    /// The identity of an event of which nothing but its publisher, source and id may be kept, not even as a digest.
    pub(super) fn without_content(intake: &str, event: &CloudEvent) -> Self {
        let mut parts = PartsDigest::default();
        parts.add("annals intake without content");
        parts.add(intake);
        add_option(&mut parts, event.publisher.as_deref());
        parts.add(&event.source);
        parts.add(&event.id);
        let digest = parts.finish();
        Self { id: internal_id::derive(&digest, &[]), digest }
    }

    /// The identity of a message that is no event, or that is none of its own: what it contains.
    pub(super) fn of_content(intake: &str, message: &IncomingMessage) -> Self {
        let mut parts = PartsDigest::default();
        parts.add("annals dead letter");
        parts.add(intake);
        add_option(&mut parts, message.publisher.as_deref());
        add_option(&mut parts, message.content_type.as_deref());
        for (name, value) in &message.headers {
            if attribute(name).is_some_and(|name| !OF_THE_ATTEMPT.contains(&name.as_str())) {
                parts.add(name);
                parts.add(value);
            }
        }
        parts.add("body");
        parts.add(&message.body);
        let digest = parts.finish();
        Self { id: internal_id::derive(&digest, &[]), digest }
    }

    /// The identity of the replay of a dead letter.
    pub(super) fn of_replay(dead_letter: Uuid) -> Self {
        let mut parts = PartsDigest::default();
        parts.add("annals intake replay");
        parts.add(dead_letter.as_bytes());
        let digest = parts.finish();
        Self { id: internal_id::derive(&digest, &[]), digest }
    }
}

fn content(event: &CloudEvent) -> [u8; 32] {
    let mut parts = PartsDigest::default();
    parts.add(&event.event_type);
    let time = event.time.map(|time| time.to_string());
    let kind = event.content_type.as_deref();
    // In the JSON format, data without a type is JSON: the same event in binary mode has to say so (CloudEvents 1.0, JSON format, 3.1).
    let kind = kind.or_else(|| matches!(event.data, Content::Json(_)).then_some("application/json"));
    for option in [event.subject.as_deref(), time.as_deref(), kind, event.schema.as_deref()] {
        add_option(&mut parts, option);
    }
    for (name, value) in &event.extensions {
        if !OF_THE_ATTEMPT.contains(&name.as_str()) {
            parts.add(name);
            parts.add(value);
        }
    }
    match &event.data {
        Content::None => parts.add("none"),
        Content::Json(text) => {
            parts.add("json");
            match serde_json::from_str(text) {
                Ok(value) => parts.add(sorted(&value)),
                Err(_) => parts.add(text),
            }
        }
        Content::Bytes(bytes) => {
            parts.add("bytes");
            parts.add(bytes);
        }
    }
    parts.finish()
}

/// None and an empty text differ.
fn add_option(parts: &mut PartsDigest, text: Option<&str>) {
    parts.add([u8::from(text.is_some())]);
    parts.add(text.unwrap_or_default());
}

/// JSON text with the keys of objects in order, whatever order the type `Value` keeps.
fn sorted(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(sorted).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            let field =
                |(key, value): (&String, &Value)| format!("{}:{}", Value::from(key.as_str()), sorted(value));
            let fields: Vec<String> = fields.into_iter().map(field).collect();
            format!("{{{}}}", fields.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parsing::parse;
    use super::*;

    fn identity(intake: &str, publisher: Option<&str>, body: &str) -> Identity {
        let message = IncomingMessage {
            publisher: publisher.map(ToOwned::to_owned),
            body: body.as_bytes().to_vec(),
            ..IncomingMessage::default()
        };
        Identity::of_event(intake, &parse(&message).unwrap())
    }

    #[test]
    fn an_event_has_one_identity_and_no_other_event_has_it() {
        let body = r#"{"specversion":"1.0","id":"7","source":"/a","type":"t","data":{"x":1,"y":[2,{"z":3}]}}"#;
        let again = r#"{"data":{"y":[2, {"z":3}],"x":1},"type":"t","source":"/a","id":"7","specversion":"1.0","traceparent":"00"}"#;
        let one = identity("in", None, body);
        assert_eq!(one, identity("in", None, again));
        assert!(internal_id::is_reserved(one.id), "a caller could use it up");
        for other in [
            identity("other", None, body),
            identity("in", Some(""), body),
            identity("in", Some("shop"), body),
            identity("in", None, &body.replace("\"7\"", "\"8\"")),
            identity("in", None, &body.replace("/a", "/b")),
        ] {
            assert_ne!(one.id, other.id);
        }
        // Parts do not run into each other.
        let joined = body.replace("\"7\"", "\"/a7\"").replace("\"source\":\"/a\"", "\"source\":\"/\"");
        assert_ne!(one.id, identity("in", None, &joined).id);
        for other in ["\"type\":\"u\"", "\"type\":\"t\",\"subject\":\"\"", "\"type\":\"t\",\"more\":\"1\""] {
            let other = identity("in", None, &body.replace("\"type\":\"t\"", other));
            assert_eq!(one.id, other.id);
            assert_ne!(one.digest, other.digest);
        }
        assert_ne!(one.digest, identity("in", None, &body.replace("[2,", "[3,")).digest);
    }
}
