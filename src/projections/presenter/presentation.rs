//! [`Presenter`]: presents events in a language, with display names.

use std::borrow::Cow;
#[cfg(all(feature = "http", feature = "access"))]
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::facts::Facts;
use super::locale::Language;
use super::{FieldChange, Locales, Phrase, Piece, PresentError, SHORT_SENTENCE, Thing, changes, short};
#[cfg(all(feature = "http", feature = "access"))]
use crate::events::LogPosition;
use crate::events::{Ref, Stored, Types};
use crate::projections::Reading;
use crate::projections::audit::Detail;
use crate::projections::display_names::{NameQuery, NamesAsOf};
use crate::store::{Store, read_some};

/// Presents events: sentences, things with their display names, field changes.
///
/// Presentations are made on read: another sentence, language or choice of names needs no replay.
#[derive(Clone)]
#[must_use = "a presenter does nothing until `present` is called"]
pub struct Presenter {
    types: Arc<Types>,
    log: Arc<dyn Store>,
    locales: Arc<Locales>,
    language: Language,
    names: Option<Reading>,
    shortened: bool,
    detail: Detail,
    /// `None` for references instead of names.
    names_as_of: Option<NamesAsOf>,
}

/// An event, presented to a reader.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Presentation {
    /// The position in the log.
    pub position: u64,
    /// The language: the requested one, or the one that it is a variety of.
    pub locale: String,
    /// The actor.
    pub actor: Thing,
    /// The targets, the aggregate first.
    pub targets: Vec<Thing>,
    /// The sentence.
    pub sentence: Phrase,
    /// The fields that changed.
    pub changes: Vec<PresentedChange>,
}

/// A field that an event changed, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PresentedChange {
    /// The name of the field in the declaration.
    pub field: String,
    /// The label of the field in the language.
    pub label: String,
    /// The value before.
    pub from: String,
    /// The value after.
    pub to: String,
}

impl Presenter {
    /// A presenter in English, with the names as of each event if there is a projection of display names.
    pub fn new(types: Arc<Types>, log: Arc<dyn Store>, locales: Arc<Locales>, names: Option<Reading>) -> Self {
        Self {
            types,
            log,
            locales,
            language: Language::Declared,
            names,
            shortened: false,
            detail: Detail::Full,
            names_as_of: Some(NamesAsOf::Event),
        }
    }

    /// Sets the language: `fr`, or `fr-CA`, for which `fr` is used if it is not shipped. [`Presentation::locale`] is the one
    /// that was used.
    ///
    /// # Errors
    /// When the application ships neither. There is no fallback to English.
    pub fn locale(mut self, locale: &str) -> Result<Self, PresentError> {
        self.language = self.locales.find(locale)?;
        Ok(self)
    }

    /// The language.
    #[must_use]
    pub fn language(&self) -> &str {
        self.language.locale()
    }

    /// Whether sentences are as declared: in English, without display names.
    #[must_use]
    pub fn is_as_declared(&self) -> bool {
        matches!(self.language, Language::Declared) && self.names_used().is_none()
    }

    /// The display names, if they are used. They come from payloads: readers of metadata get references.
    fn names_used(&self) -> Option<(&Reading, NamesAsOf)> {
        Some((self.names.as_ref()?, self.names_as_of?)).filter(|_| self.detail == Detail::Full)
    }

    /// Uses the display names as of each event, or the current ones.
    pub fn names(mut self, as_of: NamesAsOf) -> Self {
        self.names_as_of = Some(as_of);
        self
    }

    /// Uses references instead of display names.
    pub fn without_names(mut self) -> Self {
        self.names_as_of = None;
        self
    }

