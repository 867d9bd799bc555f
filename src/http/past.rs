//! What a caller reads of the past: states of aggregates, and documents of views as of a moment. Each answer is bounded in time.

use std::time::Duration;

use serde_json::Value;

use super::{Caller, Problem};
use crate::app::{Ask, Detail, JsonState, JsonVersion};
use crate::events::Ref;
use crate::store::{AsOf, Moment};

/// How long a scan of the log for a document of the past may take, and how much longer an answer about the past altogether.
const PAST: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);

impl Caller {
    /// Returns a document of a view as of a moment.
    ///
    /// # Errors
    /// As for [`view`](Self::view); 403 if the past of the document is denied; 503 if it takes too long.
    pub(super) async fn document_at(
        &self,
        name: &str,
        key: &str,
        at: Moment,
    ) -> Result<AsOf<Option<Value>>, Problem> {
        let view = match self.reader()? {
            Some(reader) => reader.json_view_at(name, key, at).await?,
            None => self.annals.json_view(name)?,
        };
        // A page of events is read to its end.
        in_time(view.get_at(key, at, Some(PAST), &mut |_, _| {})).await
    }

    /// Returns the state of an aggregate.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader); 403 if it is denied; 404 if there is no such aggregate type; 503 if it takes too long.
    pub(super) async fn state(&self, aggregate: &Ref, at: Option<Moment>) -> Result<JsonState, Problem> {
        match self.reader()? {
            Some(reader) => in_time(reader.json_state(aggregate, at)).await,
            None => in_time(self.annals.json_state(aggregate, at)).await,
        }
    }

    /// Returns the states of an aggregate before and after one of its events.
    ///
    /// # Errors
    /// As for [`state`](Self::state).
    pub(super) async fn version(&self, aggregate: &Ref, sequence: u64) -> Result<Option<JsonVersion>, Problem> {
        match self.reader()? {
            Some(reader) => in_time(reader.json_version(aggregate, sequence)).await,
            None => in_time(self.annals.json_version(aggregate, sequence)).await,
        }
    }

    /// Whether a page may offer the states of an aggregate. A denial is not recorded: the caller did not ask for them.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader).
    pub(super) async fn may_read_state(&self, aggregate: &Ref) -> Result<bool, Problem> {
        if !self.annals.has_kind(aggregate.kind()) {
            return Ok(false);
        }
        let targets = std::slice::from_ref(aggregate);
        let ask = Ask::Audit { actors: &[], targets, topics: &[], detail: Detail::Full };
        match self.reader()? {
            Some(reader) => Ok(reader.may(&ask).await),
            None => Ok(true),
        }
    }
}

/// Waits for an answer about the past, for a limited time.
async fn in_time<T, E: Into<Problem>>(past: impl Future<Output = Result<T, E>>) -> Result<T, Problem> {
    match tokio::time::timeout(PAST + GRACE, past).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Problem::unavailable(format!(
            "the past was not found within {} s: ask for it on the command line, which has no limit; or try again: the next answer is \
             faster if snapshots were missing",
            (PAST + GRACE).as_secs()
        ))),
    }
}
