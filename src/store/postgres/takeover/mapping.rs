//! [`Takeover`]: how rows of postgres-es become events of the log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::events::{InvalidRef, Ref};

/// The metadata field that names the actor, unless another one is given.
const ACTOR_FIELD: &str = "actor";
/// How long the lock of the table is waited for, by default.
const WAIT: Duration = Duration::from_secs(30);

/// An event of postgres-es, as its table has it.
#[derive(Clone, Debug, PartialEq)]
pub struct OldEvent {
    /// The aggregate type: `BankAccount`.
    pub aggregate_type: String,
    /// The aggregate id.
    pub aggregate_id: String,
    /// 1, 2, 3 … within the aggregate.
    pub sequence: i64,
    /// The event type: `AccountOpened`.
    pub event_type: String,
    /// The version: `1.0`.
    pub event_version: String,
    /// The payload as JSON text.
    pub payload: String,
    /// The metadata as JSON text.
    pub metadata: String,
    fields: BTreeMap<String, Value>,
}

impl OldEvent {
    /// The columns, in the order in which [`read`](Self::read) reads them.
    pub(super) const COLUMNS: &str = "e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version, \
         e.payload::text, e.metadata::text";

    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let metadata: String = row.try_get(6)?;
        Ok(Self {
            aggregate_type: row.try_get(0)?,
            aggregate_id: row.try_get(1)?,
            sequence: row.try_get(2)?,
            event_type: row.try_get(3)?,
            event_version: row.try_get(4)?,
            payload: row.try_get(5)?,
            // Metadata that is no object is kept as it is; it has no fields.
            fields: serde_json::from_str(&metadata).unwrap_or_default(),
            metadata,
        })
    }

    /// Returns a text field of the metadata.
    #[must_use]
    pub fn metadata_text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// The names of the metadata's fields.
    pub(super) fn metadata_fields(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    pub(super) fn bytes(&self) -> usize {
        self.payload.len() + self.metadata.len() + self.aggregate_id.len()
    }
}

impl fmt::Display for OldEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of `{}` `{}`", self.sequence, self.aggregate_type, self.aggregate_id)
    }
}

/// A function that maps an event of postgres-es to a value; `None` if it cannot.
type Function<T> = Arc<dyn Fn(&OldEvent) -> Option<T> + Send + Sync>;

/// Where a value comes from.
#[derive(Clone)]
enum Source<T> {
    Field(String),
    Function(Function<T>),
}

/// How a log of postgres-es is taken over: [`App::takeover`](crate::app::App::takeover) declares it, and `migrate` on the
/// command line or [`App::migrate`](crate::app::App::migrate) does it.
///
/// ```
/// use annals::store::Takeover;
///
/// let takeover = Takeover::new()
///     .actor_from("user")           // metadata {"user": "alice", …}
///     .actor_kind("user")           // becomes user:alice
///     .time_from("time")            // an RFC 3339 time
///     .kind("shop::Account", "account")
///     .version("AccountOpened", "0.1", 1);
/// ```
#[derive(Clone)]
pub struct Takeover {
    actor: Source<Ref>,
    actor_kind: Option<String>,
    time: Option<Source<Timestamp>>,
    kinds: BTreeMap<String, String>,
    versions: BTreeMap<(String, String), u32>,
    dry_run: bool,
    wait: Duration,
}

impl Default for Takeover {
    fn default() -> Self {
        Self {
            actor: Source::Field(ACTOR_FIELD.to_owned()),
            actor_kind: None,
            time: None,
            kinds: BTreeMap::new(),
            versions: BTreeMap::new(),
            dry_run: false,
            wait: WAIT,
        }
    }
}

impl Takeover {
    /// Takes the actor from the metadata field `actor`, and no time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the actor from this field of the metadata: a reference like `user:alice`, or any text with
    /// [`actor_kind`](Self::actor_kind). Events without one get the actor `system:postgres-es` and are counted.
    #[must_use]
    pub fn actor_from(mut self, field: impl Into<String>) -> Self {
        self.actor = Source::Field(field.into());
        self
    }

    /// Sets the kind of actors: `alice` in the actor field is then `user:alice`. A text that begins with this kind and a colon
    /// stays.
    #[must_use]
    pub fn actor_kind(mut self, kind: impl Into<String>) -> Self {
        self.actor_kind = Some(kind.into());
        self
    }

    /// Takes the actor from a function.
    #[must_use]
    pub fn actor(mut self, actor: impl Fn(&OldEvent) -> Option<Ref> + Send + Sync + 'static) -> Self {
        self.actor = Source::Function(Arc::new(actor));
        self
    }

