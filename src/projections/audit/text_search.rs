//! The filter by text: compares what people see, the sentence and the string values of the payload.
//!
//! Names of fields are not text, and quotes and escapes of JSON are decoded first. Both sides are brought to one form,
//! [`folded`]. The form is made when events are read, so it is the same on every store, and no column holds it.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// The combining class of a mark above its letter. After an `i`, it separates the letter from a dot.
const ABOVE: u8 = 230;

/// A text as it is compared: Unicode's full case folding (`STRASSE` is `straße`), then the normal form NFC. The four
/// letters `I İ ı i` of Turkish are one letter, so that `istanbul` finds `İSTANBUL`.
pub(super) fn folded(text: &str) -> String {
    let mut written = String::new();
    fold_into(text, &mut written);
    written
}

fn fold_into(text: &str, written: &mut String) {
    written.clear();
    if text.is_ascii() {
        written.push_str(text);
        return written.make_ascii_lowercase();
    }
    // Decomposed first: a folded letter may change the order of the marks after it.
    let decomposed: String = text.nfd().collect();
    let case_folded = UniCase::unicode(decomposed).to_folded_case();
    written.extend(without_dots_of_i(case_folded.chars()).nfc());
}

/// Makes `ı` an `i`, and removes the dot above that the folding of `İ` leaves after an `i`.
fn without_dots_of_i(folded: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut after_i = false;
    folded.filter_map(move |c| match (c, canonical_combining_class(c)) {
        ('\u{307}', _) if after_i => None,
        (c, 0) => {
            let c = if c == 'ı' { 'i' } else { c };
            after_i = c == 'i';
            Some(c)
        }
        (c, class) => {
            after_i = after_i && class != ABOVE;
            Some(c)
        }
    })
}

/// Searches for any of some texts, which are folded already.
pub(super) struct TextSearch<'a> {
    texts: &'a BTreeSet<String>,
    folded: String,
    found: bool,
}

impl<'a> TextSearch<'a> {
    pub(super) fn new(texts: &'a BTreeSet<String>) -> Self {
        Self { texts, folded: String::new(), found: false }
    }

    /// Whether this text contains one of the texts.
    pub(super) fn is_in(&mut self, text: &str) -> bool {
        fold_into(text, &mut self.folded);
        self.texts.iter().any(|wanted| self.folded.contains(wanted.as_str()))
    }

    /// Whether a string value of this JSON contains one of the texts.
    pub(super) fn is_in_values(&mut self, json: &str) -> bool {
        // Without escapes, each value is a part of the JSON: what the whole does not contain, no value does.
        if json.is_ascii() && !json.contains('\\') && !self.is_in(json) {
            return false;
        }
        let mut values = serde_json::Deserializer::from_str(json);
        // Text that is not JSON has no values; `check` reports it.
        let _ = Values(self).deserialize(&mut values);
        self.found
    }
}

/// Visits all values of a JSON text.
struct Values<'s, 'a>(&'s mut TextSearch<'a>);

impl<'de> DeserializeSeed<'de> for Values<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.found = self.0.found || self.0.is_in(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Values(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(Values(self.0))?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Letters whose case or normal form is not one to one.
    pub const HARD: &[&str] = &[
        "İ", "ı", "i", "I", "i\u{307}", "\u{307}", "\u{323}", "ß", "ẞ", "ſ", "K", "Å", "e\u{301}", "é", "ﬁ", "ŉ",
        "Σ", "ς", "ΐ", "ᾳ", "ᾼ", "\u{345}", "ǰ", "Ꭰ", "ꭰ", "ა", "각", "ᄀ", "ᅡ", "ᆨ", "\u{301}", "\u{308}", "a",
        "\"", "\\", "\t", "\0",
    ];

    pub fn texts() -> impl Strategy<Value = String> {
        vec(prop_oneof![select(HARD).prop_map(str::to_owned), any::<char>().prop_map(String::from)], 1..8)
            .prop_map(|parts| parts.concat())
    }

    #[test]
    fn every_letter_is_equal_to_its_other_case_and_folding_twice_changes_nothing() {
        for c in '\0'..=char::MAX {
            let text = String::from(c);
            let one = folded(&text);
            assert_eq!(folded(&text.to_uppercase()), one, "the upper case of {c:?}");
            assert_eq!(folded(&text.to_lowercase()), one, "the lower case of {c:?}");
            assert_eq!(folded(&one), one, "{c:?} folded twice");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_equal_to_its_variants(text in texts()) {
            let one = folded(&text);
            let composed: String = text.nfc().collect();
            let decomposed: String = text.nfd().collect();
            // Not the upper case of the composed text: a mark after `ᾳ` would be one of the iota.
            for variant in [decomposed.to_uppercase(), composed.to_lowercase(), composed, decomposed, one.clone()] {
                prop_assert_eq!(&folded(&variant), &one, "{:?}", variant);
            }
        }
    }

    #[test]
    fn what_people_see_is_compared() {
        let found = |text: &str, json: &str| {
            let texts = BTreeSet::from([folded(text)]);
            TextSearch::new(&texts).is_in_values(json)
        };
        for (text, value) in [
            ("say \"HI\"", "They say \"hi\"."),
            (r"c:\TEMP", r"in C:\temp"),
            ("\t", "a\tb"),
            ("STRASSE", "Hauptstraße"),
            ("straße", "HAUPTSTRASSE"),
            ("istanbul", "İSTANBUL"),
            ("ısparta", "ISPARTA"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
            ("office", "o\u{fb03}ce"),
        ] {
            let json = serde_json::json!({ "name": [{ "said": value }], "n": [1, -1, 0.5, null, true] });
            assert!(found(text, &json.to_string()), "{text:?} in {value:?}");
            assert!(found(value, &json.to_string()), "{value:?} in itself");
        }
        let json = r#"{"name":"Tom\ta","list":[],"of":{"deep":"e\u0301"}}"#;
        for text in ["name", "\"name\"", "deep", "{", "}", "[]", "\\t", "\\u", "e", ":", "tom,"] {
            assert!(!found(text, json), "{text:?} in {json}");
        }
    }
}
