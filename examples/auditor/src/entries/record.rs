//! Record what somebody did with a thing.

use std::collections::BTreeMap;

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{DataEvent, FieldChange, Object, ObjectId, Refused};

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Looked at it.
    View,
    /// Made it.
    Create,
    /// Changed it.
    Update,
    /// Deleted it.
    Delete,
}

/// Record what somebody did with a thing
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The history that it belongs to: the thing's reference
    #[on(Object)]
    #[schemars(example = &"document:7")]
    pub object: ObjectId,
    /// The thing
    pub target: Ref,
    /// The operation: view, create, update or delete
    pub verb: Verb,
    /// The fields that changed, by their names
    #[serde(default)]
    pub changes: BTreeMap<String, FieldChange>,
    /// Who said so
    pub producer: String,
}

impl Record {
    /// About this thing.
    #[must_use]
    pub fn new(target: Ref, verb: Verb, changes: BTreeMap<String, FieldChange>, producer: &str) -> Self {
        let object = ObjectId::new(target.as_str());
        Self { object, target, verb, changes, producer: producer.to_owned() }
    }
}

impl Handle for Record {
    fn handle(&self, _: &Loaded<Object>, _: &Context) -> Result<Vec<DataEvent>, Refused> {
        let Self { target, producer, .. } = self.clone();
        let is_name =
            |name: &String| (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !self.changes.keys().all(is_name) {
            return Err(Refused::FieldName);
        }
        let mut changes = self.changes.clone();
        // A field with equal values before and after has not changed.
        changes.retain(|_, change| change.from != change.to);
        Ok(match self.verb {
            Verb::View | Verb::Delete if !self.changes.is_empty() => return Err(Refused::Changes),
            Verb::View => vec![DataEvent::Viewed { target, producer }],
            Verb::Delete => vec![DataEvent::Deleted { target, producer }],
            Verb::Create => vec![DataEvent::Created { target, changes, producer }],
            Verb::Update if changes.is_empty() => Vec::new(),
            Verb::Update => {
                let fields = changes.keys().cloned().collect::<Vec<_>>().join(", ");
                vec![DataEvent::Updated { target, fields, changes, producer }]
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::nothing;
    use serde_json::json;

    use super::*;

    fn record(verb: Verb, changes: &[(&str, FieldChange)]) -> Record {
        let changes = changes.iter().map(|(name, change)| ((*name).to_owned(), change.clone())).collect();
        Record::new("document:7".parse().unwrap(), verb, changes, "shop")
    }

    fn by_ann() -> Context {
        Context::by("user:ann".parse::<Ref>().unwrap())
    }

    #[test]
    fn only_fields_that_changed_are_kept() {
        let change = |from, to| FieldChange { from, to };
        let changes = [("title", change(json!("Plan"), json!("Plan B"))), ("owner", change(json!(1), json!(1)))];
        let kept = BTreeMap::from([("title".to_owned(), changes[0].1.clone())]);
        let (target, producer) = ("document:7".parse().unwrap(), "shop".to_owned());
        nothing().when(record(Verb::Update, &changes), by_ann()).then(vec![DataEvent::Updated {
            target,
            fields: "title".to_owned(),
            changes: kept,
            producer,
        }]);
        nothing().when(record(Verb::Update, &changes[1..]), by_ann()).then(Vec::new());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let change = [("title", FieldChange { from: json!(1), to: json!(2) })];
        nothing().when(record(Verb::View, &change), by_ann()).then_refused(Refused::Changes);
        nothing().when(record(Verb::Delete, &change), by_ann()).then_refused(Refused::Changes);
        for name in ["", "a\u{1b}", &"x".repeat(101)] {
            let change = [(name, change[0].1.clone())];
            nothing().when(record(Verb::Update, &change), by_ann()).then_refused(Refused::FieldName);
        }
    }
}
