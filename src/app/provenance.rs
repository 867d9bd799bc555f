//! Provenance of an application: turning it on, and reading it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::access_log::{AccessControl, AccessError, Read};
use super::{Annals, App, Ask, Detail, Reader};
use crate::commands::{Context, Services};
use crate::events::{Ref, Types};
use crate::projections::Projection;
use crate::projections::audit::{AuditLog, RecordedFilters};
use crate::projections::provenance::{Agents, ProvenanceAccess, ProvenanceError, ProvenanceGraph, ProvenanceQuery};

impl App {
    /// Keeps provenance: which version of what each version was made of, and what came of it. [`Annals::provenance`] answers it.
    /// `agents` says which actors are people, organisations and software.
    ///
    /// From then on, the first event of each command says in its metadata what the command was decided on: this takes about a hundred
    /// bytes. It is also a projection of the whole log, which is built when it is first turned on, and takes about as much space as the
    /// audit log. For older events it is not known what their commands were decided on, and the answers say so.
    ///
    /// ```
    /// use annals::app::App;
    /// use annals::projections::provenance::Agents;
    /// let app = App::new("job_server").provenance(Agents::default().software("job"));
    /// ```
    #[must_use]
    pub fn provenance(self, agents: Agents) -> Self {
        self.service(Arc::new(agents))
    }
}

/// Whether the application keeps provenance.
pub(super) fn is_kept(services: &Services) -> bool {
    services.get::<Agents>().is_some()
}

/// The projection of provenance, if the application keeps it.
pub(super) fn projection(services: &Services, types: &Arc<Types>) -> Option<Arc<dyn Projection>> {
    is_kept(services).then(|| Arc::new(ProvenanceGraph::new(types.clone())) as Arc<dyn Projection>)
}

impl Annals {
    /// Whether the application keeps provenance: see [`App::provenance`].
    #[must_use]
    pub fn keeps_provenance(&self) -> bool {
        self.agents().is_some()
    }

    fn agents(&self) -> Option<&Arc<Agents>> {
        self.access_control().services.get::<Agents>()
    }

    /// Queries the provenance of a thing: what it is made of, or what came of it. An application that keeps no provenance answers
    /// [`ProvenanceError::Off`].
    pub fn provenance(&self, thing: &Ref) -> ProvenanceQuery {
        let agents = self.agents();
        let reading = agents.and_then(|_| self.reading(ProvenanceGraph::NAME).ok());
        ProvenanceQuery::new(reading, agents.cloned().unwrap_or_default(), thing.clone())
    }
}

impl Reader {
    /// Queries the provenance of a thing, as [`Annals::provenance`]. For the authoriser it is a query of the audit log for that
    /// target; the events of other things are left out, unless the actor may read the audit log of these too. A reader of metadata
    /// sees no source that only a payload names, and nothing about a file but that it was exported.
    pub fn provenance(&self, thing: &Ref) -> ProvenanceQuery {
        let (annals, access_control, context) = self.parts();
        let access = ReaderAccess {
            access_control: access_control.clone(),
            context: context.clone(),
            known: Mutex::default(),
        };
        annals.provenance(thing).access(Arc::new(access))
    }
}

/// Asks whether the context's actor may read the audit log of the things of a query.
struct ReaderAccess {
    access_control: Arc<AccessControl>,
    context: Context,
    /// The answers of this query, by thing.
    known: Mutex<HashMap<Ref, bool>>,
}

#[async_trait]
impl ProvenanceAccess for ReaderAccess {
    async fn asked(&self, thing: &Ref) -> Result<Detail, ProvenanceError> {
        let (targets, details) = ([thing.clone()], [Detail::Full, Detail::Metadata]);
        let of = [Ref::unchecked("projection", AuditLog::NAME), thing.clone()];
        let words = [format!("the provenance of {thing}"), format!("metadata of the provenance of {thing}")];
        let ask = |detail| Ask::Audit { actors: &[], targets: &targets, topics: &[], detail };
        let asks = details.map(ask);
        let mut reads: Vec<Read<'_>> = Vec::new();
        for (detail, what) in details.into_iter().zip(&words) {
            let mut asked = RecordedFilters::from([("target".to_owned(), vec![thing.to_string()])]);
            if detail == Detail::Metadata {
                asked.insert("detail".to_owned(), vec![detail.to_string()]);
            }
            reads.push(Read { what, of: &of, asked, export: None });
        }
        let choices: Vec<(&Ask<'_>, &Read<'_>)> = asks.iter().zip(&reads).collect();
        match self.access_control.read_first(&self.context, &choices, true, false).await {
            Ok((index, _)) => Ok(details.get(index).copied().unwrap_or(Detail::Metadata)),
            Err(AccessError::Denied(denial)) => Err(ProvenanceError::Denied(denial.reason().to_owned())),
            Err(AccessError::NotRecorded(error)) => Err(error.into()),
        }
    }

    async fn may_see(&self, thing: &Ref, detail: Detail) -> bool {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(thing) {
            return *known;
        }
        let ask = Ask::Audit { actors: &[], targets: std::slice::from_ref(thing), topics: &[], detail };
        let allowed = self.access_control.allows(&self.context, &ask).await;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(thing.clone(), allowed);
        allowed
    }
}
