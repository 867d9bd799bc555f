//! [`Topic`]: a path of segments, `project/member`; and the patterns that produce topics.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sentence::value_text;

/// A topic: a path of segments. A query for a topic includes all topics below it, by segment.
///
/// Segments are separated by slashes; a slash or percent sign inside a segment is written `%2F` or `%25`. The root topic is
/// the empty path, also written `/`.
///
/// ```
/// use annals::events::Topic;
/// let member: Topic = "project/member".parse()?;
/// let above: Vec<_> = member.with_ancestors().map(|t| t.to_string()).collect();
/// assert_eq!(above, ["", "project", "project/member"]);
/// assert_eq!(Topic::from_segments(["a/b", "c"]).to_string(), "a%2Fb/c");
/// # Ok::<(), annals::events::InvalidTopic>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(String);

/// An error when a topic is parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic: write segments separated by slashes, like `project/member`")]
pub struct InvalidTopic(String);

impl Topic {
    /// The root topic.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Creates a topic from segments; empty ones are omitted.
    pub fn from_segments<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        let mut topic = Self::root();
        for segment in segments {
            topic.push(segment.as_ref());
        }
        topic
    }

    /// Appends a segment, unless it is empty.
    fn push(&mut self, segment: &str) {
        if segment.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push('/');
        }
        let mut rest = segment;
        while let Some(at) = rest.find(['/', '%']) {
            self.0.push_str(&rest[..at]);
            self.0.push_str(if rest[at..].starts_with('/') { "%2F" } else { "%25" });
            rest = &rest[at + 1..];
        }
        self.0.push_str(rest);
    }

    /// The path as text, without a leading slash; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments as written, with their escapes.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The root topic, all topics between, and the topic itself.
    pub fn with_ancestors(&self) -> impl Iterator<Item = &str> {
        let whole = (!self.0.is_empty()).then_some(self.0.as_str());
        std::iter::once("").chain(self.0.match_indices('/').map(|(slash, _)| &self.0[..slash])).chain(whole)
    }

    /// Whether `other` is this topic or below it.
    #[must_use]
    pub fn contains(&self, other: &Topic) -> bool {
        other.with_ancestors().any(|above| above == self.0)
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let path = text.strip_prefix('/').unwrap_or(text);
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() && path.split('/').any(str::is_empty) || path.contains('\0') {
            return Err(InvalidTopic(text.escape_debug().to_string()));
        }
        Ok(Self(path.to_owned()))
    }
}

impl TryFrom<String> for Topic {
    type Error = InvalidTopic;

    fn try_from(text: String) -> Result<Self, InvalidTopic> {
        text.parse()
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{field}`: one segment.
    One(String),
    /// `{*field}`: a segment for each part of the field's text between slashes.
    Many(String),
}

/// A declared topic: literal segments, `{field}` for one segment, `{*field}` for many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern(Vec<Segment>);

/// The capacity that is enough for most topics.
const USUAL_LENGTH: usize = 32;

impl TopicPattern {
    /// Parses a pattern. `derive(Event)` has checked it: a malformed part is taken as literal text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let segments = text.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
            match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(field) => match field.strip_prefix('*') {
                    Some(field) => Segment::Many(field.to_owned()),
                    None => Segment::One(field.to_owned()),
                },
                None => Segment::Literal(segment.to_owned()),
            }
        });
        Self(segments.collect())
    }

    /// Returns the topic of an event with these facts.
    #[must_use]
    pub fn topic(&self, fact: impl Fn(&str) -> Option<Value>) -> Topic {
        let mut topic = Topic(String::with_capacity(USUAL_LENGTH));
        let text = |field| fact(field).map(|value| value_text(&value)).unwrap_or_default();
        for segment in &self.0 {
            match segment {
                Segment::Literal(text) => topic.push(text),
                Segment::One(field) => topic.push(&text(field)),
                Segment::Many(field) => text(field).split('/').for_each(|segment| topic.push(segment)),
            }
        }
        topic
    }

    /// Whether events with this pattern can be at or below `topic`.
    #[must_use]
    pub fn reaches(&self, topic: &Topic) -> bool {
        let mut pattern = self.0.iter();
        for asked in topic.segments() {
            match pattern.next() {
                Some(Segment::Literal(text)) if text == asked => {}
                Some(Segment::One(_)) => {}
                Some(Segment::Many(_)) => return true,
                _ => return false,
            }
        }
        true
    }

    /// The text up to the first placeholder: `project` of `project/{project}`.
    #[must_use]
    pub fn root(&self) -> Topic {
        Topic::from_segments(self.0.iter().map_while(|segment| match segment {
            Segment::Literal(text) => Some(text),
            _ => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mission P10: by segment, not by string prefix.
    #[test]
    fn a_topic_contains_the_topics_below_it_by_segment() {
        let topic = |text: &str| text.parse::<Topic>().unwrap();
        for above in ["", "/", "a", "a/b"] {
            assert!(topic(above).contains(&topic("a/b")), "{above}");
        }
        assert!(!topic("a/b").contains(&topic("a/bc")));
        assert!(!topic("a/b").contains(&topic("a")));
        assert!("a//b".parse::<Topic>().is_err());
    }

    #[test]
    fn a_pattern_produces_topics_and_knows_which_it_reaches() {
        let fact = |name: &str| Some(Value::from(if name == "dir" { "src/a%b" } else { "x/y" }));
        let pattern = TopicPattern::parse("repo/{name}/{*dir}");
        assert_eq!(pattern.topic(fact).as_str(), "repo/x%2Fy/src/a%25b");
        for (topic, reached) in [("", true), ("repo", true), ("repo/q/w/e", true), ("rep", false)] {
            assert_eq!(pattern.reaches(&topic.parse().unwrap()), reached, "{topic}");
        }
        assert!(!TopicPattern::parse("a/b").reaches(&"a/b/c".parse().unwrap()));
        assert_eq!(pattern.root().as_str(), "repo");
    }
}