    /// Takes the time at which an event happened from this field of the metadata: RFC 3339, like `2023-07-06T15:51:57Z`.
    /// It also gives the order between aggregates. Events without one are counted.
    #[must_use]
    pub fn time_from(mut self, field: impl Into<String>) -> Self {
        self.time = Some(Source::Field(field.into()));
        self
    }

    /// Takes the time from a function.
    #[must_use]
    pub fn time(mut self, time: impl Fn(&OldEvent) -> Option<Timestamp> + Send + Sync + 'static) -> Self {
        self.time = Some(Source::Function(Arc::new(time)));
        self
    }

    /// Gives an aggregate type its new name. Without this, `BankAccount` becomes `bank_account`.
    #[must_use]
    pub fn kind(mut self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.kinds.insert(old.into(), new.into());
        self
    }

    /// Says which version of an event a version text of postgres-es was. `3`, `3.0` and `3.0.0` are version 3 without this;
    /// each other text (`0.1`, `v1`, `1.0.1`, the empty one) has to be declared.
    #[must_use]
    pub fn version(mut self, event_type: impl Into<String>, old: impl Into<String>, version: u32) -> Self {
        self.versions.insert((event_type.into(), old.into()), version);
        self
    }

    /// Only reads: every row is converted and decoded with the application's event types, and nothing is changed. The
    /// program on postgres-es may run meanwhile.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Sets how long to wait until no other program uses the table: 30 seconds by default.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub(super) fn lock_wait(&self) -> Duration {
        self.wait
    }

    pub(super) fn takes_time(&self) -> bool {
        self.time.is_some()
    }

    /// Where the time comes from, in words.
    pub(super) fn time_source(&self) -> String {
        match &self.time {
            Some(Source::Field(field)) => format!("the time in the metadata field `{field}`"),
            _ => "the time that the application's function gives".to_owned(),
        }
    }

    /// Returns the actor, or why there is none.
    pub(super) fn actor_of(&self, old: &OldEvent) -> Result<Ref, String> {
        let actor = match &self.actor {
            Source::Function(function) => function(old).ok_or("the application's function gives no actor")?,
            Source::Field(field) => {
                let text = old.metadata_text(field).ok_or_else(|| no_text(field))?;
                self.actor_in(text).map_err(|error| error.to_string())?
            }
        };
        actor.check_caller().map_err(|error| error.to_string())?;
        Ok(actor)
    }

    fn actor_in(&self, text: &str) -> Result<Ref, InvalidRef> {
        match &self.actor_kind {
            Some(kind) => match text.split_once(':') {
                Some((given, id)) if given == kind => Ref::new(kind, id),
                _ => Ref::new(kind, text),
            },
            None => text.parse(),
        }
    }

    /// Returns the time, or why there is none; `None` if no time is taken.
    pub(super) fn time_of(&self, old: &OldEvent) -> Option<Result<Timestamp, String>> {
        let time = match self.time.as_ref()? {
            Source::Function(function) => {
                function(old).ok_or_else(|| "the application's function gives no time".to_owned())
            }
            Source::Field(field) => old.metadata_text(field).ok_or_else(|| no_text(field)).and_then(|text| {
                text.parse().map_err(|_| {
                    format!("`{text}` is not a time with a zone in RFC 3339, like 2023-07-06T15:51:57Z")
                })
            }),
        };
        Some(time.and_then(|time| match in_range(time) {
            true => Ok(time),
            false => Err(format!("{time} is out of the range of the log")),
        }))
    }

    /// Returns the new name of an aggregate type.
    pub(super) fn kind_of(&self, old: &str) -> String {
        self.kinds.get(old).cloned().unwrap_or_else(|| snake_case(old))
    }

    /// Returns the version that a version text means.
    pub(super) fn version_of(&self, event_type: &str, old: &str) -> Option<u32> {
        if let Some(version) = self.versions.get(&(event_type.to_owned(), old.to_owned())) {
            return Some(*version);
        }
        let mut parts = old.split('.');
        let major = parts.next()?;
        let plain = !major.is_empty() && major.bytes().all(|digit| digit.is_ascii_digit());
        let rest: Vec<&str> = parts.collect();
        let zeros = rest.len() <= 2 && rest.iter().all(|part| *part == "0");
        major.parse().ok().filter(|version| plain && zeros && *version > 0)
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Takeover")
            .field("kinds", &self.kinds)
            .field("versions", &self.versions)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

fn no_text(field: &str) -> String {
    format!("its metadata has no text field `{field}`")
}

/// Whether the log stores the time: what `append` accepts, in whole microseconds.
fn in_range(time: Timestamp) -> bool {
    const FIRST: i64 = -210_866_803_200;
    const LAST: i64 = 253_402_207_200;
    (FIRST..LAST).contains(&time.as_second())
}

/// Returns `BankAccount` in snake case: `bank_account`.
fn snake_case(text: &str) -> String {
    let mut kind = String::with_capacity(text.len() + 4);
    let mut last_lower = false;
    for letter in text.chars() {
        if letter.is_uppercase() && last_lower {
            kind.push('_');
        }
        last_lower = letter.is_lowercase() || letter.is_ascii_digit();
        kind.extend(letter.to_lowercase());
    }
    kind
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn old(event_type: &str, version: &str, payload: &str, metadata: &str) -> OldEvent {
        OldEvent {
            aggregate_type: "Account".to_owned(),
            aggregate_id: "7".to_owned(),
            sequence: 1,
            event_type: event_type.to_owned(),
            event_version: version.to_owned(),
            payload: payload.to_owned(),
            metadata: metadata.to_owned(),
            fields: serde_json::from_str(metadata).unwrap_or_default(),
        }
    }

    fn with(metadata: &str) -> OldEvent {
        old("Opened", "1.0", r#"{"Opened":{}}"#, metadata)
    }

    #[test]
    fn an_actor_is_a_reference_or_gets_the_given_kind() {
        let plain = Takeover::new();
        assert_eq!(plain.actor_of(&with(r#"{"actor":"user:a"}"#)).unwrap().as_str(), "user:a");
        assert!(plain.actor_of(&with(r#"{"actor":"alice"}"#)).unwrap_err().contains("not a reference"));
        assert!(plain.actor_of(&with(r#"{"actor":"annals:recorder"}"#)).unwrap_err().contains("reserved"));
        assert!(plain.actor_of(&with("{}")).unwrap_err().contains("no text field `actor`"));
        assert!(plain.actor_of(&with("null")).is_err());
        let kind = Takeover::new().actor_from("who").actor_kind("user");
        for (text, actor) in [("alice", "user:alice"), ("user:alice", "user:alice"), ("idp:7", "user:idp:7")] {
            let found = kind.actor_of(&with(&format!(r#"{{"who":"{text}"}}"#))).unwrap();
            assert_eq!(found.as_str(), actor);
        }
        let function = Takeover::new().actor(|old| Ref::new("clerk", old.metadata_text("badge")?).ok());
        assert_eq!(function.actor_of(&with(r#"{"badge":"9"}"#)).unwrap().as_str(), "clerk:9");
        assert!(function.actor_of(&with("{}")).unwrap_err().contains("function"));
    }

    #[test]
    fn a_time_has_a_zone_and_is_in_the_range_of_the_log() {
        assert!(Takeover::new().time_of(&with(r#"{"time":"2023-07-06T15:51:57Z"}"#)).is_none());
        let takeover = Takeover::new().time_from("time");
        let time = |text: &str| takeover.time_of(&with(&format!(r#"{{"time":"{text}"}}"#))).unwrap();
        assert_eq!(time("2023-07-06T17:51:57.5+02:00").unwrap().to_string(), "2023-07-06T15:51:57.5Z");
        for bad in ["noon", "2023-07-06T15:51:57", "1688658717", "-005000-01-01T00:00:00Z"] {
            time(bad).unwrap_err();
        }
    }

    #[test]
    fn only_plain_versions_need_no_declaration() {
        let takeover = Takeover::new().version("Opened", "0.1", 1).version("Opened", "", 2);
        let of = |old: &str| takeover.version_of("Opened", old);
        assert_eq!(
            [of("3"), of("3.0"), of("3.0.0"), of("0.1"), of("")],
            [Some(3), Some(3), Some(3), Some(1), Some(2)]
        );
        for odd in ["v1", "0", "0.2", "1.0.1", "1.", "+1", "1.0.0.0", " 1", "٣"] {
            assert_eq!(of(odd), None, "{odd:?}");
        }
        assert_eq!(takeover.version_of("Closed", "0.1"), None, "a declaration is for one event type");
    }

    #[test]
    fn a_kind_is_made_of_a_rust_name_and_stays_if_it_is_one() {
        let takeover = Takeover::new().kind("bank.account", "account");
        for (old, new) in [("BankAccount", "bank_account"), ("account", "account"), ("bank.account", "account")] {
            assert_eq!(takeover.kind_of(old), new);
        }
    }
}
