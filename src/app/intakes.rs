//! Intakes of an application: runs them, and says what they are doing.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::feeds::FeedParts;
use super::{Annals, App, OpenError};
use crate::aggregates::{Aggregate, AggregateType};
use crate::commands::{Command, Context, Handle, internal_id};
use crate::feeds::Leases;
use crate::intakes::{
    Intake, IntakeError, IntakeId, IntakeRecord, IntakeStatus, Notes, PauseIntake, Receiver, ReceiverParts,
    ResumeIntake, Taken, check_why, projection_name,
};
use crate::store::Receipt;

impl App {
    /// Registers an [`Intake`]: messages from a broker become commands of the application.
    #[must_use]
    pub fn intake(mut self, intake: Intake) -> Self {
        self.problems.extend(intake.problems());
        if self.feeds.intakes.iter().any(|known| known.name() == intake.name()) {
            self.problems.push(format!("two intakes have the name `{}`: rename one", intake.name()));
        }
        let record = AggregateType::for_aggregate::<IntakeRecord>();
        if !self.aggregate_types.iter().any(|known| known.name() == IntakeRecord::TYPE) {
            if let Err(error) = record.0.register(&mut self.types) {
                self.problems.push(error.to_string());
            }
            self.aggregate_types.push(record);
        }
        self.feeds.intakes.push(intake);
        self
    }
}

/// The intakes of an open application.
#[derive(Default)]
pub(super) struct Intakes {
    receivers: Vec<Receiver>,
    closing: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Ends the task of the leases, which comes last: another process must not receive before this one has ended.
    releasing: watch::Sender<bool>,
    leases: Mutex<Option<JoinHandle<()>>>,
}

impl Intakes {
    /// Starts the intakes of an application whose projections run in this process.
    pub(super) async fn start(declared: Vec<Intake>, parts: &FeedParts<'_>) -> Result<Self, OpenError> {
        if declared.is_empty() {
            return Ok(Self::default());
        }
        let views = parts.store.views();
        let (closing, is_closing) = watch::channel(false);
        // Over HTTP each process takes messages.
        let with_source = declared.iter().filter(|intake| intake.source().is_some());
        let names: Vec<String> = with_source.map(|intake| projection_name(intake.name())).collect();
        let has_source = !names.is_empty();
        let (leases, leading) = Leases::new(views.clone(), names);
        let mut leading = leading.into_iter();
        let mut receivers = Vec::with_capacity(declared.len());
        for intake in declared {
            let leading = intake.source().and_then(|_| leading.next());
            let leading = leading.unwrap_or_else(|| watch::channel(false).1);
            receivers.push(Receiver::new(ReceiverParts {
                source: intake.source().cloned(),
                intake,
                engine: parts.engine.clone(),
                repository: parts.repository.clone(),
                notes: Notes::new(views.clone()),
                leading,
                closing: is_closing.clone(),
            }));
        }
        let (releasing, is_releasing) = watch::channel(false);
        let (mut tasks, mut releases) = (Vec::new(), None);
        if has_source && parts.follow && !parts.store.is_read_only() {
            for receiver in &receivers {
                receiver.prepare().await?;
            }
            tasks.extend(receivers.iter().cloned().map(Receiver::spawn));
            releases = Some(tokio::spawn(async move {
                let mut releasing = is_releasing;
                leases.run(async move { drop(releasing.wait_for(|releasing| *releasing).await) }).await;
            }));
        }
        Ok(Self { receivers, closing, tasks: Mutex::new(tasks), releasing, leases: Mutex::new(releases) })
    }

    fn named(&self, name: &str) -> Result<&Receiver, IntakeError> {
        let named = self.receivers.iter().find(|receiver| receiver.name() == name);
        named.ok_or_else(|| IntakeError::Unknown {
            name: name.to_owned(),
            known: self.receivers.iter().map(|receiver| receiver.name().to_owned()).collect(),
        })
    }

    /// Stops receiving, and waits until the messages that are executed are settled.
    pub(super) async fn close(&self) {
        self.closing.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
        self.releasing.send_replace(true);
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(leases) = leases {
            let _ = leases.await;
        }
    }
}

impl Annals {
    /// Returns the status of each intake.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn intakes(&self) -> Result<Vec<IntakeStatus>, IntakeError> {
        let mut statuses = Vec::new();
        for receiver in &self.all_feeds().intakes.receivers {
            statuses.push(receiver.status().await?);
        }
        Ok(statuses)
    }

    /// Pauses an intake: it receives nothing until it is [resumed](Self::resume_intake), and the messages wait at the broker. `why` is the
    /// reason, of at most 1,000 bytes, which stays in the log.
    ///
    /// # Errors
    /// When there is no such intake, there is no reason, or the decision cannot be recorded.
    pub async fn pause_intake(&self, intake: &str, why: &str, context: &Context) -> Result<Receipt, IntakeError> {
        let intake = self.intake_to_operate(intake, why)?;
        self.decide_intake(PauseIntake { intake, why: why.to_owned() }, context).await
    }

    /// Resumes an intake that is paused. `why` is the reason, of at most 1,000 bytes, which stays in the log.
    ///
    /// # Errors
    /// As [`Annals::pause_intake`].
    pub async fn resume_intake(&self, intake: &str, why: &str, context: &Context) -> Result<Receipt, IntakeError> {
        let intake = self.intake_to_operate(intake, why)?;
        self.decide_intake(ResumeIntake { intake, why: why.to_owned() }, context).await
    }

    /// Executes the dead letter at this position of the log after all, once: because the program can take it now. The command's actor is
    /// that of the message, and access control is asked about it; who replays it, and why, is in the log too.
    ///
    /// # Errors
    /// When there is no such intake, there is no reason, the event is no dead letter of it, the message still cannot be read, or the command
    /// cannot be executed.
    pub async fn replay_dead_letter(
        &self,
        intake: &str,
        position: u64,
        why: &str,
        context: &Context,
    ) -> Result<Taken, IntakeError> {
        self.intake_to_operate(intake, why)?;
        context.check().map_err(IntakeError::Execute)?;
        self.all_feeds().intakes.named(intake)?.replay(&**self.store(), position, why, context).await
    }

    /// Executes the command of a message that came over HTTP.
    #[cfg(feature = "http")]
    pub(crate) async fn take_message(
        &self,
        intake: &str,
        message: &crate::intakes::IncomingMessage,
        origin: Option<crate::events::Origin>,
    ) -> Result<Taken, IntakeError> {
        self.all_feeds().intakes.named(intake)?.take_now(&**self.store(), message, origin).await
    }

    fn intake_to_operate(&self, intake: &str, why: &str) -> Result<IntakeId, IntakeError> {
        let receiver = self.all_feeds().intakes.named(intake)?;
        check_why(why)?;
        Ok(IntakeId::new(receiver.name()))
    }

    async fn decide_intake<C: Command + Handle>(
        &self,
        command: C,
        context: &Context,
    ) -> Result<Receipt, IntakeError> {
        context.check().map_err(IntakeError::Execute)?;
        let context = context.internal(internal_id::random());
        Ok(self.write_engine().execute(Box::new(command), &context).await?)
    }
}
