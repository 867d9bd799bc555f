//! The lock file of event shapes: events in the log must stay readable.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::aggregates::Aggregate;
use crate::app::App;
use crate::app::access_log::AccessLog;
use crate::events::{Known, Ref, Stored, Types, shape};
use crate::text::error_chain;

/// The format of the lock file. Format 1, without a number, pinned only the names of field types.
const FORMAT: u32 = 2;

/// The environment variable that makes the test overwrite the file.
const UPDATE: &str = "UPDATE_EVENTS_LOCK";

/// The shape of a version of an event type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    version: u32,
    /// The payload as its `Deserialize` requests it, with nested types; `name?` is optional.
    payload: Value,
    /// The JSON schemas of fields whose types accept any form and decide later (untagged, flattened).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    schemas: BTreeMap<String, Value>,
    /// Fields whose shape the lock file cannot see: their types have no JSON schema, and there is no sample.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blind: Vec<String>,
}

/// A payload that must stay readable, written by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    event_type: String,
    version: u32,
    payload: Value,
}

/// The lock file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    format: u32,
    events: BTreeMap<String, Shape>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    samples: Vec<Sample>,
}

/// The shapes of an application's events, by type.
#[must_use]
pub fn shapes(app: &App) -> BTreeMap<String, Shape> {
    shapes_with(app.types(), &[])
}

fn shapes_with(types: &Types, samples: &[Sample]) -> BTreeMap<String, Shape> {
    // The application cannot change the events of the crate's own aggregate.
    let own = types.iter().filter(|known| known.aggregate_type != AccessLog::TYPE);
    let shape = |known: &Known| {
        let names = types.names(known.declaration.event_type);
        let sampled = samples.iter().any(|sample| names.contains(&sample.event_type.as_str()));
        (known.declaration.event_type.to_owned(), shape_of(known, sampled))
    };
    own.map(|known| shape(known)).collect()
}

fn shape_of(known: &Known, sampled: bool) -> Shape {
    let declaration = known.declaration;
    let version = declaration.version;
    let Some(derived) = known.shape() else {
        let payload = serde_json::json!({ shape::UNSEEN: "the event is not derived" });
        let blind = if sampled { Vec::new() } else { vec!["the whole payload".to_owned()] };
        return Shape { version, payload, schemas: BTreeMap::new(), blind };
    };
    let (mut schemas, mut blind) = (BTreeMap::new(), Vec::new());
    let payload = derived.payload;
    // A flattened field hides all fields of its variant.
    let each = payload.fields.len() == declaration.fields.len();
    for (number, (field, schema)) in declaration.fields.iter().zip(&derived.schemas).enumerate() {
        let hidden = match payload.fields.get(number).filter(|_| each) {
            Some((_, shape)) => shape::is_blind(shape),
            None => shape::is_blind(&payload.shape),
        };
        if !hidden {
            continue;
        }
        match schema() {
            Some(schema) => drop(schemas.insert(format!("{}: {}", field.name, field.shape), schema)),
            None if sampled => {}
            None => blind.push(format!("{}: {}", field.name, field.shape)),
        }
    }
    Shape { version, payload: payload.shape, schemas, blind }
}

/// Compares the shapes of an application's events with its lock file, `events.lock.json`, which is committed with the code.
///
/// A shape is what `Deserialize` requests, including nested types. Where that cannot be seen (untagged and internally tagged
/// enums, flattened fields), it is the field's JSON schema, if its type derives `JsonSchema`. Otherwise the file lists the
/// field under `blind`: add a payload to the file's `samples` (`{"event_type": …, "version": 1, "payload": …}`), which must
/// then stay readable.
///
/// New event types and versions are added to the file: commit it. The test fails if a shape changed without a new version,
/// a type was removed and no other one `was` it, or a sample cannot be read, because a log may have such events. With
/// `UPDATE_EVENTS_LOCK=1` in the environment the file is overwritten (samples are kept): for types that were never used.
///
/// # Panics
/// When a shape changed, or the file cannot be read or written; and, if `CI` is set, when it is not up to date.
#[track_caller]
pub fn assert_shapes_locked(app: &App, file: impl AsRef<Path>) {
    let update = std::env::var_os(UPDATE).is_some();
    if let Err(message) = compare(app.types(), file.as_ref(), update, std::env::var_os("CI").is_some()) {
        panic!("{message}");
    }
}

