//! [`Right`]: what somebody may do or read.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InvalidPattern, Pattern};
use crate::app::Ask;
use crate::events::Ref;
use crate::projections::audit::Detail;

/// What somebody may do or read. Its text form is the same on the command line, in JSON and in sentences:
///
/// | text | what it allows |
/// |--|--|
/// | `execute add_member project:7` | a command on an aggregate; `execute * *` is every command |
/// | `read roster *` | the documents of a view, by view and key |
/// | `audit metadata` | the audit log: who did what to what, when, without contents |
/// | `audit full target=project:7` | the audit log of a target; also `actor=…` and `topic=…/*` |
/// | `metrics project/*` | the metrics of a topic and what is below it |
/// | `catalogue` | which topics, event types, commands and views there are |
/// | `operate status` | operations: `status`, `rebuild`, `check`, `backup` and so on |
///
/// `read`, `audit` and `metrics` may end with the word `observe`: then the answer may be followed live. Names are [`Pattern`]s.
///
/// ```
/// use annals::access::Right;
/// let right: Right = "execute add_member project:*".parse()?;
/// assert!(right.covers(&"execute add_member project:7".parse()?));
/// # Ok::<(), annals::access::InvalidRight>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Right {
    /// Execute a command on an aggregate.
    Execute {
        /// The command's name.
        command: Pattern,
        /// The aggregate's reference.
        on: Pattern,
    },
    /// Read documents of a view.
    Read {
        /// The view's name.
        view: Pattern,
        /// The document's key.
        key: Pattern,
        /// Whether they may be followed live.
        observe: bool,
    },
    /// Read the audit log.
    Audit {
        /// How much of each event.
        detail: Detail,
        /// By these actors.
        actor: Pattern,
        /// About these targets and aggregates.
        target: Pattern,
        /// Of these topics: they include what is below them.
        topic: Pattern,
        /// Whether it may be followed live.
        observe: bool,
    },
    /// Read metrics.
    Metrics {
        /// Of these topics: they include what is below them.
        topic: Pattern,
        /// Whether they may be followed live.
        observe: bool,
    },
    /// Read which topics, event types, commands and views there are.
    Catalogue,
    /// Operate projections, or verify or copy the log.
    Operate {
        /// The operation.
        operation: Pattern,
    },
}

/// A text that is not a right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRight {
    /// It does not begin with the name of a right.
    #[error("`{0}` is not a right: it begins with execute, read, audit, metrics, catalogue or operate")]
    Unknown(String),
    /// It has too few or too many words.
    #[error("`{text}` is not a right: write `{form}`")]
    Form {
        /// The text.
        text: String,
        /// The form of such a right.
        form: &'static str,
    },
    /// A topic is not a subtree.
    #[error("the topic `{0}` must end in `/*`, because a topic includes what is below it: write `{0}/*`, or `*`")]
    Topic(Pattern),
    /// One of its names is not a pattern.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
}

impl Right {
    /// Whether this right allows everything that the other one allows.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let follows = |own: bool, wanted: bool| own || !wanted;
        match (self, other) {
            (Self::Execute { command, on }, Self::Execute { command: other_command, on: other_on }) => {
                command.covers(other_command) && on.covers(other_on)
            }
            (Self::Read { view, key, observe }, Self::Read { view: v, key: k, observe: o }) => {
                view.covers(v) && key.covers(k) && follows(*observe, *o)
            }
            (
                Self::Audit { detail, actor, target, topic, observe },
                Self::Audit { detail: d, actor: a, target: t, topic: p, observe: o },
            ) => detail >= d && actor.covers(a) && target.covers(t) && topic.covers(p) && follows(*observe, *o),
            (Self::Metrics { topic, observe }, Self::Metrics { topic: t, observe: o }) => {
                topic.covers(t) && follows(*observe, *o)
            }
            (Self::Catalogue, Self::Catalogue) => true,
            (Self::Operate { operation }, Self::Operate { operation: o }) => operation.covers(o),
            _ => false,
        }
    }

    /// Whether it allows what is asked for. Of a command on several aggregates it is asked for each of them (`part`).
    pub(super) fn allows(&self, ask: &Ask<'_>, part: Option<&Ref>, follows: bool) -> bool {
        match (self, ask) {
            (Self::Execute { command, on }, Ask::Command { name, .. }) => {
                command.matches(name) && part.map_or(on.is_everything(), |part| on.matches(part.as_str()))
            }
            (Self::Read { view, key, observe }, Ask::View { view: name, key: asked }) => {
                view.matches(name)
                    && asked.map_or(key.is_everything(), |asked| key.matches(asked))
                    && (*observe || !follows)
            }
            (
                Self::Audit { detail, actor, target, topic, observe },
                Ask::Audit { actors, targets, topics, detail: wanted },
            ) => {
                detail >= wanted
                    && all(actor, actors.iter().map(Ref::as_str), Pattern::matches)
                    && all(target, targets.iter().map(Ref::as_str), Pattern::matches)
                    && all(topic, topics.iter().map(|topic| topic.as_str()), Pattern::matches_topic)
                    && (*observe || !follows)
            }
            (Self::Metrics { topic, observe }, Ask::Metric { topic: asked }) => {
                let everything = asked.is_empty();
                (topic.is_everything() || (!everything && topic.matches_topic(asked))) && (*observe || !follows)
            }
            (Self::Catalogue, Ask::Catalogue) => true,
            (Self::Operate { operation }, Ask::Operate { operation: asked, .. }) => operation.matches(asked),
            _ => false,
        }
    }
}

