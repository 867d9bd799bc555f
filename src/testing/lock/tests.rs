//! Tests of the lock file.

use std::path::PathBuf;

use annals_macros::{Event, Id};
use schemars::JsonSchema;
use serde_json::json;

use super::*;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct DrugId(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Dose {
    #[serde(rename = "amt")]
    amount: u32,
    #[serde(default)]
    unit: Option<String>,
}

/// Has any form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Remark {
    Number(u64),
    Words(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Hidden {
    Number(u64),
    Words(String),
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "ward")]
enum WardEvent {
    #[event(update, "{actor} gave {dose} of {drug}", was("handed"))]
    Given { drug: DrugId, dose: Vec<Dose> },
    #[event(update, "{actor} said {0}")]
    Said(Remark),
    #[event(update, "{actor} hid {what}")]
    Hid { what: Hidden, since: u64 },
    #[event(update, "{actor} closed it")]
    Closed,
}

fn types() -> Types {
    let mut types = Types::default();
    types.add::<WardEvent>("ward").unwrap();
    types
}

fn lock_file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.lock.json");
    compare(&types(), &file, false, false).unwrap();
    (directory, file)
}

fn edited(file: &Path, edit: impl FnOnce(&mut Value)) {
    let mut lock: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    edit(&mut lock);
    fs::write(file, lock.to_string()).unwrap();
}

#[test]
fn the_lock_file_pins_what_deserialize_requests_including_nested_types() {
    let (_directory, file) = lock_file();
    let written = fs::read_to_string(&file).unwrap();
    let lock: Value = serde_json::from_str(&written).unwrap();
    let dose = json!({ "fields": { "amt": "u32", "unit?": { "option": "string" } } });
    assert_eq!(
        lock["events"]["ward.given"],
        json!({ "version": 1, "payload": { "fields": { "drug": "string", "dose": { "list": dose } } } })
    );
    assert_eq!(lock["events"]["ward.closed"], json!({ "version": 1, "payload": "unit" }));
    // A second run writes the same bytes, and the file is up to date in CI too.
    compare(&types(), &file, false, true).unwrap();
    compare(&types(), &file, true, false).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
}

/// Issue 16, fault 14: a serde rename inside a field's type.
#[test]
fn a_serde_rename_inside_a_field_type_changes_the_shape() {
    let (_directory, file) = lock_file();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"amt\"", "\"amount\"")).unwrap();
    let message = compare(&types(), &file, false, false).unwrap_err();
    assert!(message.contains("`ward.given` changed its shape but not its version"), "{message}");
    assert!(message.contains("dose.list.amount: was \"u32\", is nothing"), "{message}");
    assert!(message.contains("dose.list.amt: was nothing, is \"u32\""), "{message}");

    // A renamed event is compared with its current name.
    let renamed = text.replace("\"ward.given\"", "\"ward.handed\"").replace("\"amt\"", "\"amount\"");
    fs::write(&file, renamed).unwrap();
    let message = compare(&types(), &file, false, false).unwrap_err();
    assert!(message.contains("`ward.handed` changed its shape"), "{message}");

    compare(&types(), &file, true, false).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "it is written whatever it says");
}

#[test]
fn where_the_shape_cannot_be_seen_the_lock_file_pins_the_schema_or_a_sample_or_lists_the_field_as_blind() {
    let (_directory, file) = lock_file();
    let lock: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let schema = &lock["events"]["ward.said"]["schemas"]["0: Remark"];
    assert!(schema["anyOf"].is_array(), "{schema}");
    assert!(!schema.to_string().contains("Of any form"), "a comment is no shape: {schema}");
    assert_eq!(lock["events"]["ward.said"].get("blind"), None);
    assert_eq!(lock["events"]["ward.hid"]["blind"], json!(["what: Hidden"]));
    assert_eq!(lock["events"]["ward.hid"]["payload"]["fields"]["since"], "u64");

    // A changed schema is a changed shape.
    edited(&file, |lock| lock["events"]["ward.said"]["schemas"]["0: Remark"] = json!({ "type": "string" }));
    let message = compare(&types(), &file, false, false).unwrap_err();
    assert!(message.contains("`ward.said` changed its shape"), "{message}");

    // A readable sample covers a blind field; an unreadable one fails the test, even if the file is to be overwritten.
    compare(&types(), &file, true, false).unwrap();
    let sample =
        |what: Value| json!({ "event_type": "ward.hid", "version": 1, "payload": { "what": what, "since": 1 } });
    edited(&file, |lock| lock["samples"] = json!([sample(json!("here"))]));
    compare(&types(), &file, false, false).unwrap();
    let lock: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((lock["events"]["ward.hid"].get("blind"), lock["samples"].as_array().unwrap().len()), (None, 1));
    edited(&file, |lock| lock["samples"] = json!([sample(json!("here")), sample(json!(true))]));
    for update in [false, true] {
        let message = compare(&types(), &file, update, false).unwrap_err();
        assert!(message.contains("a sample of `ward.hid`, version 1, cannot be read"), "{message}");
        assert!(message.contains("untagged enum Hidden"), "{message}");
    }
}

#[test]
fn removed_and_new_types_and_lowered_versions_are_reported() {
    let (_directory, file) = lock_file();
    edited(&file, |lock| {
        let given = lock["events"]["ward.given"].take();
        lock["events"].as_object_mut().unwrap().remove("ward.given");
        lock["events"]["ward.burnt"] = given;
        lock["events"]["ward.closed"]["version"] = json!(2);
    });
    let message = compare(&types(), &file, false, false).unwrap_err();
    assert!(message.contains("`ward.burnt` was removed: write `was(\"ward.burnt\")`"), "{message}");
    assert!(message.contains("`ward.closed` went back from version 2 to 1"), "{message}");

    let (_directory, file) = lock_file();
    edited(&file, |lock| drop(lock["events"].as_object_mut().unwrap().remove("ward.closed")));
    let message = compare(&types(), &file, false, true).unwrap_err();
    assert!(message.contains("is not up to date"), "{message}");
    compare(&types(), &file, false, false).unwrap();
    compare(&types(), &file, false, true).unwrap();
}

#[test]
fn a_lock_file_of_the_older_format_says_how_to_renew_it() {
    let (_directory, file) = lock_file();
    let written = fs::read_to_string(&file).unwrap();
    fs::write(&file, r#"{"ward.given": {"version": 1, "fields": ["drug: DrugId", "dose: Vec<Dose>"]}}"#).unwrap();
    let message = compare(&types(), &file, false, false).unwrap_err();
    assert!(message.contains("an older version of annals (format 1)"), "{message}");
    assert!(message.contains("with UPDATE_EVENTS_LOCK=1"), "{message}");
    compare(&types(), &file, true, false).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), written);

    fs::write(&file, r#"{"format": 3, "events": {}}"#).unwrap();
    assert!(compare(&types(), &file, false, false).unwrap_err().contains("has format 3"));
    fs::write(&file, "[").unwrap();
    assert!(compare(&types(), &file, false, false).unwrap_err().contains("is not a lock file"));
}
