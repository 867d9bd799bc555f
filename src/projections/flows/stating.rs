//! What an event says about flows: [`statement`].

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{NOT_RECORDED, OTHERS, Outcome, REDACTED};
use crate::events::{DecidedOn, DecodeError, Known, Metadata, Ref, Stored, Topic};
use crate::store::ACCESS_KIND;

/// The most sources, and the most sinks, of one event. Further ones are one place: [`OTHERS`].
pub(super) const MAX_PLACES: usize = 32;

/// The kind of aggregate that keeps records of reads and refusals.
const RECORDS: &str = "annals_trail";

/// The kind of the references that name projections.
const PROJECTION: &str = "projection";

/// What an event says.
#[derive(Default)]
pub(super) struct Statement {
    pub outcome: Outcome,
    /// What flowed, by times: an event is one, a count of reads is several.
    pub counts: Vec<Count>,
    /// The pairs of source and sink, each once: what everybody sees, and what only readers of payloads or only readers of metadata see.
    pub pairs: Vec<(Layer, Option<String>, Option<String>)>,
    pub grant: Option<GrantChange>,
}

/// How many, and the times of the first and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// Who sees a flow. A value of a payload makes no difference for readers of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Layer {
    Everybody = 0,
    Full = 1,
    Metadata = 2,
}

/// A change of a grant.
pub(super) enum GrantChange {
    Granted { grant: Uuid, grantee: String, rights: String, until: Option<Timestamp>, under: Option<Uuid> },
    Revoked { grant: Uuid },
}

/// Sources or sinks, for readers of everything and for readers of metadata.
#[derive(Default)]
struct Places {
    full: BTreeSet<String>,
    metadata: BTreeSet<String>,
}

impl Places {
    fn add(&mut self, place: &str, in_metadata: bool) {
        if in_metadata {
            self.metadata.insert(place.to_owned());
        }
        self.full.insert(place.to_owned());
    }

    /// At most [`MAX_PLACES`], and nothing if there is none.
    fn bounded(places: &BTreeSet<String>) -> Vec<Option<String>> {
        let mut all: Vec<Option<String>> = places.iter().take(MAX_PLACES).cloned().map(Some).collect();
        if places.len() > MAX_PLACES {
            all.push(Some(OTHERS.to_owned()));
        }
        if all.is_empty() {
            all.push(None);
        }
        all
    }
}

/// What the command of the last events was decided on: the things, and the grants that allowed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
pub(super) struct Decision {
    pub things: Vec<String>,
    pub grants: Vec<Uuid>,
    /// There are more things than are named.
    pub more: bool,
}

impl Decision {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let Some(DecidedOn { grants, wrote, read, more, .. }) = &metadata.decided_on else {
            return Self::default();
        };
        // An aggregate that began with the command had nothing to use, and rights are no data.
        let used = wrote.iter().filter(|version| version.sequence > 0).chain(read);
        let used = used.map(|version| &version.aggregate).filter(|thing| thing.kind() != ACCESS_KIND);
        let things: BTreeSet<&Ref> = used.collect();
        let more = *more > 0 || things.len() > MAX_PLACES + 1;
        let mut grants = grants.clone();
        grants.sort_unstable();
        grants.dedup();
        // One more than fit: the aggregate of the event itself is none of its sources.
        Self { things: things.into_iter().take(MAX_PLACES + 1).map(Ref::to_string).collect(), grants, more }
    }
}

/// A minute of a count of reads.
#[derive(Deserialize)]
struct Minute {
    times: u64,
    first: Timestamp,
    last: Timestamp,
}

/// What an event says. `outside`: the kinds of references that are outside of the application.
pub(super) fn statement(
    known: &Known,
    stored: &Stored,
    decision: &Decision,
    outside: &BTreeSet<String>,
) -> Result<Statement, DecodeError> {
    let once = Count { count: 1, first: stored.recorded_at, last: stored.recorded_at };
    let mut statement = Statement { counts: vec![once], ..Statement::default() };
    let (mut sources, mut sinks) = (Places::default(), Places::default());
    if stored.aggregate.kind() == RECORDS {
        let facts = Facts(known.describe(stored)?.facts);
        match known.declaration.event_type {
            "annals_read.viewed" => read(&facts, &mut sources),
            "annals_read.exported" => {
                read(&facts, &mut sources);
                export(&facts, &mut sinks);
            }
            "annals_read.repeated" => {
                read(&facts, &mut sources);
                if facts.text("to").is_some() {
                    export(&facts, &mut sinks);
                }
                statement.counts =
                    facts.decode::<Vec<Minute>>("minutes", stored)?.into_iter().map(counted).collect();
            }
            name => {
                statement.outcome = Outcome::Refused;
                if name == "annals_refusal.denied" || name == "annals_refusal.repeated" {
                    statement.outcome = Outcome::Denied;
                }
                refusal(&facts, &mut sources, &mut sinks);
                let times = facts.get("denials").or_else(|| facts.get("refusals")).and_then(Value::as_u64);
                statement.counts[0].count = times.unwrap_or(1);
            }
        }
    } else {
        sinks.add(stored.aggregate.as_str(), true);
        let own = stored.aggregate.as_str();
        decision.things.iter().filter(|thing| *thing != own).for_each(|thing| sources.add(thing, true));
        if decision.more {
            sources.add(OTHERS, true);
        }
        for (source, in_metadata) in known.sources(stored)? {
            if source != stored.aggregate {
                sources.add(source.as_str(), in_metadata);
            }
        }
        if known.declaration.fields.iter().any(|field| field.target) || known.aggregate_type == ACCESS_KIND {
            let described = known.describe(stored)?;
            let leads_out = |target: &&Ref| outside.contains(target.kind());
            described.targets.iter().filter(leads_out).for_each(|target| sinks.add(target.as_str(), true));
            if known.aggregate_type == ACCESS_KIND {
                statement.grant = grant_change(known.declaration.event_type, &Facts(described.facts), stored)?;
            }
        }
    }
    statement.pairs = pairs(&sources, &sinks);
    Ok(statement)
}

