//! `reactions`: the status of reactions, the steps that they have to do, and skipping one.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use uuid::Uuid;

use super::output::{self, TextOrJson, counted, name, shown};
use super::session::{OpenMode, Session};
use super::stderr;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::events::Ref;
use crate::reactions::{
    PendingCursor, PendingPage, PendingQuery, PendingStep, ReactionStatus, Replay as Replayed, projection_name,
};

/// Show what reactions are doing, list the steps they have to do, skip one, replay one that was refused
#[derive(Args)]
#[command(after_help = "Examples:\n  $ reactions status\n  $ reactions pending lapsing --timers\n  \
    $ reactions skip lapsing 0192f0c1-2d3e-7000-8000-000000000001 --why 'the customer called' --as user:alice\n  \
    $ reactions replay lapsing 0192f0c1-2d3e-7000-8000-000000000001 --why 'the store was full' --as user:alice\n\n\
    A reaction says which commands follow an event, at once or later: its steps. They are executed by the process that runs the \
    projection reaction_NAME, so `projections status` shows its lag, and `projections resume` and `projections rebuild` repair it. A \
    rebuild executes nothing twice.")]
pub(super) struct Reactions {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    Status(Status),
    Pending(Pending),
    Skip(Skip),
    Replay(Replay),
}

/// Show what each reaction has to do; the exit code is 0 only if none has stopped or has parked aggregates
#[derive(Args)]
#[command(after_help = "Examples:\n  $ reactions status\n  $ reactions status --format json\n\n\
    leader: the running process that executes the steps (first digits of its id).\n\
    due for: how long the first step waits that is due. Why it fails is known to the leader: see its log, its page, or GET \
    /reactions.\n\
    parked: aggregates whose further events the reaction ignores, because it panicked or an event could not be read. Correct the \
    program, then `projections rebuild reaction_NAME`.")]
struct Status {
    #[command(flatten)]
    format: TextOrJson,
}

/// List the steps of a reaction that are to be done, in the order in which they are due
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ reactions pending lapsing\n  $ reactions pending lapsing --timers --limit 20\n  \
    $ reactions pending lapsing --aggregate order:7\n\n\
    A step is a command at once, or a timer. The values of its command are not shown: they follow from the event at its position, which \
    `events --from POSITION --limit 1` shows."
)]
struct Pending {
    /// Name of the reaction
    name: String,
    /// Only steps that follow from events of this aggregate
    #[arg(long, value_name = "KIND:ID")]
    aggregate: Option<Ref>,
    /// Only timers
    #[arg(long)]
    timers: bool,
    /// Maximum number of steps
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Continue after an earlier page, which prints its cursor
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<PendingCursor>,
    #[command(flatten)]
    format: TextOrJson,
}

/// Skip a step of a reaction: its command is not executed
#[derive(Args)]
#[command(after_help = "Example:\n  \
    $ reactions skip lapsing 0192f0c1-2d3e-7000-8000-000000000001 --why 'the customer called' --as user:alice\n\n\
    `reactions pending` prints the id of each step. Either the step takes effect or the skip, never both. The skip is an event in the \
    log, with the actor and the reason.")]
struct Skip {
    /// Name of the reaction
    name: String,
    /// Id of the step
    step: Uuid,
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// Execute a step of a reaction after all that was refused or skipped
#[derive(Args)]
#[command(after_help = "Example:\n  \
    $ reactions replay lapsing 0192f0c1-2d3e-7000-8000-000000000001 --why 'the store was full' --as user:alice\n\n\
    The step is the command id of the event annals_reaction.refused or annals_reaction.skipped, which `audit --topic annals/reaction \
    --format jsonl` shows. Its command is decided on what the log has now, by the reaction on behalf of the actor. It may be refused \
    again: then the exit code is 1, and it can be replayed once more.")]
struct Replay {
    /// Name of the reaction
    name: String,
    /// Id of the step
    step: Uuid,
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    format: TextOrJson,
}

impl Reactions {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_operator()?;
        app.with(OpenMode::Inspect, |session| async move {
            match &self.command {
                Subcommands::Status(status) => status.run(&session).await,
                Subcommands::Pending(pending) => pending.run(&session).await,
                Subcommands::Skip(skip) => skip.run(&session).await,
                Subcommands::Replay(replay) => replay.run(&session).await,
            }
        })
        .await
    }
}

impl Status {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("status", None).await?;
        let statuses = session.annals.reactions().await?;
        match self.format.is_json() {
            true => output::json(&statuses)?,
            false if statuses.is_empty() => output::line("this application has no reactions")?,
            false => statuses.iter().try_for_each(|status| output::line(&text(status, Timestamp::now())))?,
        }
        let problems: Vec<String> = statuses.iter().filter_map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ").into()) }
    }
}

/// What an operator has to do.
fn problem(status: &ReactionStatus) -> Option<String> {
    let projection = projection_name(&status.name);
    if status.stopped.is_some() {
        return Some(format!(
            "{} has stopped; fix the cause and `projections resume {projection}`, or `projections rebuild {projection}`",
            status.name
        ));
    }
    let parked = (!status.parked.is_empty()).then(|| counted(status.parked.len() as u64, "parked aggregate"));
    parked.map(|parked| {
        format!("{} has {parked}; correct the program and `projections rebuild {projection}`", status.name)
    })
}