/// Whether a pattern is about all values of a filter. A filter without values asks for everything.
fn all<'a>(
    pattern: &Pattern,
    mut values: impl Iterator<Item = &'a str>,
    matches: fn(&Pattern, &str) -> bool,
) -> bool {
    if pattern.is_everything() {
        return true;
    }
    match values.next() {
        None => false,
        Some(first) => matches(pattern, first) && values.all(|value| matches(pattern, value)),
    }
}

impl FromStr for Right {
    type Err = InvalidRight;

    fn from_str(text: &str) -> Result<Self, InvalidRight> {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let name = if words.is_empty() { "" } else { words.remove(0) };
        let form = |form| InvalidRight::Form { text: text.to_owned(), form };
        let may_observe = matches!(name, "read" | "audit" | "metrics");
        let observe = may_observe && words.last() == Some(&"observe");
        if observe {
            words.pop();
        }
        match (name, words.as_slice()) {
            ("execute", [command, on]) => Ok(Self::Execute { command: command.parse()?, on: on.parse()? }),
            ("execute", _) => Err(form("execute COMMAND AGGREGATE, such as execute add_member project:7")),
            ("read", [view, key]) => Ok(Self::Read { view: view.parse()?, key: key.parse()?, observe }),
            ("read", _) => Err(form("read VIEW KEY [observe], such as read roster *")),
            ("audit", [detail, filters @ ..]) => {
                const FORM: &str = "audit metadata|full [actor=A] [target=T] [topic=P/*] [observe]";
                let detail = match *detail {
                    "metadata" => Detail::Metadata,
                    "full" => Detail::Full,
                    _ => return Err(form(FORM)),
                };
                let (mut actor, mut target, mut topic) = (None, None, None);
                for filter in filters {
                    let (name, pattern) = filter.split_once('=').ok_or_else(|| form(FORM))?;
                    let place = match name {
                        "actor" => &mut actor,
                        "target" => &mut target,
                        "topic" => &mut topic,
                        _ => return Err(form(FORM)),
                    };
                    if place.replace(pattern.parse()?).is_some() {
                        return Err(form(FORM));
                    }
                }
                let or_all = |pattern: Option<Pattern>| pattern.unwrap_or_else(Pattern::everything);
                let topic = subtree(or_all(topic))?;
                Ok(Self::Audit { detail, actor: or_all(actor), target: or_all(target), topic, observe })
            }
            ("audit", _) => Err(form("audit metadata|full [actor=A] [target=T] [topic=P/*] [observe]")),
            ("metrics", [topic]) => Ok(Self::Metrics { topic: subtree(topic.parse()?)?, observe }),
            ("metrics", _) => Err(form("metrics TOPIC [observe], such as metrics project/*")),
            ("catalogue", []) => Ok(Self::Catalogue),
            ("catalogue", _) => Err(form("catalogue")),
            ("operate", [operation]) => Ok(Self::Operate { operation: operation.parse()? }),
            ("operate", _) => Err(form("operate OPERATION, such as operate status")),
            _ => Err(InvalidRight::Unknown(text.to_owned())),
        }
    }
}

fn subtree(topic: Pattern) -> Result<Pattern, InvalidRight> {
    match topic.is_everything() || topic.to_string().ends_with("/*") {
        true => Ok(topic),
        false => Err(InvalidRight::Topic(topic)),
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observes = match self {
            Self::Execute { command, on } => {
                write!(f, "execute {command} {on}")?;
                false
            }
            Self::Read { view, key, observe } => {
                write!(f, "read {view} {key}")?;
                *observe
            }
            Self::Audit { detail, actor, target, topic, observe } => {
                f.write_str(match detail {
                    Detail::Metadata => "audit metadata",
                    Detail::Full => "audit full",
                })?;
                for (name, pattern) in [("actor", actor), ("target", target), ("topic", topic)] {
                    if !pattern.is_everything() {
                        write!(f, " {name}={pattern}")?;
                    }
                }
                *observe
            }
            Self::Metrics { topic, observe } => {
                write!(f, "metrics {topic}")?;
                *observe
            }
            Self::Catalogue => {
                f.write_str("catalogue")?;
                false
            }
            Self::Operate { operation } => {
                write!(f, "operate {operation}")?;
                false
            }
        };
        if observes { f.write_str(" observe") } else { Ok(()) }
    }
}

