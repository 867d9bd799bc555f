//! The schemas of types that are written as text.

use std::borrow::Cow;

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use crate::events::{Action, REF_PATTERN, Ref, Topic};
use crate::projections::RangeBound;
use crate::projections::ViewCursor;
use crate::projections::audit::{Cursor, Time};
use crate::projections::export::Format;
use crate::projections::flows::{FlowCursor, Outcome};
use crate::projections::metrics::Width;
use crate::projections::presenter::NameMode;
use crate::store::Moment;

/// The types that only parameters refer to.
#[derive(OpenApi)]
#[openapi(components(schemas(
    Action, RangeBound, Moment, Cursor, FlowCursor, Format, NameMode, Outcome, Ref, Time, Topic, Width
)))]
pub(super) struct ParameterSchemas;

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
    text("A reference: a kind and an id of at most 1,024 bytes.", REF_PATTERN, "user:alice").build()
);
schema!(Cursor, "Cursor", text("A cursor of the same query, from an earlier page.", "^[0-9a-f]{72}$", "").build());
// `anyOf`, not `oneOf`: formats do not exclude each other, so that a text may match several.
schema!(
    RangeBound,
    "RangeBound",
    AnyOfBuilder::new()
        .description(Some(
            "A place in the log: a position, an event id, a time with a time zone, or a date (midnight UTC)."
        ))
        .item(text("A position.", "^[0-9]{1,18}$", "120"))
        .item(time(KnownFormat::Uuid))
        .item(time(KnownFormat::DateTime))
        .item(time(KnownFormat::Date))
        .build()
);
schema!(
    Moment,
    "Moment",
    AnyOfBuilder::new()
        .description(Some(
            "A moment in the past of the log: a position, or a time with a time zone. A position that looks like a year is written \
             `position:2026`."
        ))
        .item(text("A position.", "^([0-9]{1,3}|[0-9]{5,18}|position:[0-9]{1,18})$", "1234"))
        .item(time(KnownFormat::DateTime))
        .build()
);
schema!(
    Time,
    "Time",
    AnyOfBuilder::new()
        .description(Some("A time with a time zone, or a date (midnight UTC)."))
        .item(time(KnownFormat::DateTime))
        .item(time(KnownFormat::Date))
        .build()
);
schema!(
    Topic,
    "Topic",
    text(
        "A path of segments. In a segment, a slash is written %2F and a percent sign %25.",
        "^([^/\\u0000]+(/[^/\\u0000]+)*)?$",
        "project/member"
    )
    .build()
);
schema!(Width, "Width", text("A duration: 15m, 1h, 1d.", "^[1-9][0-9]{0,3}(m|h|d)$", "1h").build());
schema!(
    ViewCursor,
    "ViewCursor",
    text("A cursor of the same list, from an earlier page.", "^([0-9a-f]{2})+$", "").build()
);
schema!(
    FlowCursor,
    "FlowCursor",
    text("A cursor of the same query, from an earlier page.", "^([0-9a-f]{2})+$", "").build()
);
schema!(
    Format,
    "Format",
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The format of an export."))
        .enum_values(Some(Format::ALL.iter().map(|format| format.as_str())))
        .build()
);
