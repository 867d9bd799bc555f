//! [`Signing`]: signs checkpoints from time to time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::error::ProofError;
use super::handle::Proofs;
use super::policy::Policy;
use super::snapshot::TreeSnapshot;
use super::{ProofKey, SignedCheckpoint};
use crate::supervise::supervise;
use crate::text::error_chain;

/// The name of the lease: of the processes with the key, one signs. That saves work; the lock of the key's file is what keeps two
/// checkpoints of one size from differing.
const LEASE: (&str, u64) = ("signer of checkpoints", 1);

/// The shortest time for which the lease is taken.
const SHORTEST_TERM: Duration = Duration::from_secs(5);

/// Signs checkpoints from time to time, as long as the application is open.
#[derive(Clone, Debug)]
pub struct Signing {
    key: Arc<ProofKey>,
    every: Duration,
    delay: Duration,
    witnesses: Option<Arc<Policy>>,
}

impl Signing {
    /// Signs with a key, every 10 seconds if the log has grown.
    #[must_use]
    pub fn new(key: ProofKey) -> Self {
        Self { key: Arc::new(key), every: Duration::from_secs(10), delay: Duration::ZERO, witnesses: None }
    }

    /// The time between two checkpoints.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(10));
        self
    }

    /// Signs what has been in the tree for this time. With a standby server that is behind by less, a failover loses nothing that was
    /// signed.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Asks the witnesses of a policy that have a URL for cosignatures of each checkpoint.
    #[must_use]
    pub fn witnesses(mut self, policy: Policy) -> Self {
        self.witnesses = Some(Arc::new(policy));
        self
    }

    /// Starts a task that signs until the application is closed.
    pub(crate) fn start(self, proofs: Proofs) {
        tokio::spawn(async move {
            let sign = || Task::new(self.clone(), proofs.clone()).run();
            supervise("signer of checkpoints", sign, || proofs.0.closed(), |_, _| {}).await;
        });
    }

    /// Signs once, and asks the witnesses.
    pub(crate) async fn sign(&self, proofs: &Proofs, most: u64) -> Result<SignedCheckpoint, ProofError> {
        let signed = proofs.sign_at_most(&self.key, most).await?;
        if let Some(policy) = &self.witnesses {
            return proofs.cosign(&self.key, signed, policy).await;
        }
        Ok(signed)
    }
}

struct Task {
    signing: Signing,
    proofs: Proofs,
    owner: Uuid,
    /// When the tree had which sizes.
    seen: VecDeque<(Instant, u64)>,
    /// The last problem that was logged.
    problem: Option<String>,
}

impl Task {
    fn new(signing: Signing, proofs: Proofs) -> Self {
        Self { signing, proofs, owner: Uuid::new_v4(), seen: VecDeque::new(), problem: None }
    }

    async fn run(mut self) {
        let closed = self.proofs.clone();
        loop {
            let round = async {
                let signed = self.round().await;
                self.log(signed);
                sleep(self.signing.every).await;
            };
            tokio::select! {
                () = closed.0.closed() => break,
                () = round => {}
            }
        }
        // Otherwise the next signer waits until the lease has expired.
        let _ = self.proofs.0.log().views().release_leases(self.owner).await;
    }

    async fn round(&mut self) -> Result<(), ProofError> {
        let term = SHORTEST_TERM.max(self.signing.every * 3);
        let (name, version) = LEASE;
        let wanted = [(name.to_owned(), version)];
        let leads = self.proofs.0.log().views().acquire_leases(self.owner, &wanted, term).await?;
        let size = TreeSnapshot::open(&self.proofs.0).await?.size();
        self.seen.push_back((Instant::now(), size));
        let is_old = |(at, _): &(Instant, u64)| at.elapsed() >= self.signing.delay;
        while self.seen.get(1).is_some_and(is_old) {
            self.seen.pop_front();
        }
        let Some((_, size)) = self.seen.front().filter(|seen| is_old(seen)).filter(|_| !leads.is_empty()) else {
            return Ok(());
        };
        self.signing.sign(&self.proofs, *size).await.map(drop)
    }

    /// Logs each problem once.
    fn log(&mut self, signed: Result<(), ProofError>) {
        let problem = signed.err().map(|error| error_chain(&error));
        match &problem {
            Some(problem) if self.problem.as_ref() != Some(problem) => {
                tracing::error!(%problem, "cannot sign a checkpoint of the log");
            }
            None if self.problem.is_some() => tracing::info!("checkpoints of the log are signed again"),
            _ => {}
        }
        self.problem = problem;
    }
}
