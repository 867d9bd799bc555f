//! [`Below`]: the topics one step below another that the log has.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::MetricError;
use super::answer::Plan;
use super::blocks;
use crate::events::{Head, Topic};
use crate::store::{Cell, Dialect, Row, ViewSnapshot};

/// The topics one step below another that have events, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// The topic.
    pub topic: Topic,
    /// The place in the log that it is true at.
    pub head: Head,
    /// The topics below it.
    pub topics: Vec<Topic>,
    /// Whether these are all: else there are more.
    pub complete: bool,
}

impl Plan {
    pub(super) async fn below(&self, most: usize) -> Result<Below, MetricError> {
        self.wait().await?;
        let mut snapshot = self.reading.snapshot().await?;
        let head = snapshot.head();
        let steps = Steps::below(&self.topic);
        let (sql, parameters) = steps.search(most, &*snapshot);
        let found = snapshot.query(&sql, parameters).await?;
        let mut topics: BTreeSet<String> =
            found.iter().filter_map(|row| steps.child(row.first()?.text()?)).collect();
        // What came since the last complete block.
        let blocks = blocks::complete_before(0, head.position.saturating_add(1));
        let sql = format!("SELECT topics FROM {} WHERE position >= $1", snapshot.table("entries"));
        for row in snapshot.query(&sql, vec![blocks::positions(0, blocks).start.into()]).await? {
            let own = row.first().and_then(Cell::text).unwrap_or("[]");
            let own: Vec<String> = serde_json::from_str(own).map_err(super::ledger::unreadable)?;
            topics.extend(own.iter().filter_map(|topic| steps.child(topic)));
        }
        let complete = topics.len() <= most;
        let topics = topics.iter().take(most).filter_map(|topic| topic.parse().ok()).collect();
        Ok(Below { topic: self.topic.clone(), head, topics, complete })
    }
}

/// Where the topics below another lie in the order of texts.
struct Steps {
    /// What all of them begin with.
    prefix: String,
    /// Where they end.
    end: String,
}

impl Steps {
    fn below(topic: &Topic) -> Self {
        match topic.as_str() {
            "" => Self { prefix: String::new(), end: char::MAX.to_string() },
            // The next character behind the slash is the zero.
            topic => Self { prefix: format!("{topic}/"), end: format!("{topic}0") },
        }
    }

    /// The topic one step below, if it is one.
    fn child(&self, topic: &str) -> Option<String> {
        let rest = topic.strip_prefix(&self.prefix)?;
        (!rest.is_empty() && !rest.contains('/')).then(|| topic.to_owned())
    }

    /// The statement that goes from topic to topic, a search each, and leaps over what lies deeper: up to twice as many
    /// steps as topics are wanted, however many events or topics there are.
    fn search(&self, most: usize, snapshot: &dyn ViewSnapshot) -> (String, Row) {
        let position = match snapshot.dialect() {
            Dialect::Sqlite => "instr",
            Dialect::Postgres => "strpos",
        };
        let running = snapshot.table("running");
        let next = |from: &str| {
            format!(
                "(SELECT r.topic FROM {running} r WHERE r.topic >= {from} AND r.topic < CAST($2 AS TEXT) \
                 ORDER BY r.topic LIMIT 1)"
            )
        };
        let first = next("CAST($1 AS TEXT)");
        // Nothing lies between a topic and the same with the lowest of all characters.
        let beyond = next(&format!(
            "CASE WHEN {position}(substr(f.topic, CAST($3 AS INTEGER)), '/') > 0 THEN CAST($1 AS TEXT) || \
             substr(substr(f.topic, CAST($3 AS INTEGER)), 1, {position}(substr(f.topic, CAST($3 AS INTEGER)), '/') - 1) \
             || '0' ELSE f.topic || CAST($5 AS TEXT) END"
        ));
        let sql = format!(
            "WITH RECURSIVE found (topic, steps) AS (SELECT {first}, CAST(1 AS BIGINT) UNION ALL \
             SELECT {beyond}, f.steps + 1 FROM found f WHERE f.topic IS NOT NULL AND f.steps < CAST($4 AS BIGINT)) \
             SELECT topic FROM found WHERE topic IS NOT NULL"
        );
        let steps = most.saturating_mul(2).saturating_add(3) as u64;
        let rest = self.prefix.chars().count() as u64 + 1;
        (
            sql,
            vec![self.prefix.as_str().into(), self.end.as_str().into(), rest.into(), steps.into(), "\u{1}".into()],
        )
    }
}
