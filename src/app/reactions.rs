//! Reactions of an application: runs them, and says what they are doing.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Annals, App, OpenError};
use crate::aggregates::{Aggregate, AggregateType};
use crate::commands::{Context, Engine, ExecuteError, Registry};
use crate::projections::{ProjectionStatus, Projections, ReadError};
use crate::reactions::{
    AnyReaction, Executor, PendingPage, PendingQuery, PendingStep, PendingSteps, Reaction, ReactionRecord,
    ReactionStatus, Replay, SkipStep, StepError, check_why, erased,
};
use crate::store::{LogTime, Receipt, Store};

impl App {
    /// Registers a [`Reaction`]: which commands follow the events of an aggregate. A command of the application must be decided on that
    /// aggregate.
    #[must_use]
    pub fn reaction<R: Reaction>(mut self) -> Self {
        let reaction = erased::<R>();
        let name = reaction.name();
        let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if name.is_empty() || name.len() > 40 || !name.chars().all(is_letter) {
            let problem = "lower-case letters, digits and `_`, at most 40";
            self.problems.push(format!("the name of a reaction has {problem}: rename `{name}`"));
        }
        if reaction.version() == 0 {
            self.problems.push(format!("the reaction `{name}` has version 0: the first one is 1"));
        }
        let record = AggregateType::for_aggregate::<ReactionRecord>();
        if !self.aggregate_types.iter().any(|known| known.name() == ReactionRecord::TYPE) {
            if let Err(error) = record.0.register(&mut self.types) {
                self.problems.push(error.to_string());
            }
            self.aggregate_types.push(record);
        }
        self.projections.push(Arc::new(PendingSteps::new(reaction.clone())));
        self.reactions.push(reaction);
        self
    }
}

/// The reactions of an open application.
pub(super) struct Reactions {
    executors: Vec<Executor>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Reactions {
    /// Starts the reactions of an application whose projections run in this process. When it returns, each start is durable.
    pub(super) async fn start(
        reactions: Vec<Arc<dyn AnyReaction>>,
        engine: &Arc<Engine>,
        registry: &Arc<Registry>,
        projections: &Projections,
        store: &Arc<dyn Store>,
        time: &LogTime,
        follow: bool,
    ) -> Result<Self, OpenError> {
        let mut executors = Vec::with_capacity(reactions.len());
        for reaction in reactions {
            let reading = projections.reading(&crate::reactions::projection_name(reaction.name()));
            let reading = reading.map_err(|error| OpenError::Projections(Box::new(error)))?;
            let (engine, registry) = (engine.clone(), registry.clone());
            executors.push(Executor::new(engine, registry, reaction, reading, store.clone(), time.clone()));
        }
        let mut tasks = Vec::new();
        if follow && !store.is_read_only() {
            for executor in &executors {
                let started = executor.start_version().await;
                started.map_err(|error| OpenError::Reaction {
                    name: executor.reaction().name(),
                    source: Box::new(error),
                })?;
                tasks.push(executor.clone().spawn());
            }
        }
        Ok(Self { executors, tasks: Mutex::new(tasks) })
    }

    fn named(&self, name: &str) -> Result<&Executor, ReadError> {
        let named = self.executors.iter().find(|executor| executor.reaction().name() == name);
        named.ok_or_else(|| ReadError::UnknownReaction {
            name: name.to_owned(),
            known: self.executors.iter().map(|executor| executor.reaction().name().to_owned()).collect(),
        })
    }

    /// Returns when the tasks have ended, which they do when the projections close.
    pub(super) async fn closed(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

impl Annals {
    /// Returns the status of each reaction.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reactions(&self) -> Result<Vec<ReactionStatus>, ReadError> {
        match self.has_reactions() {
            true => self.reactions_of(&self.projections().await?).await,
            false => Ok(Vec::new()),
        }
    }

    /// The status of each reaction, from the status of all projections.
    pub(crate) async fn reactions_of(
        &self,
        projections: &[ProjectionStatus],
    ) -> Result<Vec<ReactionStatus>, ReadError> {
        let mut statuses = Vec::new();
        for executor in &self.all_reactions().executors {
            if let Some(own) = projections.iter().find(|one| one.name == executor.reading().name()) {
                statuses.push(executor.status(own).await?);
            }
        }
        Ok(statuses)
    }

    /// Whether the application has reactions.
    pub(crate) fn has_reactions(&self) -> bool {
        !self.all_reactions().executors.is_empty()
    }

    /// Returns the next steps of a reaction that are to be done, in the order in which they are due: at most `limit`, and at most 1,000.
    ///
    /// # Errors
    /// When there is no reaction with this name, or the store cannot be read.
    pub async fn pending_steps(&self, reaction: &str, limit: usize) -> Result<Vec<PendingStep>, ReadError> {
        let query = PendingQuery { limit: Some(limit), ..PendingQuery::default() };
        Ok(self.pending_page(reaction, &query).await?.steps)
    }

    /// Returns a page of the steps of a reaction that are to be done, as [`pending_steps`](Self::pending_steps): of one aggregate, or only
    /// timers, or after an earlier page.
    ///
    /// # Errors
    /// As [`pending_steps`](Self::pending_steps).
    pub async fn pending_page(&self, reaction: &str, query: &PendingQuery) -> Result<PendingPage, ReadError> {
        self.all_reactions().named(reaction)?.pending(query).await
    }

    /// Skips a step of a reaction: it will not be done. The skip takes the command id of the step, so that either the step takes effect or
    /// the skip. `step` is [`PendingStep::id`]; `why` is the reason, of at most 1,000 bytes, which stays in the log.
    ///
    /// # Errors
    /// When there is no such reaction or pending step, when the step was done meanwhile, or when there is no reason.
    pub async fn skip_step(
        &self,
        reaction: &str,
        step: Uuid,
        why: &str,
        context: &Context,
    ) -> Result<Receipt, StepError> {
        let executor = self.all_reactions().named(reaction)?;
        check_why(why)?;
        let pending = executor.find(step).await?.ok_or(StepError::Unknown(step))?;
        let PendingStep { aggregate: on, position, .. } = pending;
        let command = SkipStep { reaction: executor.reaction().id(), on, position, step, why: why.to_owned() };
        context.check()?;
        match self.write_engine().execute(Box::new(command), &context.internal(step)).await {
            Err(ExecuteError::CommandIdReused(_)) => Err(StepError::Done(step)),
            executed => Ok(executed?),
        }
    }

    /// Executes a step of a reaction after all that was refused or skipped. `step` is the command id of the event `annals_reaction.refused`
    /// or `annals_reaction.skipped`; `why` is the reason, of at most 1,000 bytes, which stays in the log. The command is the one that the
    /// reaction says today of the event that led to it. It is decided on what the log has now, by the actor of the reaction on
    /// behalf of the context's actor, and may be refused again: then it can be replayed once more.
    ///
    /// # Errors
    /// When there is no such reaction, when the step was neither refused nor skipped, when somebody else has replayed it, when the
    /// reaction no longer leads to it, or when there is no reason.
    pub async fn replay_step(
        &self,
        reaction: &str,
        step: Uuid,
        why: &str,
        context: &Context,
    ) -> Result<Replay, StepError> {
        let executor = self.all_reactions().named(reaction)?;
        check_why(why)?;
        context.check()?;
        executor.replay(step, why, context).await
    }
}