impl TryFrom<String> for Right {
    type Error = InvalidRight;

    fn try_from(text: String) -> Result<Self, InvalidRight> {
        text.parse()
    }
}

impl From<Right> for String {
    fn from(right: Right) -> Self {
        right.to_string()
    }
}

impl JsonSchema for Right {
    fn schema_name() -> Cow<'static, str> {
        "Right".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 7,
            "description": "What somebody may do or read: `execute add_member project:7`, `read roster *`, `audit metadata`, \
                `audit full target=project:7 observe`, `metrics project/*`, `catalogue`, `operate status`.",
            "examples": ["execute add_member project:7"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(text: &str) -> Right {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_right_reads_back_from_its_text() {
        for text in [
            "execute add_member project:7",
            "execute * *",
            "read roster project:Jane%20Doe observe",
            "audit metadata",
            "audit full actor=user:* target=project:7 topic=project/7/* observe",
            "metrics * observe",
            "catalogue",
            "operate rebuild",
        ] {
            assert_eq!(right(text).to_string(), text);
            let json = serde_json::to_string(&right(text)).unwrap();
            assert_eq!(serde_json::from_str::<Right>(&json).unwrap(), right(text));
        }
    }

    #[test]
    fn a_text_that_is_not_a_right_says_what_to_write() {
        for (text, says) in [
            ("", "begins with execute"),
            ("write roster", "begins with execute"),
            ("execute add_member", "execute COMMAND AGGREGATE"),
            ("execute a b c", "execute COMMAND AGGREGATE"),
            ("execute a b observe", "execute COMMAND AGGREGATE"),
            ("audit", "audit metadata|full"),
            ("audit all", "audit metadata|full"),
            ("audit full actor=a:b actor=c:d", "audit metadata|full"),
            ("metrics project", "`project/*`"),
            ("audit full topic=project", "`project/*`"),
            ("read roster pro*", "at its end"),
            ("catalogue observe", "write `catalogue`"),
        ] {
            let error = text.parse::<Right>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_right_covers_only_what_is_at_most_as_wide() {
        let covers = |wide: &str, narrow: &str| right(wide).covers(&right(narrow));
        assert!(covers("execute * *", "execute a b:c") && !covers("execute a *", "execute * *"));
        assert!(covers("audit full", "audit metadata") && !covers("audit metadata", "audit full"));
        assert!(covers("audit full observe", "audit full") && !covers("audit full", "audit full observe"));
        assert!(covers("metrics a/*", "metrics a/b/*") && !covers("metrics a/b/*", "metrics a/*"));
        assert!(!covers("execute * *", "read a *") && !covers("read * *", "audit metadata"));
        assert!(covers("audit full target=p:*", "audit full target=p:7 actor=u:a"));
        assert!(!covers("audit full target=p:7", "audit full actor=u:a"));
    }

    #[test]
    fn a_query_without_a_filter_needs_a_right_without_that_limit() {
        let (bob, seven): (Ref, Ref) = ("user:bob".parse().unwrap(), "project:7".parse().unwrap());
        let ask = |actors: &[Ref], targets: &[Ref], right: Right| {
            right.allows(&Ask::Audit { actors, targets, topics: &[], detail: Detail::Full }, None, false)
        };
        let (bobs, sevens) = (std::slice::from_ref(&bob), std::slice::from_ref(&seven));
        assert!(ask(&[], &[], right("audit full")));
        assert!(!ask(&[], &[], right("audit full target=project:7")));
        assert!(ask(&[], sevens, right("audit full target=project:7")));
        assert!(!ask(&[], &[seven.clone(), bob.clone()], right("audit full target=project:7")));
        assert!(ask(bobs, sevens, right("audit full target=project:7")));
        assert!(!ask(bobs, sevens, right("audit metadata")));
        let on = |on: &str, part| right(on).allows(&Ask::Command { name: "add", on: &[] }, part, false);
        assert!(on("execute add *", None) && !on("execute add project:7", None));
        assert!(on("execute add project:7", Some(&seven)) && !on("execute add project:7", Some(&bob)));
        let list = Ask::View { view: "roster", key: None };
        assert!(
            !right("read roster 7").allows(&list, None, false) && right("read roster *").allows(&list, None, false)
        );
        assert!(
            !right("read roster *").allows(&list, None, true)
                && right("read roster * observe").allows(&list, None, true)
        );
    }
}
