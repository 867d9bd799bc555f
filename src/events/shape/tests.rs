//! Shapes of all kinds of types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

#[derive(Deserialize)]
#[allow(dead_code)]
struct Person {
    #[serde(rename = "n")]
    name: String,
    id: uuid::Uuid,
    #[serde(default)]
    age: u8,
    nick: Option<String>,
    at: jiff::Timestamp,
    place: (f64, f64),
    tags: BTreeMap<String, Vec<Tag>>,
    boss: Option<Box<Person>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code)]
enum Tag {
    NoMore,
    Named(String),
    Both(u32, Kind),
    Long { text: String, kind: Kind },
}

#[derive(Serialize, Deserialize)]
enum Kind {
    One,
    Two,
}

#[test]
fn a_shape_is_what_deserialize_requests_including_nested_types() {
    let tag = json!({ "enum": {
        "no-more": "unit",
        "named": "string",
        "both": { "tuple": ["u32", { "enum": { "One": "unit", "Two": "unit" } }] },
        "long": { "fields": { "text": "string", "kind": { "enum": { "One": "unit", "Two": "unit" } } } },
    } });
    assert_eq!(shape_of::<Tag>(), tag);
    let person = shape_of::<Person>();
    let fields = &person["fields"];
    let names: Vec<&str> = fields.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["age?", "at", "boss?", "id", "n", "nick?", "place", "tags"]);
    assert_eq!(fields["place"], json!({ "tuple": ["f64", "f64"] }));
    assert_eq!(fields["tags"], json!({ "map": ["string", { "list": tag }] }));
    // The type is recursive.
    assert!(person.to_string().contains(r#"{"again":"Person"}"#), "{person}");
    assert!(!is_blind(&person), "{person}");
    assert_eq!(shape_of::<Person>().to_string(), person.to_string());
}

#[derive(Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Untagged {
    One(u8),
    Two(String),
}

#[derive(Deserialize)]
#[serde(tag = "kind")]
#[allow(dead_code)]
enum Tagged {
    One { number: u8 },
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Flat {
    before: u8,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Rest {
    after: u8,
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Holding {
    Flat {
        before: u8,
        #[serde(flatten)]
        rest: Rest,
    },
    Open {
        whole: Untagged,
        seen: u8,
    },
}

#[test]
fn parts_that_cannot_be_seen_are_marked() {
    for (name, shape) in [
        ("untagged", shape_of::<Untagged>()),
        ("tagged", shape_of::<Tagged>()),
        ("flat", shape_of::<Flat>()),
        ("json", shape_of::<Value>()),
    ] {
        assert!(shape[UNSEEN].is_string(), "{name}: {shape}");
    }
    let flat = shape_of_variant::<Holding>(0);
    assert!(is_blind(&flat.shape) && flat.fields.is_empty(), "{flat:?}");
    let open = shape_of_variant::<Holding>(1);
    let blind: Vec<(&str, bool)> =
        open.fields.iter().map(|(name, shape)| (name.as_str(), is_blind(shape))).collect();
    assert_eq!(blind, [("whole", true), ("seen", false)]);
}

/// The shape of a type whose `Deserialize` panics or never ends is marked as unseen.
#[test]
fn a_type_that_cannot_be_walked_is_marked_as_unseen() {
    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("intended by the test")
        }
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Wide {
        A(Box<(Wide, Wide, Wide)>),
        B(Box<Wider>),
        C,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Wider {
        a: Wide,
        b: Option<Box<Wider>>,
        c: Vec<Wide>,
    }
    assert!(is_blind(&shape_of::<Panics>()));
    assert_eq!(shape_of::<Wider>().to_string(), shape_of::<Wider>().to_string());
}

#[test]
fn the_schema_of_a_type_has_no_texts() {
    /// Words.
    #[derive(JsonSchema, Deserialize)]
    #[allow(dead_code)]
    struct With {
        /// More words.
        description: String,
        kind: u8,
    }
    struct Without;
    // Through a reference, as derived events do.
    let (with, without, list) = (&Probe::<With>::new(), &Probe::<Without>::new(), &Probe::<Vec<Without>>::new());
    let schema = with.schema().unwrap();
    assert!(schema["properties"]["description"].is_object(), "{schema}");
    assert!(!schema.to_string().contains("ords"), "{schema}");
    assert_eq!((without.schema(), list.schema()), (None, None));
}
