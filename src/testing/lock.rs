//! The lock file of event shapes: what lies in the log must stay readable.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::aggregates::Aggregate;
use crate::app::App;
use crate::app::trail::Trail;

/// What a version of an event type looks like: its fields, in order, with their types as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    version: u32,
    fields: Vec<String>,
}

/// The shapes of an application's events, by type.
#[must_use]
pub fn shapes(app: &App) -> BTreeMap<String, Shape> {
    let shape = |declaration: &crate::events::Declaration| Shape {
        version: declaration.version,
        fields: declaration.fields.iter().map(|field| format!("{}: {}", field.name, field.shape)).collect(),
    };
    // What the crate itself records is not the application's to change.
    let own = app.types().iter().filter(|known| known.aggregate_type != Trail::TYPE);
    own.map(|known| (known.declaration.event_type.to_owned(), shape(known.declaration))).collect()
}

/// Compares the shapes of an application's events with its lock file, `events.lock.json`, which is kept with the code.
///
/// A new event type, and a new version, are added to the file: commit it. A shape that changed without a new
/// version, or a type that is gone without another one that `was` it, fails: events of that shape may lie in a log.
/// With `UPDATE_EVENTS_LOCK=1` in the environment the file is written anew whatever it says: for types that were
/// never used.
///
/// # Panics
/// When a shape changed, or the file cannot be read or written; and, where `CI` is set, when it is not up to date.
#[track_caller]
pub fn assert_shapes_locked(app: &App, file: impl AsRef<Path>) {
    let file = file.as_ref();
    let now = shapes(app);
    let locked: BTreeMap<String, Shape> = match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} is not a lock file of event shapes: {error}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => panic!("{} cannot be read: {error}", file.display()),
    };
    if locked == now {
        return;
    }
    let problems = problems(app, &locked, &now);
    let anew = std::env::var_os("UPDATE_EVENTS_LOCK").is_some();
    assert!(anew || problems.is_empty(), "stored events would not be read any more:\n- {}", problems.join("\n- "));
    assert!(
        anew || std::env::var_os("CI").is_none(),
        "{} is not up to date: run the tests once outside of CI and commit it",
        file.display()
    );
    let text = serde_json::to_string_pretty(&now).unwrap_or_else(|error| panic!("{error}"));
    fs::write(file, text + "\n").unwrap_or_else(|error| panic!("{} cannot be written: {error}", file.display()));
}

fn problems(app: &App, locked: &BTreeMap<String, Shape>, now: &BTreeMap<String, Shape>) -> Vec<String> {
    let mut problems = Vec::new();
    for (event_type, old) in locked {
        match now.get(event_type) {
            None if app.types().get(event_type).is_some() => {}
            None => problems.push(format!("`{event_type}` is gone: say `was(\"{event_type}\")` on the one that took its place")),
            Some(new) if new.version < old.version => {
                problems.push(format!("`{event_type}` went back from version {} to {}", old.version, new.version));
            }
            Some(new) if new.version == old.version && new != old => problems.push(format!(
                "`{event_type}` changed its shape but not its version: say `version = {}, from({} = upcaster)`\n  was: {}\n  is:  {}",
                old.version + 1,
                old.version,
                old.fields.join(", "),
                new.fields.join(", ")
            )),
            Some(_) => {}
        }
    }
    problems
}
