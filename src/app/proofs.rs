//! Proofs of an application: turning them on, and reading them.

use std::sync::Arc;

use super::access_log::{AccessError, Read};
use super::{Annals, App, Ask, Detail, OpenError, Reader};
use crate::commands::Services;
use crate::events::Ref;
use crate::projections::audit::RecordedFilters;
use crate::projections::{Projection, Projections};
use crate::proofs::{Checkpoint, ProofError, ProofTree, Proofs, Signing};

/// The service that says that proofs are kept.
struct KeepsProofs;

/// The service with the checkpoint that the log must continue from.
struct ContinuesFrom(Checkpoint);

impl App {
    /// Keeps proofs that a stranger can check: a Merkle tree over the log, checkpoints of it that are signed with a key, and proofs that an
    /// event is in it. [`Annals::proofs`] has them.
    ///
    /// From then on, the metadata of each event has 16 random bytes, which its digest covers, so that nobody can try out what a payload
    /// is; and the first event of each command says in its metadata what the command was decided on, and the digest of its body. This
    /// takes about two hundred bytes for a command, and forty for each further event. Events that were recorded before are in the tree
    /// as they are.
    ///
    /// ```
    /// use annals::app::App;
    /// let app = App::new("job_server").proofs();
    /// ```
    #[must_use]
    pub fn proofs(self) -> Self {
        self.service(Arc::new(KeepsProofs))
    }

    /// Opens only a log that continues from a checkpoint that was kept elsewhere: [`OpenError::Proofs`] for an older backup, and for a log
    /// with another history. Needs [`proofs`](Self::proofs). The stored tree is compared if it has the checkpoint's size; otherwise the
    /// events are read up to there. Only [`Annals::check_with_checkpoints`] compares each event.
    ///
    /// The signatures of the checkpoint are not verified here: verify them first.
    #[must_use]
    pub fn continues_from(self, checkpoint: Checkpoint) -> Self {
        self.service(Arc::new(ContinuesFrom(checkpoint)))
    }

    /// Whether the application keeps proofs.
    #[cfg(feature = "cli")]
    pub(crate) fn keeps_proofs(&self) -> bool {
        is_kept(&self.services)
    }
}

/// Whether the application keeps proofs.
pub(super) fn is_kept(services: &Services) -> bool {
    services.get::<KeepsProofs>().is_some()
}

/// Checks that the log continues from the checkpoint that was given, if one was.
pub(super) async fn check_continues(services: &Services, projections: &Projections) -> Result<(), OpenError> {
    let Some(from) = services.get::<ContinuesFrom>() else { return Ok(()) };
    if !is_kept(services) {
        return Err(ProofError::Off.into());
    }
    let reading = projections.reading(ProofTree::NAME).map_err(ProofError::from)?;
    Ok(Proofs::new(reading).check_continues_from(&from.0).await?)
}

/// The projection of the tree, if the application keeps proofs.
pub(super) fn projection(services: &Services) -> Option<Arc<dyn Projection>> {
    is_kept(services).then(|| Arc::new(ProofTree) as Arc<dyn Projection>)
}

impl Annals {
    /// Whether the application keeps proofs: see [`App::proofs`].
    #[must_use]
    pub fn keeps_proofs(&self) -> bool {
        is_kept(&self.access_control().services)
    }

    /// Returns the proofs.
    ///
    /// # Errors
    /// [`ProofError::Off`] if the application keeps none.
    pub fn proofs(&self) -> Result<Proofs, ProofError> {
        match self.keeps_proofs() {
            true => Ok(Proofs::new(self.reading(ProofTree::NAME)?)),
            false => Err(ProofError::Off),
        }
    }

    /// Starts a task that signs checkpoints until the application is closed. Several processes may do so with one file of a key: one of
    /// them signs at a time.
    ///
    /// # Errors
    /// [`ProofError::Off`] if the application keeps none; [`ProofError::ReadOnly`] if the store can only be read.
    pub fn start_signing(&self, signing: Signing) -> Result<(), ProofError> {
        let proofs = self.proofs()?;
        if self.store().is_read_only() {
            return Err(ProofError::ReadOnly);
        }
        signing.start(proofs);
        Ok(())
    }
}

impl Reader {
    /// Returns the proofs, as [`Annals::proofs`]. For the authoriser it is a query of the audit log without filters, in full or for
    /// metadata: leaves hold no values.
    ///
    /// # Errors
    /// When the authoriser denies it, and as [`Annals::proofs`].
    pub async fn proofs(&self) -> Result<Proofs, ProofError> {
        let (annals, access_control, context) = self.parts();
        let proofs = annals.proofs()?;
        let of = [Ref::unchecked("projection", ProofTree::NAME)];
        let read = Read { what: "the proofs of the log", of: &of, asked: RecordedFilters::new(), export: None };
        let asks = [Detail::Full, Detail::Metadata].map(|detail| Ask::Audit {
            actors: &[],
            targets: &[],
            topics: &[],
            detail,
        });
        let choices: Vec<(&Ask<'_>, &Read<'_>)> = asks.iter().map(|ask| (ask, &read)).collect();
        match access_control.read_first(context, &choices, true, false).await {
            Ok(_) => Ok(proofs),
            Err(AccessError::Denied(denial)) => Err(ProofError::Denied(denial.reason().to_owned())),
            Err(AccessError::NotRecorded(error)) => Err(error.into()),
        }
    }
}
