//! JSON Lines.

use super::ExportManifest;
use super::encode::{Encode, Item, inert, json};
use crate::BoxError;

/// One object a line.
pub(super) struct Jsonl;

impl Encode for Jsonl {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn event(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let mut line = inert(&serde_json::to_string(item.row)?);
        if let Some(presentation) = item.presentation {
            // Appended as text: serde cannot flatten a row with a raw payload.
            line.truncate(line.len() - 1);
            line += &format!(",\"presentation\":{}}}", json(presentation)?);
        }
        out.extend(line.bytes().chain([b'\n']));
        Ok(())
    }

    fn end(&mut self, manifest: &ExportManifest, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend(format!("{}\n", json(&serde_json::json!({ "export": manifest }))?).bytes());
        Ok(())
    }
}
