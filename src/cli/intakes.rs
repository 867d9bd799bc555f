//! `intakes`: the status of intakes, pausing and resuming them, replaying dead letters.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::output::{self, TextOrJson, name, shown};
use super::session::{OpenMode, Session};
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::intakes::IntakeStatus;
use crate::store::Receipt;

/// Show what intakes are doing, pause and resume them, replay dead letters
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ intakes status\n  $ intakes pause payments --why 'the bank repeats itself' --as user:alice\n  \
    $ intakes replay payments 1204 --why 'the new program knows the type' --as user:alice\n\n\
    An intake makes commands of the messages of a broker. One process of several receives. A message is acknowledged when its outcome is \
    in the log: events, a refusal, or a dead letter."
)]
pub(super) struct Intakes {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    Status(Status),
    Pause(Pause),
    Resume(Resume),
    Replay(Replay),
}

/// Show what each intake is doing; the exit code is 0 only if each receives or is paused
#[derive(Args)]
#[command(after_help = "Examples:\n  $ intakes status\n  $ intakes status --format json\n\n\
    backlog: messages at the broker that are not settled. leader: the running process that receives (first digits of its id).\n\
    `audit --event annals_intake.dead_lettered` lists the dead letters, with their reasons.")]
struct Status {
    #[command(flatten)]
    format: TextOrJson,
}

/// Pause an intake: it receives nothing until it is resumed
#[derive(Args)]
#[command(after_help = "Example:\n  $ intakes pause payments --why 'the bank repeats itself' --as user:alice\n\n\
    The pause is an event in the log, with the actor and the reason. Messages wait at the broker.")]
struct Pause {
    /// Name of the intake
    name: String,
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// Resume an intake that is paused
#[derive(Args)]
#[command(after_help = "Example:\n  $ intakes resume payments --why 'the bank is mended' --as user:alice\n\n\
    The decision is an event in the log, with the actor and the reason.")]
struct Resume {
    /// Name of the intake
    name: String,
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// Execute a dead letter after all, once
#[derive(Args)]
#[command(
    after_help = "Example:\n  $ intakes replay payments 1204 --why 'the new program knows the type' --as user:alice\n\n\
    Its command has the actor of the message. Who replays it, and why, is an event in the same commit."
)]
struct Replay {
    /// Name of the intake
    name: String,
    /// Position of the dead letter in the log
    #[arg(value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    position: u64,
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    format: TextOrJson,
}

impl Intakes {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_operator()?;
        app.with(OpenMode::Inspect, |session| async move {
            match &self.command {
                Subcommands::Status(status) => status.run(&session).await,
                Subcommands::Pause(pause) => pause.run(&session).await,
                Subcommands::Resume(resume) => resume.run(&session).await,
                Subcommands::Replay(replay) => replay.run(&session).await,
            }
        })
        .await
    }
}

impl Status {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("status", None).await?;
        let statuses = session.annals.intakes().await?;
        match self.format.is_json() {
            true => output::json(&statuses)?,
            false if statuses.is_empty() => output::line("this application has no intakes")?,
            false => statuses.iter().try_for_each(|status| output::line(&text(status, Timestamp::now())))?,
        }
        let failing: Vec<String> = statuses.iter().filter_map(failing).collect();
        if failing.is_empty() { Ok(()) } else { Err(failing.join("; ").into()) }
    }
}

fn failing(status: &IntakeStatus) -> Option<String> {
    status.problem.as_ref().map(|_| format!("{} does not receive all: it tries again until it can", status.name))
}

fn text(status: &IntakeStatus, now: Timestamp) -> String {
    let IntakeStatus { backlog, refused, dead_letters, .. } = status;
    let backlog = backlog.map_or("unknown".to_owned(), |backlog| backlog.to_string());
    let mut text =
        format!("{:<20} backlog {backlog}  refused {refused}  dead letters {dead_letters}", name(&status.name));
    match status.leader {
        Some(leader) => text += &format!("  leader {:.8}", leader.simple().to_string()),
        // Over HTTP alone.
        None if status.origin.starts_with("POST ") => {}
        None => text += "  no process receives",
    }
    text += &format!("\n  from {}", shown(&status.origin));
    if let Some(why) = &status.paused {
        text += &format!("\n  paused: {}", shown(why));
    }
    if let Some(problem) = &status.problem {
        let seconds = now.duration_since(problem.since).as_secs().max(0);
        text += &format!("\n  fails for {seconds} s: {}", shown(&problem.reason));
    }
    text
}

impl Pause {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("pause_intake", Some(&format!("intake_{}", self.name))).await?;
        let receipt = session.annals.pause_intake(&self.name, &self.why, session.context()?).await?;
        print(&self.format, "paused", &receipt)
    }
}

impl Resume {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("resume_intake", Some(&format!("intake_{}", self.name))).await?;
        let receipt = session.annals.resume_intake(&self.name, &self.why, session.context()?).await?;
        print(&self.format, "resumed", &receipt)
    }
}

impl Replay {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("replay_dead_letter", Some(&format!("intake_{}", self.name))).await?;
        let (annals, context) = (&session.annals, session.context()?);
        let replayed = annals.replay_dead_letter(&self.name, self.position, &self.why, context).await?;
        match self.format.is_json() {
            true => output::json(&replayed),
            false if replayed.refused => {
                output::line(&format!("replayed, and refused: event {}", replayed.receipt.head.position))
            }
            false => print(&self.format, "replayed", &replayed.receipt),
        }
    }
}

fn print(format: &TextOrJson, what: &str, receipt: &Receipt) -> Result<(), BoxError> {
    match format.is_json() {
        true => output::json(receipt),
        false => output::line(&format!("{what}, recorded at position {}", receipt.head.position)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intakes::IntakeProblem;

    /// Reasons come from brokers: they must not act on a terminal.
    #[test]
    fn a_status_says_what_an_intake_does_and_why_not() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let status = IntakeStatus {
            name: "payments".to_owned(),
            origin: "amqp://broker:5672, queue payments".to_owned(),
            backlog: Some(7),
            leader: None,
            leads: false,
            paused: None,
            problem: None,
            refused: 2,
            dead_letters: 1,
            received: 0,
            repeats: 0,
            in_hand: 0,
            failures: 0,
        };
        let rest =
            "backlog 7  refused 2  dead letters 1  no process receives\n  from amqp://broker:5672, queue payments";
        assert_eq!(text(&status, at(160)), format!("payments             {rest}"));
        assert_eq!(failing(&status), None);
        let problem = IntakeProblem { reason: "\u{1b}[2Jodd".to_owned(), since: at(100) };
        let failed = IntakeStatus { problem: Some(problem), paused: Some("they move".to_owned()), ..status };
        let shown = text(&failed, at(160));
        assert!(shown.contains("\n  paused: they move\n  fails for 60 s: "), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert!(failing(&failed).is_some());
    }
}
