//! Flows of an application: turning them on, and reading them.

use std::sync::Arc;

use async_trait::async_trait;

use super::access_log::{AccessControl, AccessError, Read};
use super::{Annals, App, Ask, Detail, Reader};
use crate::commands::{Context, Services};
use crate::events::{Ref, Types};
use crate::projections::Projection;
use crate::projections::audit::{AuditLog, RecordedFilters};
use crate::projections::flows::{FlowAccess, FlowCounts, FlowError, FlowFilter, FlowQuery, Flows};

impl App {
    /// Keeps flows: what was read, exported and written by whose hands, how often and when, beside what was permitted and denied.
    /// [`Annals::flows`] answers them. [`record_reads`](Self::record_reads) and [`record_refusals`](Self::record_refusals) are needed
    /// for the reads, exports and denials.
    ///
    /// From then on, the first event of each command says in its metadata what the command was decided on: this takes about a hundred
    /// bytes. Reads that are recorded already are counted, and a record of how often is appended when the ten minutes of the first
    /// record are over, or when the application is closed: a process that is killed loses the counts of the ten minutes. It is also a
    /// projection of the whole log, which is built when it is first turned on.
    ///
    /// ```
    /// use annals::app::App;
    /// use annals::projections::flows::Flows;
    /// let app = App::new("job_server").record_reads().record_refusals().flows(Flows::default());
    /// ```
    #[must_use]
    pub fn flows(mut self, flows: Flows) -> Self {
        self.access_control.repeats = true;
        self.service(Arc::new(flows))
    }
}

/// Whether the application keeps flows.
pub(super) fn is_kept(services: &Services) -> bool {
    services.get::<Flows>().is_some()
}

/// The projection of flows, if the application keeps them.
pub(super) fn projection(services: &Services, types: &Arc<Types>) -> Option<Arc<dyn Projection>> {
    let flows = services.get::<Flows>()?;
    Some(Arc::new(FlowCounts::new(types.clone(), flows.clone())))
}

impl Annals {
    /// Whether the application keeps flows: see [`App::flows`].
    #[must_use]
    pub fn keeps_flows(&self) -> bool {
        is_kept(&self.access_control().services)
    }

    /// Queries the flows. An application that keeps none answers [`FlowError::Off`].
    pub fn flows(&self) -> FlowQuery {
        let flows = self.access_control().services.get::<Flows>();
        let reading = flows.and_then(|_| self.reading(FlowCounts::NAME).ok());
        FlowQuery::new(reading, flows.cloned().unwrap_or_default(), self.access_control().has_rights())
    }
}

impl Reader {
    /// Queries the flows, as [`Annals::flows`]. For the authoriser it is a query of the audit log for the actor, things and topic of the
    /// filters. A reader of metadata sees no source that only a payload names, and no destination of an export. The answer about grants
    /// needs the right to read the view `access` too: of the actor of the filters, or of everybody.
    pub fn flows(&self) -> FlowQuery {
        let (annals, access_control, context) = self.parts();
        let access = ReaderAccess { access_control: access_control.clone(), context: context.clone() };
        annals.flows().access(Arc::new(access))
    }
}

/// Asks whether the context's actor may read flows, and has the read recorded.
struct ReaderAccess {
    access_control: Arc<AccessControl>,
    context: Context,
}

#[async_trait]
impl FlowAccess for ReaderAccess {
    async fn asked(&self, words: &str, filter: &FlowFilter) -> Result<Detail, FlowError> {
        let actors: Vec<Ref> = filter.actor.iter().cloned().collect();
        let (targets, topics) = (filter.things(), filter.topics());
        let mut of = vec![Ref::unchecked("projection", AuditLog::NAME)];
        of.extend(actors.iter().chain(&targets).cloned());
        let details = [Detail::Full, Detail::Metadata];
        let words = [words.to_owned(), format!("metadata of {words}")];
        let asks = details.map(|detail| Ask::Audit { actors: &actors, targets: &targets, topics: &topics, detail });
        let mut reads: Vec<Read<'_>> = Vec::new();
        for (detail, what) in details.into_iter().zip(&words) {
            // Flows of a source lead on to other things: the record covers more than the query.
            let mut asked = RecordedFilters::new();
            if let Some(actor) = &filter.actor {
                asked.insert("actor".to_owned(), vec![actor.to_string()]);
            }
            if detail == Detail::Metadata {
                asked.insert("detail".to_owned(), vec![detail.to_string()]);
            }
            reads.push(Read { what, of: &of, asked, export: None });
        }
        let choices: Vec<(&Ask<'_>, &Read<'_>)> = asks.iter().zip(&reads).collect();
        match self.access_control.read_first(&self.context, &choices, true, false).await {
            Ok((index, _)) => Ok(details.get(index).copied().unwrap_or(Detail::Metadata)),
            Err(error) => Err(error.into()),
        }
    }

    async fn grants(&self, of: Option<&Ref>) -> Result<(), FlowError> {
        let what = match of {
            Some(party) => format!("{party} in access"),
            None => "access".to_owned(),
        };
        let view = Ref::unchecked("projection", "access");
        let things: Vec<Ref> = std::iter::once(view).chain(of.cloned()).collect();
        let read = Read { what: &what, of: &things, asked: RecordedFilters::new(), export: None };
        let ask = Ask::View { view: "access", key: of.map(Ref::as_str) };
        // The query itself is recorded.
        Ok(self.access_control.read(&self.context, &ask, &read, false).await?)
    }
}

impl From<AccessError> for FlowError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Denied(denial) => Self::Denied(denial.reason().to_owned()),
            AccessError::NotRecorded(error) => error.into(),
        }
    }
}
