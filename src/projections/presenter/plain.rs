//! [`plain`]: text that is safe to print to a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes (`\u{1b}`) all characters that act instead of being shown: control characters, and with them terminal escapes and
/// line breaks, direction overrides, line and paragraph separators, invisible marks and tags.
///
/// Use it for terminals and log files. Stored text is never changed.
///
/// ```
/// use annals::projections::presenter::plain;
/// assert_eq!(plain("Zoë חיים 👩‍👧"), "Zoë חיים 👩‍👧");
/// assert_eq!(plain("a\u{1b}[2Jb\n"), r"a\u{1b}[2Jb\n");
/// ```
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_active(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
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
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for kept in ["", "<script>", "C:\\dir", "می\u{200c}خواهم", "👩\u{200d}👧"] {
            assert!(matches!(plain(kept), Cow::Borrowed(text) if text == kept));
        }
    }
}
