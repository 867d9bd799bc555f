//! Replaces `translation` without the feature `translations`: English is the only language.

use std::convert::Infallible;

use serde_json::Value;

use super::Phrase;
use super::facts::Facts;

/// A translation: there is none.
pub(super) struct Translation(Infallible);

impl Translation {
    pub(super) fn field(&self, _: &str) -> Result<(String, String), String> {
        match self.0 {}
    }

    pub(super) fn value(&self, _: &str, _: &Value, _: &str) -> Result<String, String> {
        match self.0 {}
    }

    pub(super) fn sentence(&self, _: &Facts<'_>) -> Result<Phrase, String> {
        match self.0 {}
    }
}
