//! `feeds`: the status of feeds, pausing and resuming them.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::output::{self, TextOrJson, name, shown};
use super::session::{OpenMode, Session};
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::feeds::FeedStatus;
use crate::store::Receipt;

/// Show what feeds are doing, pause and resume them
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ feeds status\n  $ feeds pause to_auditors --why 'they move' --as user:alice\n  \
    $ feeds resume to_auditors --why 'they have moved' --as user:alice\n\n\
    A feed sends what a question to the audit log matches to a broker or a webhook, in the order of the log. One process of several \
    sends. While it cannot, it tries again, and the log does not wait for it."
)]
pub(super) struct Feeds {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    Status(Status),
    Pause(Pause),
    Resume(Resume),
}

/// Show what each feed is doing; the exit code is 0 only if none has stopped
#[derive(Args)]
#[command(after_help = "Examples:\n  $ feeds status\n  $ feeds status --format json\n\n\
    leader: the running process that sends (first digits of its id).\n\
    A feed stops when the receiver has what this log did not send, or when the log is an older backup: see the guide, chapter Feeds.")]
struct Status {
    #[command(flatten)]
    format: TextOrJson,
}

/// Pause a feed: it sends nothing until it is resumed
#[derive(Args)]
#[command(after_help = "Example:\n  $ feeds pause to_auditors --why 'they move' --as user:alice\n\n\
    The pause is an event in the log, with the actor and the reason. What is being sent at the moment may still arrive.")]
struct Pause {
    /// Name of the feed
    name: String,
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    format: TextOrJson,
}

/// Resume a feed that is paused or has stopped
#[derive(Args)]
#[command(after_help = "Examples:\n  $ feeds resume to_auditors --why 'they have moved' --as user:alice\n  \
    $ feeds resume to_auditors --from 1000 --why 'they lost a day' --as user:alice\n\n\
    The decision is an event in the log, with the actor and the reason.")]
struct Resume {
    /// Name of the feed
    name: String,
    /// Go on with the event at this position: what is before it is not sent, or sent again if it is an earlier one
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    format: TextOrJson,
}

impl Feeds {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_operator()?;
        app.with(OpenMode::Inspect, |session| async move {
            match &self.command {
                Subcommands::Status(status) => status.run(&session).await,
                Subcommands::Pause(pause) => pause.run(&session).await,
                Subcommands::Resume(resume) => resume.run(&session).await,
            }
        })
        .await
    }
}

impl Status {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("status", None).await?;
        let statuses = session.annals.feeds().await?;
        match self.format.is_json() {
            true => output::json(&statuses)?,
            false if statuses.is_empty() => output::line("this application has no feeds")?,
            false => statuses.iter().try_for_each(|status| output::line(&text(status, Timestamp::now())))?,
        }
        let stopped: Vec<String> = statuses.iter().filter_map(stopped).collect();
        if stopped.is_empty() { Ok(()) } else { Err(stopped.join("; ").into()) }
    }
}

/// What an operator has to do.
fn stopped(status: &FeedStatus) -> Option<String> {
    let stopped = status.problem.as_ref().is_some_and(|problem| problem.stopped);
    stopped.then(|| format!("{0} has stopped; fix the cause and `feeds resume {0}`", status.name))
}

fn text(status: &FeedStatus, now: Timestamp) -> String {
    let FeedStatus { position, head, lag, last_sent, .. } = status;
    let mut text = format!("{:<20} at {position} of {head} (lag {lag})  last sent {last_sent}", name(&status.name));
    match (status.leader, status.started) {
        (_, false) => text += "  not started",
        (Some(leader), _) => text += &format!("  leader {:.8}", leader.simple().to_string()),
        (None, _) => text += "  no process sends",
    }
    text += &format!("\n  to {}", shown(&status.destination));
    if let Some(why) = &status.paused {
        text += &format!("\n  paused: {}", shown(why));
    }
    if let Some(problem) = &status.problem {
        let what = if problem.stopped { "stopped" } else { "cannot send" };
        let seconds = now.duration_since(problem.since).as_secs().max(0);
        text += &format!("\n  {what} for {seconds} s: {}", shown(&problem.reason));
    }
    text
}

impl Pause {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("pause_feed", Some(&format!("feed_{}", self.name))).await?;
        let receipt = session.annals.pause_feed(&self.name, &self.why, session.context()?).await?;
        print(&self.format, "paused", &receipt)
    }
}

impl Resume {
    async fn run(&self, session: &Session) -> Result<(), BoxError> {
        session.operate("resume_feed", Some(&format!("feed_{}", self.name))).await?;
        let receipt = session.annals.resume_feed(&self.name, self.from, &self.why, session.context()?).await?;
        print(&self.format, "resumed", &receipt)
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
    use crate::feeds::FeedProblem;

    /// Reasons come from brokers: they must not act on a terminal.
    #[test]
    fn a_status_says_where_a_feed_is_and_what_an_operator_has_to_do() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let status = FeedStatus {
            name: "to_auditors".to_owned(),
            destination: "nats://broker:4222, stream ALL, subject all".to_owned(),
            question: std::collections::BTreeMap::new(),
            position: 7,
            head: 9,
            lag: 2,
            last_sent: 6,
            leader: None,
            leads: false,
            started: true,
            paused: None,
            problem: None,
            failures: 0,
        };
        let shown = text(&status, at(160));
        let rest =
            "at 7 of 9 (lag 2)  last sent 6  no process sends\n  to nats://broker:4222, stream ALL, subject all";
        assert_eq!(shown, format!("to_auditors          {rest}"));
        assert_eq!(stopped(&status), None);
        let problem = FeedProblem { reason: "\u{1b}[2Jodd".to_owned(), since: at(100), stopped: true };
        let failing = FeedStatus { problem: Some(problem), paused: Some("they move".to_owned()), ..status };
        let shown = text(&failing, at(160));
        assert!(shown.contains("\n  paused: they move\n  stopped for 60 s: "), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert!(stopped(&failing).unwrap().ends_with("`feeds resume to_auditors`"));
    }
}
