//! Follows all paths into a type, one run each.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::plain::TEXTS;
use super::trace::{Seen, Step, Stop, Tracer};
use super::{Payload, UNSEEN};

/// The limits of steps in a path and of runs for a type. The shape beyond them is not seen.
const DEEPEST: usize = 48;
const MOST_RUNS: usize = 50_000;

/// How often a struct or enum may be nested in itself before it counts as recursive: nested types may have the same name.
const WITHIN_ITSELF: usize = 2;

/// Returns the shape of a type, with the names of objects sorted.
#[must_use]
pub fn shape_of<T: DeserializeOwned>() -> Value {
    caught(|| Walk::<T>::new(Vec::new()).node()).unwrap_or_else(panicked)
}

/// Returns the shape of the payload of the variant number `index` of an event enum.
#[must_use]
pub fn shape_of_variant<E: DeserializeOwned>(index: u32) -> Payload {
    let walked = caught(|| {
        let mut walk = Walk::<E>::new(vec![Step::Number(index)]);
        let shape = walk.node();
        Payload { fields: walk.top(), shape }
    });
    walked.unwrap_or_else(|| Payload { shape: panicked(), fields: Vec::new() })
}

fn caught<T>(walk: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(walk)).ok()
}

fn panicked() -> Value {
    unseen("its Deserialize panics")
}

fn unseen(why: &str) -> Value {
    json!({ UNSEEN: why })
}

struct Walk<T> {
    path: Vec<Step>,
    /// The structs and enums on the path.
    within: Vec<String>,
    runs: usize,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Walk<T> {
    fn new(path: Vec<Step>) -> Self {
        Self { path, within: Vec::new(), runs: 0, of: PhantomData }
    }

    /// Follows the path, with one more step if there is one.
    fn run(&mut self, more: Option<Step>) -> Stop {
        self.runs += 1;
        let longer = more.is_some();
        self.path.extend(more);
        let stop = T::deserialize(Tracer(&self.path)).err().unwrap_or(Stop::Made);
        if longer {
            self.path.pop();
        }
        stop
    }

    fn go(&mut self, step: Step) -> Value {
        self.path.push(step);
        let shape = self.node();
        self.path.pop();
        shape
    }

    /// Returns the shape at the end of the path.
    fn node(&mut self) -> Value {
        if self.path.len() > DEEPEST || self.runs > MOST_RUNS {
            return unseen("the type is too large");
        }
        let seen = match self.run(None) {
            Stop::Seen(seen) => seen,
            Stop::Error(message) => return unseen(&message),
            Stop::Made | Stop::Missing(_) => return unseen("it asks for nothing"),
        };
        match seen {
            Seen::Leaf("any") => unseen("untagged or internally tagged, or any JSON"),
            Seen::Leaf(name) => json!(name),
            Seen::Option => json!({ "option": self.go(Step::Some) }),
            Seen::Newtype => self.go(Step::Newtype),
            Seen::List => json!({ "list": self.go(Step::Item(Vec::new())) }),
            Seen::Tuple(length) => json!({ "tuple": self.items(length) }),
            Seen::Map => self.map(),
            Seen::Struct(name, fields) => {
                self.named(name, fields, |walk| json!({ "fields": object(walk.fields(fields)) }))
            }
            Seen::Enum(name, variants) => self.named(name, variants, |walk| {
                let variants = variants.iter().map(|name| ((*name).to_owned(), walk.go(Step::Variant(name))));
                json!({ "enum": object(variants.collect()) })
            }),
        }
    }

    /// Returns the shape of a struct or enum, unless it is nested in itself.
    fn named(&mut self, name: &str, parts: &[&str], look: impl FnOnce(&mut Self) -> Value) -> Value {
        let key = format!("{name} {}", parts.join(" "));
        if !name.is_empty() && self.within.iter().filter(|other| **other == key).count() >= WITHIN_ITSELF {
            return json!({ "again": name });
        }
        self.within.push(key);
        let shape = look(self);
        self.within.pop();
        shape
    }

    fn fields(&mut self, fields: &'static [&'static str]) -> Vec<(String, Value)> {
        let optional = self.optional(fields);
        let shape = |name: &&'static str| {
            let mark = if optional.contains(name) { "?" } else { "" };
            (format!("{name}{mark}"), self.go(Step::Field(name)))
        };
        fields.iter().map(shape).collect()
    }

    /// Finds the optional fields: builds the struct with more and more fields, until none is missing.
    fn optional(&mut self, fields: &'static [&'static str]) -> BTreeSet<&'static str> {
        let mut given: Vec<(&'static str, usize)> = Vec::new();
        loop {
            match self.run(Some(Step::Given(given.clone()))) {
                Stop::Missing(name) if fields.contains(&name) && !given.iter().any(|(other, _)| *other == name) => {
                    given.push((name, 0));
                }
                Stop::Made => {
                    let needed = |name: &&&str| !given.iter().any(|(other, _)| other == *name);
                    return fields.iter().filter(needed).copied().collect();
                }
                // The type rejected the value of the last field: try another text.
                _ => match given.last_mut() {
                    Some((_, text)) if *text + 1 < TEXTS.len() => *text += 1,
                    _ => return BTreeSet::new(),
                },
            }
        }
    }

    fn items(&mut self, length: usize) -> Vec<Value> {
        let mut texts: Vec<usize> = Vec::new();
        let mut items = Vec::new();
        for _ in 0..length {
            // The type may accept the value before this one only with another text.
            while let (Stop::Error(_), Some(last)) = (self.run(Some(Step::Item(texts.clone()))), texts.last_mut()) {
                *last += 1;
                if *last >= TEXTS.len() {
                    *last = 0;
                    break;
                }
            }
            items.push(self.go(Step::Item(texts.clone())));
            texts.push(0);
        }
        items
    }

    fn map(&mut self) -> Value {
        let key = self.go(Step::Key);
        if key == json!("identifier") {
            return unseen("flattened fields");
        }
        let text = (0..TEXTS.len()).find(|text| !matches!(self.run(Some(Step::Value(*text))), Stop::Error(_)));
        json!({ "map": [key, self.go(Step::Value(text.unwrap_or_default()))] })
    }

    /// Returns the fields of the variant at the end of the path.
    fn top(&mut self) -> Vec<(String, Value)> {
        match self.run(None) {
            Stop::Seen(Seen::Struct(_, fields)) => self.fields(fields),
            Stop::Seen(Seen::Tuple(length)) => (0_usize..).map(|n| n.to_string()).zip(self.items(length)).collect(),
            Stop::Seen(Seen::Newtype) => {
                let shape = self.go(Step::Newtype);
                // A flattened field makes the whole variant a map.
                if shape.get(UNSEEN).is_some() { Vec::new() } else { vec![("0".to_owned(), shape)] }
            }
            _ => Vec::new(),
        }
    }
}

/// Creates an object with sorted names.
fn object(parts: Vec<(String, Value)>) -> Value {
    let parts: BTreeMap<String, Value> = parts.into_iter().collect();
    Value::Object(parts.into_iter().collect())
}
