//! JSON Lines.

use super::Statement;
use super::encode::{Encode, Item, inert, json};
use crate::BoxError;

/// An object a line.
pub(super) struct Jsonl;

impl Encode for Jsonl {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn event(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let mut line = inert(&serde_json::to_string(item.row)?);
        if let Some(told) = item.told {
            // One object: a raw payload cannot be part of a flattened one.
            line.truncate(line.len() - 1);
            line += &format!(",\"told\":{}}}", json(told)?);
        }
        out.extend(line.bytes().chain([b'\n']));
        Ok(())
    }

    fn end(&mut self, statement: &Statement, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend(format!("{}\n", json(&serde_json::json!({ "export": statement }))?).bytes());
        Ok(())
    }
}
