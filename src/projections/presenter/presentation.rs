//! [`Presenter`]: events in the language of a reader, with the names of things.

use std::sync::Arc;

use serde::Serialize;

use super::facts::{Facts, words};
use super::locale::Language;
use super::{FieldChange, Locales, Phrase, Piece, PresentError, Thing, changes};
use crate::events::{Ref, Stored, Types};
use crate::projections::Reading;
use crate::projections::names::{AsKnown, NameQuery};
use crate::store::Store;

/// Presents events: sentences, things with their names, field changes.
///
/// Nothing of it is stored: other words, another language or another way to name things need no replay.
#[derive(Clone)]
#[must_use = "a presenter presents when it is given events"]
pub struct Presenter {
    types: Arc<Types>,
    log: Arc<dyn Store>,
    locales: Arc<Locales>,
    language: Language,
    names: Option<Reading>,
    known: Option<AsKnown>,
}

/// An event, as a reader gets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Presentation {
    /// Its position in the log.
    pub position: u64,
    /// The language that it is told in: the one that was asked for, or what that is a variety of.
    pub locale: String,
    /// Who did it.
    pub actor: Thing,
    /// To what: the aggregate first.
    pub targets: Vec<Thing>,
    /// What happened.
    pub sentence: Phrase,
    /// The fields that changed.
    pub changes: Vec<ChangeInWords>,
}

/// A field that an event changed, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeInWords {
    /// The field's name in the declaration.
    pub field: String,
    /// What it is called.
    pub label: String,
    /// Its value before.
    pub from: String,
    /// Its value after.
    pub to: String,
}

impl Presenter {
    /// Tells in English, with names as they were known then where there is a projection of names.
    pub fn new(types: Arc<Types>, log: Arc<dyn Store>, locales: Arc<Locales>, names: Option<Reading>) -> Self {
        Self { types, log, locales, language: Language::Declared, names, known: Some(AsKnown::Then) }
    }

    /// In this language: `fr`, or `fr-CA`, for which `fr` will do. A [`Presentation`] says which it was.
    ///
    /// # Errors
    /// When the application ships neither: no reader gets a language that was not asked for.
    pub fn locale(mut self, locale: &str) -> Result<Self, PresentError> {
        self.language = self.locales.find(locale)?;
        Ok(self)
    }

    /// The language that it presents in.
    #[must_use]
    pub fn language(&self) -> &str {
        self.language.locale()
    }

    /// Whether it says nothing that the declaration does not say: in English, without names.
    #[must_use]
    pub fn tells_as_declared(&self) -> bool {
        matches!(self.language, Language::Declared) && (self.names.is_none() || self.known.is_none())
    }

    /// With names as they were known at the time of each event, or as they are known now.
    pub fn names(mut self, known: AsKnown) -> Self {
        self.known = Some(known);
        self
    }

    /// Without names: things go by their references.
    pub fn without_names(mut self) -> Self {
        self.known = None;
        self
    }

    /// Presents stored events, in their order.
    ///
    /// # Errors
    /// When this program cannot read an event, or the names cannot be read.
    pub async fn present(&self, events: &[Stored]) -> Result<Vec<Presentation>, PresentError> {
        let presented = events.iter().map(|stored| self.nameless(stored));
        let mut presented = presented.collect::<Result<Vec<_>, _>>()?;
        if let (Some(names), Some(known), Some(last)) = (&self.names, self.known, events.last()) {
            let newest = events.iter().map(Stored::head).max_by_key(|head| head.position).unwrap_or(last.head());
            let mut query = NameQuery::new(names.clone(), known);
            presented
                .iter_mut()
                .for_each(|one| one.things().for_each(|(at, thing)| query.want(&thing.reference, at)));
            let found = query.after(newest).await?;
            for one in &mut presented {
                one.things().for_each(|(at, thing)| thing.name = found.name(&thing.reference, at));
            }
        }
        Ok(presented)
    }

    /// Presents the events at these positions, in order of position; those that are not there are left out.
    ///
    /// # Errors
    /// As [`present`](Self::present), and when the log cannot be read.
    pub async fn present_at(&self, positions: &[u64]) -> Result<Vec<Presentation>, PresentError> {
        let events = self.log.read_at(positions).await?;
        self.present(&events).await
    }

    fn nameless(&self, stored: &Stored) -> Result<Presentation, PresentError> {
        let decode = |source| PresentError::Decode { position: stored.position, source };
        let known = self.types.of(stored).map_err(decode)?;
        let metadata = stored.metadata().map_err(decode)?;
        let described = known.describe(stored).map_err(decode)?;
        let sentence =
            self.language.sentence(&Facts { known, stored, metadata: &metadata, described: &described })?;
        let changed = changes(known.declaration, &described);
        Ok(Presentation {
            position: stored.position,
            locale: self.language.locale().to_owned(),
            actor: Thing::nameless(metadata.actor),
            targets: described.targets.into_iter().map(Thing::nameless).collect(),
            sentence,
            changes: changed.into_iter().map(|change| self.in_words(change)).collect::<Result<_, _>>()?,
        })
    }

    fn in_words(&self, change: FieldChange) -> Result<ChangeInWords, PresentError> {
        let (label, nothing) = self.language.field(&change.field)?;
        let (from, to) = (words(&change.from, &nothing), words(&change.to, &nothing));
        Ok(ChangeInWords { field: change.field, label, from, to })
    }
}

impl std::fmt::Debug for Presenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presenter").field("locale", &self.language.locale()).field("known", &self.known).finish()
    }
}

impl Presentation {
    /// For a terminal: the sentence, then a line for each change.
    #[must_use]
    pub fn plain(&self) -> String {
        let lines = self.changes.iter().map(|change| format!("\n  {}", change.phrase().plain()));
        self.sentence.plain() + &lines.collect::<String>()
    }

    /// As Markdown: the sentence, then a list of the changes. `link` says where a thing has its page.
    #[must_use]
    pub fn markdown(&self, link: impl Fn(&Ref) -> Option<String>) -> String {
        let lines = self.changes.iter().map(|change| format!("\n- {}", change.phrase().markdown(|_| None)));
        let lines: String = lines.collect();
        let gap = if lines.is_empty() { "" } else { "\n" };
        self.sentence.markdown(link) + gap + &lines
    }

    /// As HTML: a paragraph, then a list of the changes. `link` says where a thing has its page.
    #[must_use]
    pub fn html(&self, link: impl Fn(&Ref) -> Option<String>) -> String {
        let items = self.changes.iter().map(|change| format!("<li>{}</li>", change.phrase().html(|_| None)));
        let items: String = items.collect();
        let list = if items.is_empty() { items } else { format!("<ul>{items}</ul>") };
        format!("<p>{}</p>{list}", self.sentence.html(link))
    }

    /// All things in it, each with the position at which it is named.
    fn things(&mut self) -> impl Iterator<Item = (u64, &mut Thing)> {
        let position = self.position;
        let around = std::iter::once(&mut self.actor).chain(&mut self.targets);
        around.chain(self.sentence.things_mut()).map(move |thing| (position, thing))
    }
}

impl ChangeInWords {
    fn phrase(&self) -> Phrase {
        Phrase(vec![
            Piece::Text(format!("{}: ", self.label)),
            Piece::Value(self.from.clone()),
            Piece::Text(" → ".to_owned()),
            Piece::Value(self.to.clone()),
        ])
    }
}
