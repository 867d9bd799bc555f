//! [`plain`]: text of others that is safe to show, on a terminal, a page, a plot or in a file.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_normalization::char::is_combining_mark;

use crate::events::Topic;

/// The most marks of a letter that are shown. More would be drawn over the lines above and below.
const MAX_MARKS: usize = 4;

/// Escapes (`\u{1b}`) all characters that act instead of being shown: control characters, and with them terminal escapes and
/// line breaks, direction overrides, line and paragraph separators, invisible marks and tags; and every mark of a letter after
/// the fourth.
///
/// Every surface uses it for texts of others. Stored text is never changed.
///
/// ```
/// use annals::projections::presenter::plain;
/// assert_eq!(plain("Zoë חיים 👩‍👧"), "Zoë חיים 👩‍👧");
/// assert_eq!(plain("a\u{1b}[2Jb\n"), r"a\u{1b}[2Jb\n");
/// assert_eq!(plain("a\u{301}\u{301}\u{301}\u{301}\u{301}"), "a\u{301}\u{301}\u{301}\u{301}\\u{301}");
/// ```
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let mut marks = Marks(0);
    if !text.contains(|c| marks.hides(c)) {
        return Cow::Borrowed(text);
    }
    let mut marks = Marks(0);
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let hidden = marks.hides(c);
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if hidden => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// The same JSON value, with every character escaped that [`plain`] escapes. JSON allows them only inside strings.
#[cfg(feature = "cli")]
pub(crate) fn plain_json(json: &str) -> Cow<'_, str> {
    // White space between values is not shown text.
    let hides = |marks: &mut Marks, c| marks.hides(c) && !matches!(c, '\n' | '\r' | '\t');
    let mut marks = Marks(0);
    if !json.contains(|c| hides(&mut marks, c)) {
        return Cow::Borrowed(json);
    }
    let mut marks = Marks(0);
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hides(&mut marks, c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A topic for people: its path, or the decoded segments if one contains a slash or a percent sign.
///
/// ```
/// use annals::events::Topic;
/// use annals::projections::presenter::topic_text;
/// assert_eq!(topic_text(&"project/member".parse()?), "project/member");
/// assert_eq!(topic_text(&Topic::from_segments(["files", "50% a/b"])), "files / 50% a/b");
/// # Ok::<(), annals::events::InvalidTopic>(())
/// ```
#[must_use]
pub fn topic_text(topic: &Topic) -> Cow<'_, str> {
    if !topic.as_str().contains('%') {
        return Cow::Borrowed(topic.as_str());
    }
    Cow::Owned(topic.segments().map(segment_text).collect::<Vec<_>>().join(" / "))
}

/// A segment of a topic, decoded.
pub(crate) fn segment_text(segment: &str) -> Cow<'_, str> {
    match segment.contains('%') {
        true => Cow::Owned(segment.replace("%2F", "/").replace("%25", "%")),
        false => Cow::Borrowed(segment),
    }
}

/// Counts the marks of a letter.
struct Marks(usize);

impl Marks {
    /// Whether this character, the next of a text, must not be shown.
    fn hides(&mut self, c: char) -> bool {
        if c < '\u{300}' {
            self.0 = 0;
        } else if is_combining_mark(c) {
            self.0 += 1;
        } else if !matches!(c, '\u{200c}' | '\u{200d}') {
            // A joiner is not a new letter.
            self.0 = 0;
        }
        is_active(c) || self.0 > MAX_MARKS
    }
}

/// Whether a character acts instead of being shown.
pub(crate) fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{115f}' | '\u{3164}' | '\u{ffa0}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mission X52
    #[test]
    fn active_characters_are_escaped_and_visible_ones_are_kept() {
        let cases = [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("safe\u{202e}txt.exe\u{2066}", "safe\\u{202e}txt.exe\\u{2066}"),
            ("two\r\nlines\u{2028}three", "two\\r\\nlines\\u{2028}three"),
            ("\u{feff}in\u{200b}visible\u{e0041}", "\\u{feff}in\\u{200b}visible\\u{e0041}"),
        ];
        for (given, shown) in cases {
            assert_eq!(plain(given), shown);
            assert!(!plain(given).contains(is_active));
        }
        assert_eq!(plain(&format!("Z{}algo", "\u{335}".repeat(40))).matches("\\u{335}").count(), 36);
        assert_eq!(
            plain("a\u{301}\u{302}\u{200d}\u{303}\u{304}\u{305}"),
            "a\u{301}\u{302}\u{200d}\u{303}\u{304}\\u{305}"
        );
        for kept in [
            "",
            "e\u{323}\u{302}\u{301}",
            "བསྒྲུབས",
            "1\u{fe0f}\u{20e3}",
            "<script>",
            "C:\\dir",
            "می\u{200c}خواهم",
            "👩\u{200d}👧",
        ] {
            assert!(matches!(plain(kept), Cow::Borrowed(text) if text == kept));
        }
    }

    #[test]
    fn a_topic_is_shown_with_the_signs_that_its_segments_have() {
        let topic = Topic::from_segments(["files", "50% a/b", "%2F"]);
        assert_eq!(topic_text(&topic), "files / 50% a/b / %2F");
        assert_eq!(segment_text("50%25 a%2Fb"), "50% a/b");
    }

    #[cfg(feature = "cli")]
    #[test]
    fn escaped_json_has_the_same_value() {
        let hostile =
            format!("a\u{1b}[31m\u{9b}31m\u{7f}\u{202e}\u{e0041}\n\u{2028}é👩‍👧\u{301}{}", "\u{301}".repeat(9));
        let json = serde_json::to_string_pretty(&serde_json::json!([hostile, { "b": 1 }])).unwrap();
        let shown = plain_json(&json);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()[0], hostile);
        assert!(!shown.replace('\n', "").contains(is_active), "{shown}");
        assert!(shown.contains("é👩‍👧") && shown.contains("\n"), "{shown}");
        assert_eq!(shown.matches("\\u0301").count(), 6);
    }
}
