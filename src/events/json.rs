//! Scans JSON text without building values: finds its parts and their paths, and values that a [`Value`](serde_json::Value)
//! cannot hold.
//!
//! The input is JSON that `serde_json` wrote or accepted. Numbers stay text, so that nothing is rounded.

/// A part of a JSON text, with its offset.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) text: &'a str,
    pub(crate) content: Content<'a>,
    start: usize,
}

/// The content of a [`Node`]. Keys are as written, with their quotes.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Scalar,
    Array(Vec<Node<'a>>),
    Object(Vec<(&'a str, Node<'a>)>),
}

impl<'a> Node<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        Parser { text, at: 0 }.node()
    }

    /// The path of the innermost part that contains the byte `at`: `doses[1].amount`. Empty for the whole text.
    fn path_at(&self, at: usize) -> String {
        let holds = |node: &Node| (node.start..node.start + node.text.len()).contains(&at);
        match &self.content {
            Content::Scalar => String::new(),
            Content::Array(items) => match items.iter().enumerate().find(|(_, item)| holds(item)) {
                Some((index, item)) => joined(&format!("[{index}]"), &item.path_at(at)),
                None => String::new(),
            },
            Content::Object(fields) => match fields.iter().find(|(_, value)| holds(value)) {
                Some((key, value)) => joined(&unquoted(key), &value.path_at(at)),
                None => String::new(),
            },
        }
    }

    /// The text with the keys of objects and the items of arrays sorted.
    pub(crate) fn unordered(&self) -> String {
        match &self.content {
            Content::Scalar => self.text.to_owned(),
            Content::Array(items) => {
                let mut items: Vec<String> = items.iter().map(Node::unordered).collect();
                items.sort_unstable();
                format!("[{}]", items.join(","))
            }
            Content::Object(fields) => {
                let field = |(key, value): &(&str, Node)| format!("{key}:{}", value.unordered());
                let mut fields: Vec<String> = fields.iter().map(field).collect();
                fields.sort_unstable();
                format!("{{{}}}", fields.join(","))
            }
        }
    }
}

fn joined(first: &str, rest: &str) -> String {
    match rest {
        "" => first.to_owned(),
        index if index.starts_with('[') => format!("{first}{index}"),
        field => format!("{first}.{field}"),
    }
}

/// The path of the part in which serde found an error, if the error has a location.
pub(crate) fn path_of(error: &serde_json::Error, text: &str) -> String {
    match (error.line(), error.column().checked_sub(1)) {
        (1, Some(at)) => Node::parse(text).path_at(at),
        _ => String::new(),
    }
}

/// Unescapes a string or key.
pub(crate) fn unquoted(string: &str) -> String {
    serde_json::from_str(string).unwrap_or_else(|_| string.to_owned())
}

/// A part that a [`serde_json::Value`] cannot hold exactly.
#[derive(Debug)]
pub(crate) enum Unheld<'a> {
    /// An integer beyond 64 bits, or a fraction beyond the largest, and its path.
    Number(&'a str, String),
    /// Another problem of text from elsewhere (a `RawValue`): too many levels, half a surrogate pair.
    Text(serde_json::Error),
}

/// Finds a part that a [`serde_json::Value`] cannot hold exactly.
pub(crate) fn unheld(text: &str) -> Option<Unheld<'_>> {
    let mut numbers = Numbers::of(text);
    if let Some(number) = numbers.find(|range| !fits(&text[range.clone()])) {
        return Some(Unheld::Number(&text[number.clone()], Node::parse(text).path_at(number.start)));
    }
    let read = numbers.doubtful.then(|| serde_json::from_str::<serde_json::Value>(text))?;
    read.err().map(Unheld::Text)
}

/// Returns the text with each integer beyond 64 bits as a string of its digits.
pub(crate) fn large_numbers_as_strings(text: &str) -> String {
    let (mut quoted, mut copied) = (String::with_capacity(text.len() + 2), 0);
    for number in Numbers::of(text).filter(|range| !fits(&text[range.clone()])) {
        quoted.push_str(&text[copied..number.start]);
        quoted.push('"');
        quoted.push_str(&text[number.clone()]);
        quoted.push('"');
        copied = number.end;
    }
    quoted.push_str(&text[copied..]);
    quoted
}

/// The offsets of the numbers in a text.
struct Numbers<'a> {
    bytes: &'a [u8],
    at: usize,
    level: usize,
    /// Whether the text has something that not every parser accepts: many levels, an escaped surrogate.
    doubtful: bool,
}

impl<'a> Numbers<'a> {
    /// `serde_json` accepts 127 levels.
    const MANY_LEVELS: usize = 100;

    fn of(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, level: 0, doubtful: false }
    }

    fn string(&mut self) {
        let end = string_end(self.bytes, self.at);
        // Strings that serde_json wrote itself have no `\ud…`.
        let string = &self.bytes[self.at..end];
        self.doubtful |= string.contains(&b'\\') && string.windows(3).any(|part| matches!(part, br"\ud" | br"\uD"));
        self.at = end;
    }
}

