//! The presenter: what an event says to people, made on read from its own declaration.
//!
//! Nothing of it is stored: new words need no replay.
//!
//! ## Layout
//! - [`present`]: a stored row's sentence, action, targets, topics and field changes
//! - `presentation`: [`Presenter`], the same in a reader's language and with the names of things
//! - `phrase`: [`Phrase`], a sentence in pieces; plain text, Markdown, HTML
//! - `words`: [`Words`], which words, as flags and addresses say it
//! - `facts`: what a sentence can name
//! - `locale`: the languages of sentences
//! - `translation`, `marks`: languages that an application ships as Fluent files (feature `translations`)
//! - `untranslated`: in place of `translation` without that feature
//! - `check`: checks that translations cover all events
//! - `plain`: [`plain`], text that a terminal can show safely

#[cfg(feature = "translations")]
mod check;
mod error;
mod facts;
mod locale;
#[cfg(feature = "translations")]
mod marks;
mod phrase;
mod plain;
mod presentation;
#[cfg(test)]
mod tests;
#[cfg(feature = "translations")]
mod translation;
#[cfg(not(feature = "translations"))]
mod untranslated;
mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::{Action, Declaration, DecodeError, Described, Metadata, Ref, Stored, Topic, Types};

#[cfg(feature = "translations")]
pub use check::check;
pub use error::PresentError;
pub use locale::Locales;
pub use phrase::{Phrase, Piece, Thing};
#[cfg(feature = "export")]
pub(crate) use plain::is_active;
pub use plain::plain;
pub use presentation::{ChangeInWords, Presentation, Presenter};
pub use words::{Naming, Words};

/// A field that an event changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// The field's name.
    pub field: String,
    /// Its value before.
    pub from: Value,
    /// Its value after.
    pub to: Value,
}

/// What an event says about itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Presented {
    /// Its name now, whatever it was called when it was stored.
    pub event_type: &'static str,
    /// What it did.
    pub action: Action,
    /// What happened, in words: as given, so [`plain`] it before a terminal gets it.
    pub sentence: String,
    /// What it was done to: the aggregate first, then the fields that are targets. Each once.
    pub targets: Vec<Ref>,
    /// Its topics, in the order of declaration.
    pub topics: Vec<Topic>,
    /// The fields that changed; one that stayed the same is no change.
    pub changes: Vec<FieldChange>,
    /// Who, for whom, why, from where.
    pub metadata: Metadata,
}

/// What a stored event says about itself, in its present words.
///
/// ```
/// use annals::events::{DecodeError, Stored, Types};
/// use annals::projections::presenter::{plain, present};
///
/// fn line(types: &Types, stored: &Stored) -> Result<String, DecodeError> {
///     Ok(plain(&present(types, stored)?.sentence).into_owned())
/// }
/// ```
///
/// # Errors
/// When this program cannot read the event.
pub fn present(types: &Types, stored: &Stored) -> Result<Presented, DecodeError> {
    let known = types.of(stored)?;
    let metadata = stored.metadata()?;
    let described = known.describe(stored)?;
    let sentence = known.sentence(stored, &described);
    let topics = known.topics(stored, &described);
    let declared = known.declaration;
    let changes = changes(declared, &described);
    Ok(Presented {
        event_type: declared.event_type,
        action: declared.action,
        sentence,
        targets: described.targets,
        topics,
        changes,
        metadata,
    })
}

/// The fields that an event changed, in the order of declaration.
fn changes(declared: &Declaration, described: &Described) -> Vec<FieldChange> {
    let changes = described.facts.iter().filter_map(|(name, value)| {
        let declared = declared.fields.iter().any(|field| field.change && field.name == *name);
        let (from, to) = (value.get("from")?, value.get("to")?);
        (declared && from != to).then(|| FieldChange {
            field: (*name).to_owned(),
            from: from.clone(),
            to: to.clone(),
        })
    });
    changes.collect()
}