    /// Presents what a reader with this detail may see. With metadata, values in sentences are `[redacted]`, things are
    /// references, and there are no changes.
    pub fn detail(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    /// Shortens long sentences, names and changes for people to read: see [`short`](super::short).
    pub fn shortened(mut self) -> Self {
        self.shortened = true;
        self
    }

    /// Leaves personal values sealed: what a feed has sent cannot be erased.
    #[cfg(feature = "feeds")]
    pub(crate) fn sealed(mut self) -> Self {
        self.types = self.types.sealed();
        self
    }

    /// Presents stored events, in their order.
    ///
    /// # Errors
    /// When an event cannot be decoded, or the names cannot be read.
    pub async fn present(&self, events: &[Stored]) -> Result<Vec<Presentation>, PresentError> {
        if self.detail == Detail::Full {
            self.types.load_keys(events).await;
        }
        let present = || events.iter().map(|stored| self.without_looking_up(stored)).collect::<Result<Vec<_>, _>>();
        let mut presented = self.types.opened(present)?;
        if let (Some((names, as_of)), Some(last)) = (self.names_used(), events.last()) {
            let newest = events.iter().map(Stored::head).max_by_key(|head| head.position).unwrap_or(last.head());
            let mut query = NameQuery::new(names.clone(), as_of);
            presented
                .iter_mut()
                .for_each(|one| one.things().for_each(|(at, thing)| query.add(&thing.reference, at)));
            let found = query.after(newest).await?;
            for one in &mut presented {
                one.things().for_each(|(at, thing)| thing.name = found.name(&thing.reference, at));
            }
        }
        if self.shortened {
            presented.iter_mut().for_each(Presentation::shorten);
        }
        Ok(presented)
    }

    /// Presents the events at these positions, in order of position. Positions beyond the head are ignored.
    ///
    /// # Errors
    /// As for [`present`](Self::present), and when the log cannot be read.
    pub async fn present_at(&self, positions: &[u64]) -> Result<Vec<Presentation>, PresentError> {
        let mut positions = positions.to_vec();
        positions.sort_unstable();
        positions.dedup();
        let (mut presented, mut rest) = (Vec::new(), &positions[..]);
        while !rest.is_empty() {
            let (events, left) = read_some(&*self.log, rest).await?;
            presented.extend(self.present(&events).await?);
            rest = left;
        }
        Ok(presented)
    }

    /// The things with their current names, or without names if this presenter does not use them.
    ///
    /// # Errors
    /// When the names cannot be read.
    #[cfg(all(feature = "http", feature = "access"))]
    pub(crate) async fn things(
        &self,
        things: BTreeSet<Ref>,
        head: LogPosition,
    ) -> Result<BTreeMap<Ref, Thing>, PresentError> {
        let mut named: BTreeMap<_, _> =
            things.into_iter().map(|thing| (thing.clone(), Thing::nameless(thing))).collect();
        if let Some((names, _)) = self.names_used() {
            let mut query = NameQuery::new(names.clone(), NamesAsOf::Now);
            named.keys().for_each(|thing| query.add(thing, head.position));
            let found = query.after(head).await?;
            named.values_mut().for_each(|thing| thing.name = found.name(&thing.reference, head.position));
        }
        Ok(named)
    }

    fn without_looking_up(&self, stored: &Stored) -> Result<Presentation, PresentError> {
        let position = stored.position;
        let decode = |source| match self.detail {
            Detail::Full => PresentError::Decode { position, source },
            // The cause may repeat values of the event.
            Detail::Metadata => PresentError::Undecodable { position },
        };
        let known = self.types.of(stored).map_err(decode)?;
        let metadata = stored.metadata().map_err(decode)?;
        let described = known.describe(stored).map_err(decode)?;
        let facts = Facts { known, stored, metadata: &metadata, described: &described, detail: self.detail };
        let sentence = self.language.sentence(&facts)?;
        let changed = match self.detail {
            Detail::Full => changes(known.declaration, &described),
            Detail::Metadata => Vec::new(),
        };
        Ok(Presentation {
            position: stored.position,
            locale: self.language.locale().to_owned(),
            actor: Thing::nameless(metadata.actor),
            targets: described.targets.into_iter().map(Thing::nameless).collect(),
            sentence,
            changes: changed.into_iter().map(|change| self.as_text(change)).collect::<Result<_, _>>()?,
        })
    }

    fn as_text(&self, change: FieldChange) -> Result<PresentedChange, PresentError> {
        let (label, nothing) = self.language.field(&change.field)?;
        let word = |value| self.language.value(&change.field, value, &nothing);
        let (from, to) = (word(&change.from)?, word(&change.to)?);
        Ok(PresentedChange { field: change.field, label, from, to })
    }
}

impl std::fmt::Debug for Presenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presenter")
            .field("locale", &self.language.locale())
            .field("names_as_of", &self.names_as_of)
            .finish()
    }
}

impl Presentation {
    /// Plain text for a terminal: the sentence, then a line for each change.
    #[must_use]
    pub fn plain(&self) -> String {
        let lines = self.changes.iter().map(|change| format!("\n  {}", change.phrase().plain()));
        self.sentence.plain() + &lines.collect::<String>()
    }

    /// Markdown: the sentence, then a list of the changes. `link` returns the URL of a thing.
    #[must_use]
    pub fn markdown(&self, link: impl Fn(&Ref) -> Option<String>) -> String {
        let lines = self.changes.iter().map(|change| format!("\n- {}", change.phrase().markdown(|_| None)));
        let lines: String = lines.collect();
        let gap = if lines.is_empty() { "" } else { "\n" };
        self.sentence.markdown(link) + gap + &lines
    }

    /// HTML: a paragraph, then a list of the changes. `link` returns the URL of a thing.
    #[must_use]
    pub fn html(&self, link: impl Fn(&Ref) -> Option<String>) -> String {
        let items = self.changes.iter().map(|change| format!("<li>{}</li>", change.phrase().html(|_| None)));
        let items: String = items.collect();
        let list = if items.is_empty() { items } else { format!("<ul>{items}</ul>") };
        format!("<p>{}</p>{list}", self.sentence.html(link))
    }

    /// Shortens sentence, names and changes for people to read.
    fn shorten(&mut self) {
        self.sentence.shorten();
        std::iter::once(&mut self.actor).chain(&mut self.targets).for_each(Thing::shorten);
        for change in &mut self.changes {
            for value in [&mut change.from, &mut change.to] {
                if let Cow::Owned(shorter) = short(value, SHORT_SENTENCE) {
                    *value = shorter;
                }
            }
        }
    }

    /// All things in the presentation, with the position of the event.
    fn things(&mut self) -> impl Iterator<Item = (u64, &mut Thing)> {
        let position = self.position;
        let around = std::iter::once(&mut self.actor).chain(&mut self.targets);
        around.chain(self.sentence.things_mut()).map(move |thing| (position, thing))
    }
}

impl PresentedChange {
    fn phrase(&self) -> Phrase {
        Phrase(vec![
            Piece::Text(format!("{}: ", self.label)),
            Piece::Value(self.from.clone()),
            Piece::Text(" → ".to_owned()),
            Piece::Value(self.to.clone()),
        ])
    }
}
