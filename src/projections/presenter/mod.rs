//! The presenter: an event as people read it, made on read from the event's declaration.
//!
//! [`present`] gives the sentence, targets, topics and field changes as declared, [`Presenter`] the same in a language and
//! with display names. Nothing of it is stored: another sentence needs no replay.
//!
//! ## Layout
//! - `presentation`: [`Presenter`], events in a language with display names
//! - `phrase`: [`Phrase`], a sentence in pieces, as plain text, Markdown or HTML
//! - `params`: [`PresentationParams`], language and names as flags and HTTP parameters
//! - `facts`: the actor, aggregate and fields that a sentence can name
//! - `locale`: [`Locales`], the languages of sentences
//! - `translation`: the translations that an application ships, in Fluent (feature `translations`)
//! - `untranslated`: in place of `translation` without that feature
//! - `marks`: separates the words of a formatted message from the facts in it
//! - `check`: checks that translations are complete and name only existing fields
//! - `short`: [`short`], texts and values of any length, shortened for people
//! - `plain`: [`plain`], text of others that is safe to show
//! - `error`: [`PresentError`]

#[cfg(feature = "translations")]
mod check;
mod error;
mod facts;
mod locale;
#[cfg(feature = "translations")]
mod marks;
mod params;
mod phrase;
mod plain;
mod presentation;
mod short;
#[cfg(test)]
mod tests;
#[cfg(feature = "translations")]
mod translation;
#[cfg(not(feature = "translations"))]
mod untranslated;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::facts::Facts;
use crate::events::{Action, Declaration, DecodeError, Described, Metadata, Origin, Ref, Stored, Topic, Types};
use crate::projections::audit::Detail;

#[cfg(feature = "translations")]
pub use check::check;
pub use error::PresentError;
pub use locale::Locales;
pub use params::{NameMode, PresentationParams};
pub use phrase::{Phrase, Piece, Thing};
#[cfg(feature = "export")]
pub(crate) use plain::is_active;
#[cfg(feature = "cli")]
pub(crate) use plain::plain_json;
#[cfg(feature = "http")]
pub(crate) use plain::segment_text;
pub use plain::{plain, topic_text};
pub use presentation::{Presentation, PresentedChange, Presenter};
pub use short::{SHORT_NAME, SHORT_SENTENCE, short, short_json, short_value};

/// A field that an event changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// The name of the field.
    pub field: String,
    /// The value before.
    pub from: Value,
    /// The value after.
    pub to: Value,
}

/// An event, presented as declared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Presented {
    /// The current name of the event type, whatever it was when the event was stored.
    pub event_type: &'static str,
    /// The action.
    pub action: Action,
    /// The sentence, unescaped: apply [`plain`] before printing it to a terminal.
    pub sentence: String,
    /// The targets, each once: the aggregate first, then the fields that are targets.
    pub targets: Vec<Ref>,
    /// The topics, in the order of declaration.
    pub topics: Vec<Topic>,
    /// The fields that changed, without those with equal values.
    pub changes: Vec<FieldChange>,
    /// The metadata: actor, principal, correlation, causation, origin.
    pub metadata: Metadata,
}

/// Presents a stored event with its current declaration.
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
/// When this program cannot decode the event.
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

/// Presents what a reader of metadata sees of a stored event: values in the sentence are `[redacted]`, and no changes.
pub(crate) fn present_metadata(types: &Types, stored: &Stored) -> Result<Presented, DecodeError> {
    let known = types.of(stored)?;
    let metadata = stored.metadata()?;
    let described = known.describe(stored)?;
    let facts = Facts { known, stored, metadata: &metadata, described: &described, detail: Detail::Metadata };
    let (sentence, topics) = (facts.declared().text(), known.topics(stored, &described));
    let Declaration { event_type, action, .. } = *known.declaration;
    let metadata = Metadata { origin: metadata.origin.map(|origin| Origin { path: None, ..origin }), ..metadata };
    Ok(Presented {
        event_type,
        action,
        sentence,
        targets: described.targets,
        topics,
        changes: Vec::new(),
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
