//! [`Locales`]: the languages of sentences.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
#[cfg(feature = "translations")]
use unic_langid::LanguageIdentifier;

use super::facts::{Facts, NOTHING, words};
#[cfg(feature = "translations")]
use super::translation::Translation;
#[cfg(not(feature = "translations"))]
use super::untranslated::Translation;
use super::{Phrase, PresentError};

/// The language of the declarations.
const DECLARED: &str = "en";

/// The languages of sentences: English, as declared by the events, and the translations that the application ships.
#[derive(Clone, Default)]
pub struct Locales {
    shipped: BTreeMap<String, Arc<Translation>>,
    #[cfg(feature = "translations")]
    problems: Vec<String>,
}

/// The language of a presenter.
#[derive(Clone)]
pub(super) enum Language {
    Declared,
    #[cfg_attr(not(feature = "translations"), expect(dead_code, reason = "no translation is shipped"))]
    Shipped {
        locale: String,
        translation: Arc<Translation>,
    },
}

impl Locales {
    /// All locales, including English.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            std::iter::once(DECLARED).chain(self.shipped.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names
    }

    /// Finds the language that serves `asked`: itself, or the language that it is a variety of (`fr` for `fr-CA`).
    pub(super) fn find(&self, asked: &str) -> Result<Language, PresentError> {
        self.look_up(asked).ok_or_else(|| PresentError::NotShipped {
            asked: asked.escape_debug().to_string(),
            shipped: self.names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        })
    }
}

#[cfg(feature = "translations")]
impl Locales {
    /// The language that serves `asked`: itself, or the language that it is a variety of (`fr` for `fr-CA`).
    fn look_up(&self, asked: &str) -> Option<Language> {
        let mut language: LanguageIdentifier = asked.parse().ok()?;
        loop {
            let name = language.to_string();
            if let Some(translation) = self.shipped.get(&name) {
                return Some(Language::Shipped { locale: name, translation: translation.clone() });
            }
            if name == DECLARED {
                return Some(Language::Declared);
            }
            if language.variants().next().is_some() {
                language.clear_variants();
            } else if language.region.take().is_none() && language.script.take().is_none() {
                return None;
            }
        }
    }

    /// Adds a Fluent file of a language. A language may have several files, with different messages.
    pub fn add(&mut self, locale: &str, fluent: &str) {
        if let Err(problems) = self.try_add(locale, fluent) {
            self.problems.extend(problems);
        }
    }

    fn try_add(&mut self, locale: &str, fluent: &str) -> Result<(), Vec<String>> {
        let language: LanguageIdentifier = locale.parse().map_err(|_| {
            vec![format!("`{}` is not a locale: write one like `fr` or `fr-CA`", locale.escape_debug())]
        })?;
        let name = language.to_string();
        if name == DECLARED {
            return Err(vec![
                "the locale `en` is declared by the events: change their sentences instead".to_owned(),
            ]);
        }
        let earlier = self.shipped.get(&name).map(|shipped| &**shipped);
        let translation = Translation::with_file(earlier, language, fluent)?;
        self.shipped.insert(name, Arc::new(translation));
        Ok(())
    }

    /// The problems of the files themselves.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(super) fn shipped(&self) -> impl Iterator<Item = (&str, &Translation)> {
        self.shipped.iter().map(|(name, translation)| (name.as_str(), &**translation))
    }
}

#[cfg(not(feature = "translations"))]
impl Locales {
    /// English and its varieties (`en-GB`).
    fn look_up(&self, asked: &str) -> Option<Language> {
        let language = asked.split(['-', '_']).next().unwrap_or(asked);
        language.eq_ignore_ascii_case(DECLARED).then_some(Language::Declared)
    }
}

impl std::fmt::Debug for Locales {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Locales").field(&self.names()).finish()
    }
}

impl Language {
    pub(super) fn locale(&self) -> &str {
        match self {
            Self::Declared => DECLARED,
            Self::Shipped { locale, .. } => locale,
        }
    }

    pub(super) fn sentence(&self, facts: &Facts<'_>) -> Result<Phrase, PresentError> {
        match self {
            Self::Declared => Ok(facts.declared()),
            Self::Shipped { translation, .. } => translation.sentence(facts).map_err(|reason| self.failed(reason)),
        }
    }

    /// The label of a field, and the word for a missing value.
    pub(super) fn field(&self, field: &str) -> Result<(String, String), PresentError> {
        match self {
            Self::Declared => Ok((field.to_owned(), NOTHING.to_owned())),
            Self::Shipped { translation, .. } => translation.field(field).map_err(|reason| self.failed(reason)),
        }
    }

    /// The word for a value of a field, in a change.
    pub(super) fn value(&self, field: &str, value: &Value, nothing: &str) -> Result<String, PresentError> {
        match self {
            Self::Declared => Ok(words(value, nothing)),
            Self::Shipped { translation, .. } => {
                translation.value(field, value, nothing).map_err(|reason| self.failed(reason))
            }
        }
    }

    fn failed(&self, reason: String) -> PresentError {
        PresentError::Translation { locale: self.locale().to_owned(), reason }
    }
}
