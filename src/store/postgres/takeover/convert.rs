//! [`Converter`]: one row of postgres-es as a row of the log, decoded with the application's event types.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::mapping::{OldEvent, Takeover};
use crate::events::{InvalidRef, Known, Ref, Stored, Types};
use crate::store::NewEvent;
use crate::store::micros;
use crate::text::error_chain;

/// The actor of events whose metadata names none.
pub(super) const ACTOR: &str = "system:postgres-es";

/// Checks that an aggregate's id is one of its type.
pub(crate) type CheckId<'a> = &'a (dyn Fn(&Ref) -> Result<(), InvalidRef> + Send + Sync);

/// What the application reads events with.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) types: &'a Types,
    pub(crate) check_id: CheckId<'a>,
}

/// A converted row.
pub(super) struct Converted {
    pub(super) aggregate: Ref,
    /// Whether the id began with the aggregate's kind and a colon, which are left out.
    pub(super) shortened: bool,
    pub(super) event: NewEvent,
    pub(super) metadata: String,
    /// The time, or why there is none; `None` if no time is taken.
    pub(super) time: Option<Result<Timestamp, String>>,
    /// Why the metadata gave no actor.
    pub(super) no_actor: Option<String>,
}

/// Converts rows, and remembers the names that changed.
pub(super) struct Converter<'a> {
    takeover: &'a Takeover,
    reading: Reading<'a>,
    /// The old names of aggregate types, by their new names.
    pub(super) kinds: BTreeMap<String, String>,
    /// The new names of event types, by their old names.
    pub(super) event_types: BTreeMap<String, String>,
}

impl<'a> Converter<'a> {
    pub(super) fn new(takeover: &'a Takeover, reading: Reading<'a>) -> Self {
        Self { takeover, reading, kinds: BTreeMap::new(), event_types: BTreeMap::new() }
    }

    /// Converts a row, or says why it cannot be taken over and what to do.
    pub(super) fn convert(&mut self, old: &OldEvent) -> Result<Converted, String> {
        let (aggregate, shortened) = self.aggregate(old)?;
        let event_type = match old.event_type.contains('.') {
            true => old.event_type.clone(),
            false => format!("{}.{}", aggregate.kind(), old.event_type),
        };
        let known = self.known(old, &event_type, aggregate.kind())?;
        let version = self.takeover.version_of(&old.event_type, &old.event_version).ok_or_else(|| {
            let OldEvent { event_type, event_version, .. } = old;
            format!(
                "the version `{event_version}` of `{event_type}` is not a whole number from 1: say which version of the \
                 event it was, as --event-version '{event_type}:{event_version}=1'"
            )
        })?;
        let payload = content(old, &known)?;
        let actor = self.takeover.actor_of(old);
        let metadata = metadata(actor.as_ref().map_or(ACTOR, Ref::as_str), &old.metadata)?;
        let stored = Stored {
            position: 1,
            event_id: Uuid::nil(),
            aggregate,
            sequence: u64::try_from(old.sequence).map_err(|error| error.to_string())?,
            event_type,
            event_version: format!("{version}.0"),
            payload,
            metadata,
            command_id: Uuid::nil(),
            occurred_at: Timestamp::UNIX_EPOCH,
            recorded_at: Timestamp::UNIX_EPOCH,
            digest: [0; 32],
        };
        known.describe(&stored).map_err(|error| {
            let chain = error_chain(&error);
            // The place in the text differs from row to row.
            chain.split(" at line ").next().unwrap_or_default().to_owned()
        })?;
        let new = self.event_types.entry(old.event_type.clone()).or_insert_with(|| stored.event_type.clone());
        if *new != stored.event_type {
            // Events of several aggregate types can have one name there.
            let name = format!("{}.{}", old.aggregate_type, old.event_type);
            self.event_types.insert(name, stored.event_type.clone());
        }
        let Stored { aggregate, event_type, event_version, payload, metadata, .. } = stored;
        Ok(Converted {
            aggregate,
            shortened,
            event: NewEvent::new(event_type, event_version, payload),
            metadata,
            time: self.takeover.time_of(old).map(|time| time.map(micros)),
            no_actor: actor.err(),
        })
    }

    fn aggregate(&mut self, old: &OldEvent) -> Result<(Ref, bool), String> {
        let kind = self.takeover.kind_of(&old.aggregate_type);
        // `account:9` is how the reference to the account `9` is written: everywhere it would be read as that.
        let own = old.aggregate_id.strip_prefix(&kind).and_then(|rest| rest.strip_prefix(':'));
        let id = own.unwrap_or(&old.aggregate_id);
        let aggregate = Ref::new(&kind, id).and_then(|aggregate| aggregate.check_caller().map(|()| aggregate));
        let aggregate = aggregate.map_err(|error| match error {
            InvalidRef::NoKind(_) | InvalidRef::Reserved(_) => format!(
                "the aggregate type `{old}` cannot be called `{kind}` (lower-case letters, digits, `_` and `-`, beginning with \
                 a letter, not `annals`): name it, as --kind '{old}=account'",
                old = old.aggregate_type
            ),
            other => other.to_string(),
        })?;
        let was = self.kinds.entry(kind).or_insert_with(|| old.aggregate_type.clone());
        if *was != old.aggregate_type {
            return Err(format!(
                "`{was}` and `{}` would both be called `{}`: name one, as --kind '{was}=NAME'",
                old.aggregate_type,
                aggregate.kind()
            ));
        }
        (self.reading.check_id)(&aggregate).map_err(|error| error.to_string())?;
        Ok((aggregate, own.is_some()))
    }

