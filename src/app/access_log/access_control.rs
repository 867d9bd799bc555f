//! [`AccessControl`]: calls the authoriser, and has reads and refusals recorded if the application wants it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::recorder::{AccessRecorder, Read, RecordReceiver};
use crate::app::AccessContext;
#[cfg(feature = "access")]
use crate::app::RightsMemory;
use crate::app::access_context::Loads;
use crate::app::authorise::{Ask, Authorise, Denial, NEEDS_FULL};
use crate::app::following::{Depends, FollowedReads, ReadLoads};
use crate::commands::{AccessLoads, CommandAccess, Context, Engine, Services, TRY_AGAIN, missing, within};
use crate::events::Ref;
use crate::store::{Clock, Store, StoreError};
#[cfg(feature = "access")]
use crate::tokens::NEEDS_RIGHTS;

/// The access control of an application: its authoriser, and what is recorded.
#[derive(Default)]
pub(in crate::app) struct AccessControl {
    pub authoriser: Option<Arc<dyn Authorise>>,
    /// The rights in the log, asked before the application's authoriser: both must allow.
    pub rights: Option<Arc<dyn Authorise>>,
    /// The memory of the last withdrawal of a right.
    #[cfg(feature = "access")]
    pub memory: Option<Arc<dyn RightsMemory>>,
    pub recorder: Option<AccessRecorder>,
    pub reads: bool,
    pub refusals: bool,
    /// Whether reads that are recorded already are counted.
    pub repeats: bool,
    /// Whether the application has personal values: then what a read searched for is not recorded, since it may be one.
    pub personal: bool,
    /// What the authoriser may call.
    pub services: Services,
    /// The reads that are followed.
    pub followed: Option<Arc<FollowedReads>>,
}

/// The reason why a read is refused.
#[derive(Debug)]
pub(in crate::app) enum AccessError {
    /// The authoriser denied it.
    Denied(Denial),
    /// The read cannot be recorded.
    NotRecorded(StoreError),
}

impl AccessError {
    /// Says in a denial which right `what` needs.
    pub(in crate::app) fn of(self, what: &str) -> Self {
        match self {
            Self::Denied(denial) => Self::Denied(Denial::because(format!("{denial}: {what} {NEEDS_FULL}"))),
            other => other,
        }
    }
}

impl AccessControl {
    /// Calls the authoriser. Returns the grants that allow what is asked for.
    pub(in crate::app) async fn decide(
        &self,
        context: &Context,
        ask: &Ask<'_>,
        loads: Loads<'_>,
    ) -> Result<Vec<Uuid>, Denial> {
        let access = AccessContext::new(context, &self.services, loads);
        #[cfg(feature = "access")]
        self.check_token(&access, ask)?;
        if !self.has_authoriser() {
            return Ok(Vec::new());
        }
        let deciding = async {
            for authoriser in self.rights.iter().chain(&self.authoriser) {
                authoriser.authorise(&access, ask).await?;
            }
            Ok(())
        };
        let limit = self.services.time_limit;
        match within(limit, AssertUnwindSafe(deciding).catch_unwind()).await {
            Some(Ok(decided)) => decided.map(|()| access.into_grants()),
            Some(Err(_)) => Err(Denial::because("the authoriser failed")),
            None => Err(Denial::because(format!("the authoriser did not answer within {limit:?}: {TRY_AGAIN}"))),
        }
    }

    /// Denies what the access token of the context does not allow. Only rights in the log can tell whether its grant still holds.
    #[cfg(feature = "access")]
    fn check_token(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        let Some(presented) = access.presented_token() else { return Ok(()) };
        if !self.has_rights() {
            return Err(Denial::because(NEEDS_RIGHTS));
        }
        if access.follows()
            && let Some(expires) = presented.token().expires()
        {
            access.valid_until(expires);
        }
        let targets = ask.targets();
        let targets: Vec<&str> = targets.iter().map(AsRef::as_ref).collect();
        let allowed = presented.allows(&targets, access.follows(), access.time());
        allowed.map_err(|error| Denial::because(error.to_string()))
    }

    pub(in crate::app) fn refused(&self, context: &Context, what: &str, on: &[Ref], reason: &str, denied: bool) {
        if let Some(recorder) = self.recorder.as_ref().filter(|_| self.refusals) {
            recorder.refused(context, what, on, reason, denied);
        }
    }

    /// Whether the authoriser allows a read. Nothing is recorded.
    pub(in crate::app) async fn allows(&self, context: &Context, ask: &Ask<'_>) -> bool {
        self.decide(context, ask, (&ReadLoads::default()).into()).await.is_ok()
    }

    /// Records that the context's actor was denied something before anybody was asked, if the application records refusals.
    #[cfg(feature = "http")]
    pub(in crate::app) fn denied(&self, context: &Context, what: &str, reason: &str) {
        self.refused(context, what, &[], reason, true);
    }

    /// Allows or refuses a read. Records it if `record` is set and the application records reads.
    pub(in crate::app) async fn read(
        &self,
        context: &Context,
        ask: &Ask<'_>,
        read: &Read<'_>,
        record: bool,
    ) -> Result<(), AccessError> {
        self.read_first(context, &[(ask, read)], record, false).await.map(drop)
    }

