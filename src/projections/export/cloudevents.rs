//! CloudEvents 1.0, as a JSON batch.

use std::collections::BTreeMap;

use cloudevents::{Data, EventBuilder, EventBuilderV10};

use super::ExportManifest;
use super::encode::{Encode, Item, json};
use crate::BoxError;
use crate::projections::audit::Detail;
use crate::projections::presenter::plain;

/// A JSON array of events, one a line.
pub(super) struct CloudEvents {
    source: String,
    written: bool,
}

impl CloudEvents {
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), written: false }
    }

    fn write(&mut self, event: &str, out: &mut Vec<u8>) {
        let comma = if self.written { "," } else { "" };
        out.extend(format!("{comma}\n{event}").bytes());
        self.written = true;
    }
}

fn text(event: EventBuilderV10) -> Result<String, BoxError> {
    // The crate keeps attributes unordered; they are sorted, so that the same event gives the same text.
    let event = serde_json::to_value(event.build()?)?;
    let event: BTreeMap<&String, &serde_json::Value> = event.as_object().into_iter().flatten().collect();
    Ok(json(&event)?)
}

/// The JSON text of one event. It is the same wherever the event leaves the log: in an export, over HTTP, by a feed.
///
/// Attributes of a CloudEvent must not contain control characters: these are escaped. The data has the text as it is.
pub(super) fn cloud_event(source: &str, item: &Item<'_>) -> Result<String, BoxError> {
    let row = item.row;
    let topics: Vec<&str> = row.topics.iter().map(|topic| topic.as_str()).collect();
    let mut event = EventBuilderV10::new()
        .id(row.event_id.to_string())
        .source(source)
        .ty(&row.event_type)
        .subject(plain(row.aggregate.as_str()))
        .time(row.occurred_at.to_string())
        .extension("position", row.position.to_string())
        .extension("sequence", row.sequence.to_string())
        .extension("recordedtime", row.recorded_at.to_string())
        .extension("action", row.action.as_str())
        .extension("actor", plain(row.actor.as_str()).into_owned())
        .extension("topics", plain(&topics.join(" ")).into_owned())
        .extension("version", row.event_version.clone())
        .extension("commandid", row.command_id.to_string())
        .extension("sentence", plain(&item.sentence()).into_owned());
    event = match row.detail {
        Detail::Full => event.data("application/json", Data::Json(serde_json::from_str(row.payload.get())?)),
        Detail::Metadata => event.extension("detail", row.detail.as_str()),
    };
    for (name, value) in [("correlationid", &row.correlation), ("causationid", &row.causation)] {
        if let Some(value) = value {
            event = event.extension(name, plain(value).into_owned());
        }
    }
    if let Some(other) = &row.on_behalf_of {
        event = event.extension("onbehalfof", plain(other.as_str()).into_owned());
    }
    text(event)
}

impl Encode for CloudEvents {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.push(b'[');
        Ok(())
    }

    fn event(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.write(&cloud_event(&self.source, item)?, out);
        Ok(())
    }

    fn end(&mut self, manifest: &ExportManifest, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let event = EventBuilderV10::new()
            .id(format!("export-{}-{}", manifest.head.position, manifest.head.event_id))
            .source(&self.source)
            .ty("annals.export")
            .data("application/json", Data::Json(serde_json::to_value(manifest)?));
        self.write(&text(event)?, out);
        out.extend(b"\n]\n");
        Ok(())
    }
}
