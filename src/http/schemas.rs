//! The schemas of what is written as text.

use std::borrow::Cow;

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::events::Ref;
use crate::projections::Bound;
use crate::projections::audit::{Cursor, Time};

fn text(description: &str, pattern: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(pattern))
        .examples([Value::from(example)])
}

fn time(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
}

macro_rules! schema {
    ($type:ty, $name:literal, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                RefOr::T(Schema::from($schema))
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    };
}

schema!(
    Ref,
    "Ref",
    text("A thing's kind and its id.", r"^[a-z][a-z0-9_-]{0,63}:[^\u0000]{1,256}$", "user:alice").build()
);
schema!(
    Cursor,
    "Cursor",
    text("Where the next page of the same query begins: as an earlier page gave it.", "^[0-9a-f]{72}$", "").build()
);
schema!(
    Bound,
    "Bound",
    OneOfBuilder::new()
        .description(Some("A place in the log: a position, an event id, a time with its zone, or a date."))
        .item(text("A position.", "^[0-9]{1,18}$", "120"))
        .item(time(KnownFormat::Uuid))
        .item(time(KnownFormat::DateTime))
        .item(time(KnownFormat::Date))
        .build()
);
schema!(
    Time,
    "Time",
    OneOfBuilder::new()
        .description(Some("A time with its zone, or a date: its midnight in UTC."))
        .item(time(KnownFormat::DateTime))
        .item(time(KnownFormat::Date))
        .build()
);
