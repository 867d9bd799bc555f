//! Converts paths, which are bytes, to text and back without loss.
//!
//! A path in git consists of non-empty components of any bytes but NUL, separated by `/`. **A component that is valid UTF-8 is not
//! changed**, even with spaces, quotes, newlines or percent signs. Another component gets one more slash in front, and each
//! invalid byte and each percent sign in it becomes `%` and two hexadecimal digits: `src/caf<E9>/a.txt` is `src//caf%E9/a.txt`.
//! As no component is empty, a double slash (or a slash at the beginning) always means this, so that no two paths have the same
//! text.

use std::fmt::Write;

/// Converts a path to text.
///
/// ```
/// use git_audit::git::text::{bytes, text};
/// assert_eq!(text("src/50% off/日本.txt".as_bytes()), "src/50% off/日本.txt");
/// assert_eq!(text(b"src/100%/caf\xe9.txt"), "src/100%//caf%E9.txt");
/// assert_eq!(bytes("src/100%//caf%E9.txt").as_deref(), Some(&b"src/100%/caf\xe9.txt"[..]));
/// ```
#[must_use]
pub fn text(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for (index, component) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            text.push('/');
        }
        match std::str::from_utf8(component) {
            Ok(valid) if !valid.is_empty() => text.push_str(valid),
            // Git has no empty components; they are written too, so that the conversion works for any bytes.
            _ => {
                text.push('/');
                text.push_str(&escaped(component));
            }
        }
    }
    text
}

/// Converts a [`text`] back to its path; `None` if it is not the text of a path.
#[must_use]
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut components = text.split('/');
    let mut first = true;
    while let Some(component) = components.next() {
        if !std::mem::take(&mut first) {
            path.push(b'/');
        }
        match component {
            "" => path.extend(unescaped(components.next()?)?),
            valid => path.extend_from_slice(valid.as_bytes()),
        }
    }
    Some(path)
}

/// The directory of a path, both as text; empty at the root.
#[must_use]
pub fn directory(text: &str) -> &str {
    match text.rsplit_once('/') {
        // The slash that marks an escaped component belongs to the component.
        Some((above, _)) => above.strip_suffix('/').unwrap_or(above),
        None => "",
    }
}

/// Converts bytes to text. If they are not valid UTF-8, invalid bytes and percent signs become `%` and two hexadecimal digits.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    if let Ok(valid) = std::str::from_utf8(bytes) {
        return valid.to_owned();
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '%' => text.push_str("%25"),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_that_is_valid_utf8_is_its_own_text() {
        for path in ["a", "a b/\"c\"\n", "50%/%41", "日本/файл", "a/%2F", "%25"] {
            assert_eq!(text(path.as_bytes()), path);
        }
    }

    #[test]
    fn the_directory_is_the_text_before_the_last_component() {
        for (path, expected) in [
            (&b"a"[..], ""),
            (b"a/b", "a"),
            (b"a/b/c", "a/b"),
            (b"\xff", ""),
            (b"a/\xff", "a"),
            (b"\xff/b", "/%FF"),
            (b"a/\xff/b", "a//%FF"),
            (b"a/\xff/\xfe", "a//%FF"),
        ] {
            assert_eq!(directory(&text(path)), expected, "{path:?}");
        }
    }

    #[test]
    fn invalid_text_has_no_path() {
        for wrong in ["", "a/", "a//%", "a//%4", "a//%zz", "//"] {
            assert!(bytes(wrong).is_none_or(|path| text(&path) != wrong || path.is_empty()), "{wrong:?}");
        }
    }

    fn path_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            Just(b'/'),
            Just(b'%'),
            Just(b'4'),
            Just(b'F'),
            Just(b'a'),
            Just(0xc3),
            Just(0xa9),
            1..=255u8
        ];
        proptest::collection::vec(byte, 0..40)
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_their_text(path in path_bytes()) {
            prop_assert_eq!(bytes(&text(&path)), Some(path));
        }

        #[test]
        fn the_directory_of_a_text_is_the_text_of_the_directory(path in path_bytes()) {
            let git_has_it = path.split(|byte| *byte == b'/').all(|component| !component.is_empty());
            prop_assume!(git_has_it);
            let above = path.iter().rposition(|byte| *byte == b'/').map_or(String::new(), |at| text(&path[..at]));
            let whole = text(&path);
            prop_assert_eq!(directory(&whole), above);
        }
    }
}
