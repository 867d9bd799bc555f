//! [`Field`]: a field by which the documents of a view can be filtered and ordered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};

use crate::events::Id;
use crate::projections::indexed_text::indexed;
use crate::store::{Cell, Column, ColumnType};

/// The kind of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Text, ordered by its first 1,024 bytes.
    Text,
    /// Whole numbers.
    Number,
}

/// The name and kind of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// The field's name: lower-case letters, digits and `_`.
    pub name: &'static str,
    /// The field's kind.
    pub kind: FieldKind,
}

/// A value of a document by which the view's list can be filtered and ordered. It is stored in an indexed column
/// beside the document. A document without the value matches no filter on the field and is in no list ordered by
/// it.
///
/// Declaring another field rebuilds the view automatically.
///
/// ```
/// # use annals::prelude::*;
/// # use annals::projections::{DocumentView, Field, On};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// # pub struct LampId(String);
/// # #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # #[event(name = "lamp", topic = "house/lamp")]
/// # pub enum LampEvent {
/// #     #[event(update, "{actor} put the lamp into {room} at {level} percent")]
/// #     Put { room: String, level: u8 },
/// # }
/// #[derive(Serialize, Deserialize)]
/// struct Lamp { room: String, percent: u8 }
///
/// impl DocumentView for Lamp {
///     const NAME: &'static str = "lamps";
///     const FIELDS: &'static [Field<Self>] = &[
///         Field::text("room", |lamp| Some(lamp.room.clone())),
///         Field::number("percent", |lamp| Some(lamp.percent.into())),
///     ];
///     type Key = LampId;
///     type Events = LampEvent;
/// }
/// # impl On<LampEvent> for Lamp {
/// #     fn keys(event: &Recorded<LampEvent>) -> Vec<LampId> { event.id().into_iter().collect() }
/// #     fn apply(lamp: &mut Option<Self>, _: &LampId, event: &Recorded<LampEvent>) {
/// #         let LampEvent::Put { room, level } = &event.event;
/// #         *lamp = Some(Lamp { room: room.clone(), percent: *level });
/// #     }
/// # }
/// # async fn page(annals: &annals::app::Annals) -> Result<(), Box<dyn std::error::Error>> {
/// let brightest = annals.views::<Lamp>().filter("room", "hall").order("percent").descending().limit(10).await?;
/// let bright = annals.views::<Lamp>().from("percent", 50).until("percent", 101).prefix("room", "ha").await?;
/// let by_room = annals.views::<Lamp>().any_of("room", ["hall", "attic"]).count_by("room").await?;
/// let more = annals.views::<Lamp>().filter("room", "hall").order("percent").descending().limit(10);
/// if let Some(next) = &brightest.next {
///     let page = more.cursor(next).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Field<V> {
    info: FieldInfo,
    of: Of<V>,
}

enum Of<V> {
    Text(fn(&V) -> Option<String>),
    Number(fn(&V) -> Option<i64>),
}

impl<V> Field<V> {
    /// A text field.
    pub const fn text(name: &'static str, of: fn(&V) -> Option<String>) -> Self {
        Self { info: FieldInfo { name, kind: FieldKind::Text }, of: Of::Text(of) }
    }

    /// A field of whole numbers: counts, positions, cents, times as numbers.
    pub const fn number(name: &'static str, of: fn(&V) -> Option<i64>) -> Self {
        Self { info: FieldInfo { name, kind: FieldKind::Number }, of: Of::Number(of) }
    }

    /// The field's name and kind.
    #[must_use]
    pub const fn info(&self) -> FieldInfo {
        self.info
    }

    pub(super) fn cell(&self, document: &V) -> Cell {
        match self.of {
            Of::Text(of) => of(document).map_or(Cell::Null, |text| Cell::from(&*indexed(&text))),
            Of::Number(of) => of(document).map_or(Cell::Null, Cell::Integer),
        }
    }
}

impl<V> fmt::Debug for Field<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

impl FieldInfo {
    /// The column that holds its values.
    pub(super) fn column(&self) -> Column {
        let column_type = match self.kind {
            FieldKind::Text => ColumnType::Text,
            FieldKind::Number => ColumnType::Integer,
        };
        Column::new(column_name(self.name), column_type).nullable()
    }

    /// The name of its column, quoted for use in SQL.
    pub(super) fn column_name(&self) -> String {
        format!("\"{}\"", column_name(self.name).replace('"', "\"\""))
    }
}

/// `f_` and the name of a field. A program declares few fields, so that each name is made once and kept.
fn column_name(field: &'static str) -> &'static str {
    static NAMES: Mutex<BTreeMap<&str, &str>> = Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.entry(field).or_insert_with(|| format!("f_{field}").leak())
}

/// A value to compare a field with.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldValue(pub(super) Cell);

impl FieldValue {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.text()
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        self.0.integer()
    }
}

impl Serialize for FieldValue {
    /// A text or a number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Integer(number) => serializer.serialize_i64(*number),
            _ => serializer.serialize_none(),
        }
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self(Cell::from(text))
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> Self {
        Self(Cell::Text(text))
    }
}

impl From<&String> for FieldValue {
    fn from(text: &String) -> Self {
        Self(Cell::from(text.as_str()))
    }
}

impl<I: Id> From<&I> for FieldValue {
    /// The id's whole reference: `project:7`.
    fn from(id: &I) -> Self {
        Self(Cell::Text(id.to_string()))
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for FieldValue {
            fn from(number: $number) -> Self {
                Self(Cell::Integer(number.into()))
            }
        }
    )*};
}

numbers!(i64, i32, u32, bool);