fn compare(types: &Types, file: &Path, update: bool, ci: bool) -> Result<(), String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("{} cannot be read: {error}", file.display())),
    };
    let empty = || Lock { format: FORMAT, events: BTreeMap::new(), samples: Vec::new() };
    let locked = match text.as_deref().map(|text| read(file, text)) {
        None => empty(),
        Some(Ok(lock)) => lock,
        Some(Err(_)) if update => empty(),
        Some(Err(message)) => return Err(message),
    };
    let unreadable = locked.samples.iter().filter_map(|sample| unreadable(types, sample));
    let mut problems: Vec<String> = unreadable.collect();
    let events = shapes_with(types, &locked.samples);
    if !update {
        problems.extend(changed(types, &locked.events, &events));
    }
    if !problems.is_empty() {
        return Err(format!(
            "events in the log may have another shape than this program reads:\n- {}\nIf every payload of the old shape \
             is read as before (say, an optional field or a variant was added), or no event was ever stored, run the test \
             once with {UPDATE}=1 and commit {}",
            problems.join("\n- "),
            file.display()
        ));
    }
    for (event_type, shape) in events.iter().filter(|(_, shape)| !shape.blind.is_empty()) {
        // Test output may be hidden, so the file says it as well.
        eprintln!(
            "the lock file cannot see the shape of `{event_type}` ({}): derive JsonSchema for the type, or add a payload to \
             `samples`",
            shape.blind.join(", ")
        );
    }
    let now = Lock { format: FORMAT, events, samples: locked.samples.clone() };
    if locked == now {
        return Ok(());
    }
    if ci && !update {
        return Err(format!(
            "{} is not up to date: run the tests once outside of CI and commit it",
            file.display()
        ));
    }
    let text = serde_json::to_string_pretty(&now).map_err(|error| error.to_string())?;
    fs::write(file, text + "\n").map_err(|error| format!("{} cannot be written: {error}", file.display()))
}

fn read(file: &Path, text: &str) -> Result<Lock, String> {
    let not_one =
        |error: serde_json::Error| format!("{} is not a lock file of event shapes: {error}", file.display());
    let value: Value = serde_json::from_str(text).map_err(not_one)?;
    match value.get("format").map(Value::as_u64) {
        Some(Some(format)) if format == u64::from(FORMAT) => serde_json::from_value(value).map_err(not_one),
        Some(format) => Err(format!(
            "{} has format {}, and this version of annals writes format {FORMAT}: it was written by a newer version of \
             annals; update annals",
            file.display(),
            format.map_or_else(|| "of another kind".to_owned(), |format| format.to_string())
        )),
        None => Err(format!(
            "{} is a lock file of an older version of annals (format 1), which has no nested types. Renew it: run \
             this test once with {UPDATE}=1, on code whose event shapes have not changed since the file was last \
             committed, and commit the file",
            file.display()
        )),
    }
}

/// Returns the problem if a sample cannot be read.
fn unreadable(types: &Types, sample: &Sample) -> Option<String> {
    let Sample { event_type, version, payload } = sample;
    let problem =
        |why: String| Some(format!("a sample of `{event_type}`, version {version}, cannot be read: {why}"));
    let Some(known) = types.get(event_type) else {
        return problem(format!("the type was removed: write `was(\"{event_type}\")` on its replacement"));
    };
    let stored = Stored {
        position: 1,
        event_id: Uuid::nil(),
        aggregate: Ref::unchecked(known.aggregate_type, "sample"),
        sequence: 1,
        event_type: event_type.clone(),
        event_version: format!("{version}.0"),
        payload: payload.to_string(),
        metadata: "{}".to_owned(),
        command_id: Uuid::nil(),
        occurred_at: Timestamp::UNIX_EPOCH,
        recorded_at: Timestamp::UNIX_EPOCH,
        digest: [0; 32],
    };
    let error = known.describe(&stored).err()?;
    problem(error_chain(&error))
}

fn changed(types: &Types, locked: &BTreeMap<String, Shape>, now: &BTreeMap<String, Shape>) -> Vec<String> {
    let mut problems = Vec::new();
    for (event_type, old) in locked {
        // It may have been renamed.
        let name = types.get(event_type).map(|known| known.declaration.event_type);
        match name.and_then(|name| now.get(name)) {
            None => problems
                .push(format!("`{event_type}` was removed: write `was(\"{event_type}\")` on its replacement")),
            Some(new) if new.version < old.version => {
                problems.push(format!("`{event_type}` went back from version {} to {}", old.version, new.version));
            }
            // The blind fields are not part of the shape: a sample may have been added.
            Some(new)
                if new.version == old.version && (&new.payload, &new.schemas) != (&old.payload, &old.schemas) =>
            {
                problems.push(format!(
                    "`{event_type}` changed its shape but not its version: write `version = {}, from({} = upcaster)`{}",
                    old.version + 1,
                    old.version,
                    differences(old, new)
                ));
            }
            Some(_) => {}
        }
    }
    problems
}

/// Lists the differences of two shapes, one a line.
fn differences(old: &Shape, new: &Shape) -> String {
    let mut lines = String::new();
    differ("", Some(&old.payload), Some(&new.payload), &mut lines);
    for name in old.schemas.keys().chain(new.schemas.keys().filter(|name| !old.schemas.contains_key(*name))) {
        differ(&format!("schema of {name}"), old.schemas.get(name), new.schemas.get(name), &mut lines);
    }
    lines
}

fn differ(at: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut String) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                let part = match name.as_str() {
                    "fields" | "enum" => at.to_owned(),
                    name if at.is_empty() => name.to_owned(),
                    name => format!("{at}.{name}"),
                };
                differ(&part, old.get(name), new.get(name), lines);
            }
        }
        (old, new) => {
            let text = |shape: Option<&Value>| shape.map_or_else(|| "nothing".to_owned(), Value::to_string);
            let at = if at.is_empty() { "the payload" } else { at };
            *lines += &format!("\n  {at}: was {}, is {}", text(old), text(new));
        }
    }
}

#[cfg(test)]
mod tests;