impl Iterator for Numbers<'_> {
    type Item = std::ops::Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'-' | b'0'..=b'9' => {
                    let start = self.at;
                    let inside = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    self.at += self.bytes[start..].iter().take_while(inside).count();
                    return Some(start..self.at);
                }
                b'[' | b'{' => {
                    self.level += 1;
                    self.doubtful |= self.level > Self::MANY_LEVELS;
                    self.at += 1;
                }
                b']' | b'}' => {
                    self.level = self.level.saturating_sub(1);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        None
    }
}

/// Whether a number is a 64-bit integer or a finite fraction.
fn fits(number: &str) -> bool {
    let has = |wanted: &[u8]| number.bytes().any(|byte| wanted.contains(&byte));
    match number.len() {
        // 18 digits always fit a 64-bit integer, and only an exponent can make a number of that length too large.
        ..=18 if !has(b"eE") => true,
        _ if has(b".eE") => number.parse::<f64>().is_ok_and(f64::is_finite),
        _ => number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok(),
    }
}

/// The offset after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(next) = bytes.get(at..).and_then(quote_or_backslash) {
        at += next;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// The offset of the first quote or backslash. Compares sixteen bytes at a time: most texts have few of either.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let (chunks, _) = bytes.as_chunks::<16>();
    let plain =
        chunks.iter().take_while(|chunk| !chunk.iter().fold(false, |found, byte| found | special(byte))).count();
    let start = plain * 16;
    bytes[start..].iter().position(special).map(|place| start + place)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, skipped: fn(u8) -> bool) {
        while self.peek().is_some_and(skipped) {
            self.at += 1;
        }
    }

    fn node(&mut self) -> Node<'a> {
        self.skip(|byte| byte.is_ascii_whitespace() || byte == b':');
        let start = self.at;
        let content = match self.peek() {
            Some(b'[') => Content::Array(self.items(Self::node)),
            Some(b'{') => Content::Object(self.items(|parser| (parser.scalar(), parser.node()))),
            _ => {
                self.scalar();
                Content::Scalar
            }
        };
        Node { text: self.text.get(start..self.at).unwrap_or_default(), content, start }
    }

    fn items<T>(&mut self, item: fn(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip(|byte| byte.is_ascii_whitespace() || byte == b',');
            match self.peek() {
                None => return items,
                Some(b']' | b'}') => {
                    self.at += 1;
                    return items;
                }
                Some(_) => items.push(item(self)),
            }
        }
    }

    fn scalar(&mut self) -> &'a str {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.at = string_end(self.text.as_bytes(), self.at),
            _ => {
                // At least one byte, so that the scan ends on text that is not JSON.
                self.at += 1;
                self.skip(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b',' | b':' | b']' | b'}'));
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"a":1, "b\"[{" : [ {"c":"x,]}\\"} , [2.5e3,true]],"d":{}}"#;

    #[test]
    fn a_path_leads_to_the_part_that_contains_a_byte() {
        let path = |part| Node::parse(TEXT).path_at(TEXT.find(part).unwrap());
        assert_eq!(path("1"), "a");
        assert_eq!(path("x,"), r#"b"[{[0].c"#);
        assert_eq!(path("true"), r#"b"[{[1][1]"#);
        assert_eq!(path("{}"), "d");
        assert_eq!(path("{\"a"), "");
    }

    #[test]
    fn only_what_a_value_cannot_hold_is_found() {
        let largest = format!(r#"[{},{},-0.0,1.7976931348623157e308,"{}"]"#, u64::MAX, i64::MIN, u128::MAX);
        assert!(unheld(&largest).is_none());
        for number in ["18446744073709551616", "-9223372036854775809", "1e400"] {
            let text = format!(r#"{{"a":"12\"3","b":[0,{number}]}}"#);
            let found = unheld(&text);
            assert!(
                matches!(&found, Some(Unheld::Number(found, path)) if *found == number && path == "b[1]"),
                "{found:?}"
            );
            assert_eq!(large_numbers_as_strings(&text), format!(r#"{{"a":"12\"3","b":[0,"{number}"]}}"#));
        }
        assert_eq!(large_numbers_as_strings(&largest), largest);
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for held in [nested(127), r#"["\ud83d\ude00","\\ud8"]"#.to_owned()] {
            assert!(unheld(&held).is_none(), "{held}");
        }
        for text in [nested(128), r#"["\ud83d"]"#.to_owned(), r#"["\uDE00"]"#.to_owned()] {
            assert!(matches!(unheld(&text), Some(Unheld::Text(_))), "{text}");
        }
    }

    #[test]
    fn texts_that_differ_only_in_order_are_equal_when_sorted() {
        let unordered = |text| Node::parse(text).unordered();
        assert_eq!(unordered(r#"{"b":[2,1],"a":{}}"#), unordered(r#"{ "a":{}, "b":[1, 2] }"#));
        assert_ne!(unordered(r#"{"b":[2,1]}"#), unordered(r#"{"b":[2,2]}"#));
    }

    #[test]
    fn the_scan_ends_on_text_that_is_not_json() {
        for text in ["", "{", "[:", "\"\\", "[1,é", "{a:}", "]", "[\"x"] {
            let _ = Node::parse(text).path_at(1);
            let _ = unheld(text);
        }
    }
}