fn counted(minute: Minute) -> Count {
    Count { count: minute.times, first: minute.first, last: minute.last }
}

/// Every pair of a source and a sink, once for everybody who sees it.
fn pairs(sources: &Places, sinks: &Places) -> Vec<(Layer, Option<String>, Option<String>)> {
    let of = |sources: &BTreeSet<String>, sinks: &BTreeSet<String>| {
        let sinks = Places::bounded(sinks);
        let pair = |source: Option<String>| sinks.clone().into_iter().map(move |sink| (source.clone(), sink));
        Places::bounded(sources).into_iter().flat_map(pair).collect::<BTreeSet<_>>()
    };
    let full = of(&sources.full, &sinks.full);
    let metadata = of(&sources.metadata, &sinks.metadata);
    let everybody = full.intersection(&metadata).map(|pair| (Layer::Everybody, pair));
    let only_full = full.difference(&metadata).map(|pair| (Layer::Full, pair));
    let only_metadata = metadata.difference(&full).map(|pair| (Layer::Metadata, pair));
    let all = everybody.chain(only_full).chain(only_metadata);
    all.map(|(layer, (source, sink))| (layer, source.clone(), sink.clone())).collect()
}

/// The sources of a read: the things and topics that it asks for, or else the projection.
fn read(facts: &Facts, sources: &mut Places) {
    let of = facts.texts("of");
    let is_projection = |name: &&str| name.parse::<Ref>().is_ok_and(|name| name.kind() == PROJECTION);
    let (projections, things): (Vec<&str>, Vec<&str>) = of.into_iter().partition(is_projection);
    things.iter().for_each(|thing| sources.add(thing, true));
    let topics = facts.get("asked").and_then(|asked| texts(asked.get("topic")?)).unwrap_or_default();
    // `/bank/` is `bank`; the root is no topic.
    let topics: Vec<Topic> = topics.into_iter().filter_map(|topic| topic.parse().ok()).collect();
    let topics: Vec<Topic> = topics.into_iter().filter(|topic| *topic != Topic::root()).collect();
    topics.iter().for_each(|topic| sources.add(topic.as_str(), false));
    // The log itself is read as the audit log is.
    let projections = if projections.is_empty() { vec!["projection:audit"] } else { projections };
    for projection in projections {
        if things.is_empty() {
            sources.metadata.insert(projection.to_owned());
            if topics.is_empty() {
                sources.full.insert(projection.to_owned());
            }
        }
    }
}

/// The sink of an export. Where it goes is a value of its record.
fn export(facts: &Facts, sinks: &mut Places) {
    sinks.full.insert(facts.text("to").unwrap_or(NOT_RECORDED).to_owned());
    sinks.metadata.insert(REDACTED.to_owned());
}

/// What was refused: the aggregates of a command would have been sinks, what a read asks for sources.
fn refusal(facts: &Facts, sources: &mut Places, sinks: &mut Places) {
    let on = facts.texts("on");
    let is_command = on.first().is_some_and(|first| {
        !first.starts_with("projection:")
            && facts.text("what").is_some_and(|what| what.contains(&format!(" on {first}")))
    });
    let places = if is_command { sinks } else { sources };
    let is_thing = |place: &&&str| on.len() == 1 || !place.starts_with("projection:");
    on.iter().filter(is_thing).for_each(|place| places.add(place, true));
}

fn grant_change(event_type: &str, facts: &Facts, stored: &Stored) -> Result<Option<GrantChange>, DecodeError> {
    Ok(match event_type {
        "annals_access.granted" => {
            let rights: Vec<String> = facts.decode("rights", stored)?;
            Some(GrantChange::Granted {
                grant: facts.decode("grant", stored)?,
                grantee: facts.text("grantee").unwrap_or_default().to_owned(),
                rights: rights.join("\n"),
                until: facts.decode("until", stored)?,
                under: facts.decode("under", stored)?,
            })
        }
        "annals_access.revoked" => Some(GrantChange::Revoked { grant: facts.decode("grant", stored)? }),
        _ => None,
    })
}

/// The fields of an event.
struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        self.get(name).and_then(texts).unwrap_or_default()
    }

    fn decode<T: for<'de> Deserialize<'de>>(&self, name: &str, stored: &Stored) -> Result<T, DecodeError> {
        T::deserialize(self.get(name).unwrap_or(&Value::Null))
            .map_err(|source| DecodeError::Payload { event_type: stored.event_type.clone(), source })
    }
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    Some(value.as_array()?.iter().filter_map(Value::as_str).collect())
}
