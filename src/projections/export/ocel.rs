//! OCEL 2.0, the object-centric event log, as JSON: <https://www.ocel-standard.org>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ExportManifest;
use super::encode::{self, Encode, Item};
use crate::BoxError;
use crate::events::{Ref, value_text};

/// The events first, the objects and types at the end.
#[derive(Default)]
pub(super) struct Ocel {
    objects: BTreeSet<Ref>,
    /// For each event type its attributes, with their types.
    types: BTreeMap<String, BTreeMap<String, &'static str>>,
    written: bool,
}

impl Encode for Ocel {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend(b"{\"events\":[");
        Ok(())
    }

    fn event(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let row = item.row;
        let mut attributes = vec![
            ("position".to_owned(), "integer", Value::from(row.position)),
            ("action".to_owned(), "string", Value::from(row.action.as_str())),
            ("sentence".to_owned(), "string", Value::from(item.sentence())),
        ];
        let mut relations = vec![(row.actor.clone(), "actor"), (row.aggregate.clone(), "aggregate")];
        for (field, value) in &item.described.facts {
            let target = item.known.declaration.fields.iter().any(|known| known.target && known.name == *field);
            if target {
                relations.extend(references(value).into_iter().map(|reference| (reference, *field)));
            } else {
                let (kind, value) = attribute(value);
                // The dot avoids collisions with the attributes above.
                attributes.push((format!("{}.{field}", item.known.aggregate_type), kind, value));
            }
        }
        let declared = self.types.entry(row.event_type.clone()).or_default();
        for (name, kind, _) in &attributes {
            let known = declared.entry(name.clone()).or_insert(kind);
            if known != kind {
                *known = "string";
            }
        }
        let event = json!({
            "id": row.event_id,
            "type": row.event_type,
            "time": row.occurred_at,
            "attributes": attributes.into_iter()
                .map(|(name, _, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
            "relationships": relations.iter()
                .map(|(object, role)| json!({ "objectId": object, "qualifier": role })).collect::<Vec<_>>(),
        });
        self.objects.extend(relations.into_iter().map(|(object, _)| object));
        out.extend(format!("{}\n{}", if self.written { "," } else { "" }, encode::json(&event)?).bytes());
        self.written = true;
        Ok(())
    }

    fn end(&mut self, manifest: &ExportManifest, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend(b"\n],\n\"objects\":[");
        for (n, object) in self.objects.iter().enumerate() {
            let object = json!({ "id": object, "type": object.kind(), "attributes": [], "relationships": [] });
            out.extend(format!("{}\n{}", if n > 0 { "," } else { "" }, encode::json(&object)?).bytes());
        }
        let kinds: BTreeSet<&str> = self.objects.iter().map(Ref::kind).collect();
        let kinds: Vec<Value> = kinds.into_iter().map(|kind| json!({ "name": kind, "attributes": [] })).collect();
        let types = self.types.iter().map(|(name, attributes)| {
            let attributes: Vec<Value> =
                attributes.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
            json!({ "name": name, "attributes": attributes })
        });
        let types: Vec<Value> = types.collect();
        let rest = format!(
            "\n],\n\"objectTypes\":{},\n\"eventTypes\":{},\n\"export\":{}}}\n",
            encode::json(&kinds)?,
            encode::json(&types)?,
            encode::json(manifest)?
        );
        out.extend(rest.bytes());
        Ok(())
    }
}

/// The references in a target field.
fn references(value: &Value) -> Vec<Ref> {
    match value {
        Value::String(text) => text.parse().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// The OCEL type of a field, and its value.
fn attribute(value: &Value) -> (&'static str, Value) {
    match value {
        Value::Bool(_) => ("boolean", value.clone()),
        Value::Number(number) if number.is_f64() => ("float", value.clone()),
        Value::Number(_) => ("integer", value.clone()),
        other => ("string", Value::from(value_text(other))),
    }
}