    /// Allows the first of these reads that is allowed, and returns its index and what the answer depends on; the caller asks
    /// for less with each. If all are denied, one denial is recorded: of the first read, with the reason of the last.
    /// `follows`: it is followed live.
    pub(in crate::app) async fn read_first(
        &self,
        context: &Context,
        choices: &[(&Ask<'_>, &Read<'_>)],
        record: bool,
        follows: bool,
    ) -> Result<(usize, Depends), AccessError> {
        for party in std::iter::once(context.actor()).chain(&context.metadata().on_behalf_of) {
            // Not recorded: the record would have the invalid actor.
            party.check_caller().map_err(|error| AccessError::Denied(Denial::because(error.to_string())))?;
        }
        let mut denied = None;
        for (index, (ask, read)) in choices.iter().enumerate() {
            let loads = ReadLoads::new(follows);
            match self.decide(context, ask, (&loads).into()).await {
                Err(denial) => denied = Some(denial),
                Ok(grants) => {
                    if let Some(recorder) = self.recorder.as_ref().filter(|_| self.reads && record) {
                        recorder.read(&context.allowed_by(grants), read).await.map_err(AccessError::NotRecorded)?;
                    }
                    return Ok((index, loads.into_depends()));
                }
            }
        }
        let denial = denied.unwrap_or_else(|| Denial::because("nothing was asked for"));
        if let Some((_, read)) = choices.first() {
            self.refused(context, read.what, read.of, denial.reason(), true);
        }
        Err(AccessError::Denied(denial))
    }

    /// The reads that are followed: of an open application.
    pub(in crate::app) fn followed(&self) -> &Arc<FollowedReads> {
        self.followed.as_ref().unwrap_or_else(|| missing::<FollowedReads>())
    }

    /// Whether commands need access control.
    pub(in crate::app) fn checks_commands(&self) -> bool {
        self.has_authoriser() || self.refusals
    }

    /// Whether there is an authoriser.
    pub(in crate::app) fn has_authoriser(&self) -> bool {
        self.authoriser.is_some() || self.rights.is_some()
    }

    /// Whether rights in the log are asked.
    pub(in crate::app) fn has_rights(&self) -> bool {
        self.rights.is_some()
    }

    /// Whether reads are recorded.
    #[cfg(any(feature = "cli", all(feature = "http", feature = "access")))]
    pub(in crate::app) fn records_reads(&self) -> bool {
        self.reads
    }

    /// Whether a read needs an actor: reads are recorded, or there is an authoriser.
    #[cfg(any(feature = "cli", feature = "http"))]
    pub(in crate::app) fn reads_need_actor(&self) -> bool {
        self.reads || self.has_authoriser()
    }

    /// Creates the recorder, if reads or refusals are recorded.
    pub(in crate::app) fn prepare(&mut self, clock: &Clock) -> Option<RecordReceiver> {
        if !self.reads && !self.refusals {
            return None;
        }
        let (recorder, receiver) = AccessRecorder::new(clock.clone(), self.repeats);
        self.recorder = Some(recorder);
        Some(receiver)
    }

    /// Starts the recorder's task.
    pub(in crate::app) fn start(&self, receiver: Option<RecordReceiver>, engine: &Arc<Engine>) {
        if let (Some(recorder), Some(receiver)) = (&self.recorder, receiver) {
            recorder.start(receiver, engine);
        }
    }

    /// Why reads and refusals cannot be recorded now, if the application records them.
    #[cfg(feature = "http")]
    pub(in crate::app) fn unready(&self) -> Option<&'static str> {
        let running = self.recorder.as_ref().is_none_or(AccessRecorder::is_running);
        (!running).then_some(
            "reads and refusals cannot be recorded: the task that records them panicked, and is started again",
        )
    }

    /// Checks that reads can be recorded in this store, if the application records them.
    pub(in crate::app) fn check_store(&self, store: &dyn Store) -> Result<(), StoreError> {
        if !self.reads || !store.is_read_only() {
            return Ok(());
        }
        let reason = "the application records reads, and this store is read-only: copy the log and its -wal file to a \
                      writable directory, and open the copy";
        Err(StoreError::Unusable { store: store.describe(), reason: reason.to_owned() })
    }

    pub(in crate::app) async fn close(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.close().await;
        }
    }
}

impl CommandAccess for AccessControl {
    fn check<'a>(
        &'a self,
        context: &'a Context,
        command: &'static str,
        on: &'a [Ref],
        loads: &'a AccessLoads<'a>,
    ) -> BoxFuture<'a, Result<Vec<Uuid>, String>> {
        async move {
            let ask = Ask::Command { name: command, on };
            self.decide(context, &ask, Loads::Command(loads)).await.map_err(|denial| denial.reason().to_owned())
        }
        .boxed()
    }

    #[cfg(feature = "access")]
    fn committed(&self, command: &str) -> Option<BoxFuture<'_, ()>> {
        let memory = self.memory.as_ref().filter(|memory| memory.withdraws(command))?;
        Some(memory.remember().boxed())
    }

    #[cfg(feature = "access")]
    fn diverged(&self) {
        self.memory.iter().for_each(|memory| memory.diverged());
    }

    fn record_refusal(&self, context: &Context, command: &'static str, on: &[Ref], reason: &str, denied: bool) {
        self.refused(context, &command_text(command, on), on, reason, denied);
    }
}

/// `transfer on account:1, account:2`
fn command_text(command: &str, on: &[Ref]) -> String {
    let on: Vec<&str> = on.iter().map(Ref::as_str).collect();
    match on.is_empty() {
        true => command.to_owned(),
        false => format!("{command} on {}", on.join(", ")),
    }
}