    /// Returns the declaration of the event's type.
    fn known(&self, old: &OldEvent, event_type: &str, kind: &str) -> Result<Arc<Known>, String> {
        let known = self.reading.types.get(event_type).ok_or_else(|| {
            format!(
                "this application has no event type `{event_type}`: declare `was(\"{event_type}\")` on the variant that it \
                 is now, or name the aggregate type, as --kind '{}=NAME'",
                old.aggregate_type
            )
        })?;
        match known.aggregate_type == kind {
            true => Ok(known.clone()),
            false => Err(format!(
                "`{event_type}` belongs to the aggregate type `{new}`, not to `{kind}`: --kind '{old}={new}'",
                new = known.aggregate_type,
                old = old.aggregate_type
            )),
        }
    }
}

/// Returns the content of the variant of an enum in serde's default form, byte for byte.
///
/// `{"Opened":{…}}` has the name of the variant, which the event type ends with. An object with one field of another name is
/// an event without a tag: its only field must not be taken for one.
fn content(old: &OldEvent, known: &Known) -> Result<String, String> {
    let refused = |what: &str| {
        format!(
            "the payload of `{}` is {what}, not a variant of an enum in serde's default form, like {{\"{}\":{{…}}}}: \
             import such events with a program (guide, \"Coming over from cqrs-es\")",
            old.event_type,
            old.event_type.rsplit('.').next().unwrap_or_default()
        )
    };
    if let Ok(unit) = serde_json::from_str::<String>(&old.payload) {
        return match names(&old.event_type, &unit) {
            true => Ok("{}".to_owned()),
            false => Err(refused("a text that is not the name of the event")),
        };
    }
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(&old.payload) else {
        return Err(refused("no object"));
    };
    let mut fields = fields.into_iter();
    let (Some((tag, content)), None) = (fields.next(), fields.next()) else {
        return Err(refused("an object that does not have exactly one field"));
    };
    if !names(&old.event_type, &tag) {
        return Err(refused(&format!("an object with the field `{}`", tag.escape_debug())));
    }
    if known.declaration.fields.iter().any(|field| field.name == tag) {
        return Err(refused(&format!("an object with the field `{tag}`, which is a field of the event too")));
    }
    Ok(content.get().to_owned())
}

/// Whether a variant of this name can have this event type: `AccountOpened`, `account_opened` and `Opened` can have
/// `account.opened`, and `AccountOpened` can have `Opened`.
fn names(event_type: &str, variant: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (event_type, name) = (letters(event_type), letters(variant));
    let longer = variant.starts_with(char::is_uppercase) && !event_type.is_empty() && name.ends_with(&event_type);
    !name.is_empty() && (event_type.ends_with(&name) || longer)
}

/// Returns the new metadata: the actor, and the old metadata as they were.
fn metadata(actor: &str, old: &str) -> Result<String, String> {
    // Parsed to be sure that it is valid JSON.
    let raw: &RawValue =
        serde_json::from_str(old).map_err(|error| format!("its metadata cannot be read: {error}"))?;
    let actor = serde_json::to_string(actor).map_err(|error| error.to_string())?;
    Ok(match raw.get() {
        "{}" | "null" => format!(r#"{{"actor":{actor}}}"#),
        kept => format!(r#"{{"actor":{actor},"postgres_es":{kept}}}"#),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_tag_only_if_it_is_the_name_of_the_event() {
        for (event_type, variant) in [
            ("AccountOpened", "AccountOpened"),
            ("account.opened", "Opened"),
            ("account-opened", "account_opened"),
            ("Opened", "AccountOpened"),
        ] {
            assert!(names(event_type, variant), "{event_type} {variant}");
        }
        for (event_type, variant) in [
            ("Opened", "cents"),
            ("Opened", ""),
            ("", "Opened"),
            ("Opened", "is_opened"),
            ("Opened", "type"),
            ("", ""),
        ] {
            assert!(!names(event_type, variant), "{event_type} {variant}");
        }
    }

    #[test]
    fn old_metadata_are_kept_byte_for_byte_inside_of_new_ones() {
        assert_eq!(
            metadata("user:\"a\"", r#" { "time":1.50 } "#).unwrap(),
            r#"{"actor":"user:\"a\"","postgres_es":{ "time":1.50 }}"#
        );
        assert_eq!(metadata(ACTOR, "{}").unwrap(), r#"{"actor":"system:postgres-es"}"#);
        assert!(metadata(ACTOR, "{").is_err());
    }
}
