//! The placeholders of sentences and topics.

/// A `{name}`, `{name.part}`, `{name|one|many}` or, in a topic, `{*name}`.
#[derive(Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// The text between the braces.
    pub written: String,
    /// A field, `actor`, or the aggregate's type.
    pub name: String,
    /// `from` or `to` of a change, `id` of a reference, or fields of a struct, joined by dots.
    pub part: Option<String>,
}

/// Parses the placeholders of a sentence. `{{` and `}}` are literal braces.
pub fn sentence(text: &str) -> Result<Vec<Placeholder>, String> {
    let mut placeholders = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(
                "a `}` has no matching `{`: write `{` before the placeholder, or `}}` for a brace".to_owned()
            );
        }
        let Some(end) = rest.find('}') else {
            return Err(format!(
                "`{{{rest}` is not closed: write `}}` after the placeholder, or `{{{{` for a brace"
            ));
        };
        let written = &rest[..end];
        let counted = match written.split('|').collect::<Vec<_>>().as_slice() {
            [whole] | [whole, _, _] => *whole,
            words => {
                let name = words.first().copied().unwrap_or_default();
                return Err(format!(
                    "`{{{written}}}` needs a word for one and a word for many: write `{{{name}|file|files}}`"
                ));
            }
        };
        let (name, part) = match counted.split_once('.') {
            Some((name, part)) => (name, Some(part.to_owned())),
            None => (counted, None),
        };
        placeholders.push(Placeholder { written: written.to_owned(), name: name.to_owned(), part });
        rest = &rest[end + 1..];
    }
    Ok(placeholders)
}

/// Parses the placeholders of a topic. A segment is either text or one placeholder.
pub fn topic(text: &str) -> Result<Vec<Placeholder>, String> {
    let mut placeholders = Vec::new();
    for segment in text.split('/') {
        if segment.is_empty() {
            return Err(format!(
                "`{text}` has an empty segment: write segments separated by slashes, like `project/member`"
            ));
        }
        let whole = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let inner = whole.unwrap_or(segment);
        if inner.contains(['{', '}']) {
            return Err(format!(
                "the segment `{segment}` mixes text and a placeholder: write it as text, as `{{field}}` for one \
                 segment, or as `{{*field}}` for many"
            ));
        }
        if let Some(written) = whole {
            let name = written.strip_prefix('*').unwrap_or(written).to_owned();
            placeholders.push(Placeholder { written: written.to_owned(), name, part: None });
        }
    }
    Ok(placeholders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(placeholders: Result<Vec<Placeholder>, String>) -> Vec<String> {
        placeholders.unwrap().into_iter().map(|placeholder| placeholder.written).collect()
    }

    #[test]
    fn a_sentence_has_placeholders_and_braces() {
        assert_eq!(names(sentence("{actor} set {{{x.from}}} to {{y}} {0}")), ["actor", "x.from", "0"]);
        let placeholders = sentence("{dose.amount.value} {n|file|files} {n.m||s}").unwrap();
        let parts: Vec<_> = placeholders.iter().map(|one| (one.name.as_str(), one.part.as_deref())).collect();
        assert_eq!(parts, [("dose", Some("amount.value")), ("n", None), ("n", Some("m"))]);
        for bad in ["{actor", "a } b", "{x} {", "{{x}", "{n|file}", "{n|a|b|c}"] {
            assert!(sentence(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_topic_has_segments_that_are_words_or_a_placeholder() {
        assert_eq!(names(topic("repo/{name}/{*path}")), ["name", "*path"]);
        for bad in ["", "/a", "a/", "a//b", "a-{x}", "{x}{y}", "{x", "a/}"] {
            assert!(topic(bad).is_err(), "{bad}");
        }
    }
}