fn text(status: &ReactionStatus, now: Timestamp) -> String {
    let ReactionStatus { version, started, position, head, .. } = status;
    let lag = head.saturating_sub(*position);
    let mut text = format!("{:<20} version {version}", name(&status.name));
    if started != version {
        text += &format!(" (started {started})");
    }
    text += &format!(
        "  at {position} of {head} (lag {lag})  {}  {}",
        counted(status.pending, "pending step"),
        counted(status.timers, "timer")
    );
    if let Some(due) = status.next_due.filter(|due| *due <= now) {
        text += &format!("  due for {} s", now.duration_since(due).as_secs());
    }
    if let Some(next) = status.next_timer {
        text += &format!("  next timer {next:.0}");
    }
    match status.leader {
        Some(leader) => text += &format!("  leader {:.8}", leader.simple().to_string()),
        None => text += "  no process executes it",
    }
    for reason in [&status.stopped, &status.superseded].into_iter().flatten() {
        text += &format!("\n  {}", shown(reason));
    }
    for parked in &status.parked {
        let (aggregate, reason) = (name(parked.aggregate.as_str()), shown(&parked.reason));
        text += &format!("\n  parked {aggregate} at event {}: {reason}", parked.position);
    }
    text
}

impl Pending {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("status", Some(&projection_name(&self.name))).await?;
        let query = PendingQuery {
            aggregate: self.aggregate.clone(),
            timers: self.timers,
            cursor: self.cursor,
            limit: Some(self.limit.into()),
        };
        let page = session.annals.pending_page(&self.name, &query).await?;
        if self.format.is_json() {
            return output::json(&page);
        }
        let PendingPage { steps, next, position } = page;
        steps.iter().try_for_each(|step| output::line(&line(step)))?;
        if steps.is_empty() {
            output::line("nothing is to be done")?;
        }
        let behind = session.annals.store().head().await?.position.saturating_sub(position);
        if behind > 0 {
            stderr::print(format_args!("the list is {} behind the log", counted(behind, "event")));
        }
        if let Some(next) = next {
            stderr::print(format_args!("next page: --cursor {next}"));
        }
        Ok(())
    }
}

fn line(step: &PendingStep) -> String {
    let PendingStep { id, due, position, .. } = step;
    let timer = step.timer.as_deref().map(|timer| format!("  timer {}", name(timer))).unwrap_or_default();
    let (command, aggregate) = (name(&step.command), name(step.aggregate.as_str()));
    format!("{id}  due {due:.0}  {command} for {aggregate} at event {position}{timer}")
}

impl Skip {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("skip_step", Some(&projection_name(&self.name))).await?;
        let receipt = session.annals.skip_step(&self.name, self.step, &self.why, session.context()?).await?;
        match self.format.is_json() {
            true => output::json(&receipt),
            false => output::line(&format!("skipped, recorded at position {}", receipt.head.position)),
        }
    }
}

impl Replay {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("replay_step", Some(&projection_name(&self.name))).await?;
        let replay = session.annals.replay_step(&self.name, self.step, &self.why, session.context()?).await?;
        let Replayed { refused, receipt } = &replay;
        match self.format.is_json() {
            true => output::json(&replay)?,
            false if *refused => {}
            false => output::line(&format!("executed, recorded at position {}", receipt.head.position))?,
        }
        match refused {
            true => Err(format!("the step was refused again: event {} says why", receipt.head.position).into()),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactions::ParkedAggregate;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status() -> ReactionStatus {
        ReactionStatus {
            name: "lapsing".to_owned(),
            version: 2,
            started: 2,
            position: 7,
            head: 9,
            pending: 1,
            timers: 3,
            next_due: Some(at(100)),
            next_timer: Some(at(4_000)),
            leader: None,
            leads: false,
            stopped: None,
            superseded: None,
            failures: 0,
            blocked: Vec::new(),
            parked: Vec::new(),
        }
    }

    #[test]
    fn a_status_is_one_line_and_says_how_long_the_first_step_is_due() {
        let shown = text(&status(), at(160));
        let rest = "version 2  at 7 of 9 (lag 2)  1 pending step  3 timers  due for 60 s  next timer 1970-01-01T01:06:40Z  no process executes it";
        assert_eq!(shown, format!("lapsing              {rest}"));
        assert!(!text(&status(), at(99)).contains("due for"));
        assert_eq!(problem(&status()), None);
        assert!(text(&ReactionStatus { started: 3, ..status() }, at(0)).contains("version 2 (started 3)"));
    }

    /// The reasons come from events: they must not act on a terminal.
    #[test]
    fn what_an_operator_has_to_do_names_the_projection_to_rebuild() {
        let one = ParkedAggregate {
            aggregate: Ref::unchecked("order", "7"),
            position: 5,
            reason: "\u{1b}[2Jodd".to_owned(),
        };
        let parked = ReactionStatus { parked: vec![one], ..status() };
        let shown = text(&parked, at(0));
        assert!(shown.contains("parked order:7 at event 5: ") && !shown.contains('\u{1b}'), "{shown}");
        let needed = problem(&parked).unwrap();
        assert!(
            needed.ends_with("1 parked aggregate; correct the program and `projections rebuild reaction_lapsing`"),
            "{needed}"
        );
        let stopped = ReactionStatus { stopped: Some("at event 8".to_owned()), ..status() };
        assert!(problem(&stopped).unwrap().contains("projections resume reaction_lapsing"));
        assert!(text(&stopped, at(0)).ends_with("\n  at event 8"));
    }
}
