//! The settings: which broker, and what the command line does without a subcommand.

use annals::intakes::{Intake, NatsStream, RabbitQueue};

/// The queue on RabbitMQ, and the exchange to which producers may publish.
pub const QUEUE: &str = "auditor";
/// See [`QUEUE`].
pub const EXCHANGE: &str = "data";
/// The stream on NATS JetStream, and its subjects.
pub const STREAM: &str = "AUDITOR";
/// See [`STREAM`].
pub const SUBJECTS: &str = "data.>";

/// The URL is not that of a broker. It is not shown: it may have a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--broker is not the URL of a broker: write amqp://user:password@host:5672/%2f or nats://user:password@host:4222"
)]
pub struct NoBroker;

/// Adds the broker to an intake.
///
/// # Errors
/// When the URL is not that of a broker.
pub fn from_broker(intake: Intake, url: &str) -> Result<Intake, NoBroker> {
    match url.split_once("://") {
        Some(("amqp", _)) => Ok(intake.from(RabbitQueue::new(url).queue(QUEUE).bind(EXCHANGE, "#"))),
        Some(("nats" | "tls", _)) => Ok(intake.from(NatsStream::new(url).stream(STREAM).create(SUBJECTS))),
        _ => Err(NoBroker),
    }
}

/// The settings of a start.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// The URL of the broker.
    pub broker: Option<String>,
    /// The arguments of the framework's command line.
    pub arguments: Vec<String>,
}

/// The actor of requests that name none, if there are no keys.
const ANONYMOUS: [&str; 2] = ["--actor", "user:anonymous"];

/// Flags and variables that say otherwise who the actor is.
const IDENTIFIED: [&str; 3] = ["--actor", "--jwks", "--secret-file"];
const IDENTIFIED_BY: [&str; 2] = ["ANNALS_JWKS", "ANNALS_SECRET_FILE"];

impl Settings {
    /// Takes `--broker URL` out of the arguments; `AUDITOR_BROKER` is the default. Without a subcommand, `serve` is meant.
    pub fn new(arguments: impl IntoIterator<Item = String>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (mut broker, mut rest) = (variable("AUDITOR_BROKER"), Vec::new());
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--broker") {
                Some("") => broker = Some(arguments.next().unwrap_or_default()),
                Some(url) if url.starts_with('=') => broker = Some(url[1..].to_owned()),
                _ => rest.push(argument),
            }
        }
        let asks = |argument: &String| ["-h", "--help", "-V", "--version"].contains(&argument.as_str());
        if rest.get(1).is_none_or(|first| first.starts_with('-')) && !rest.iter().any(asks) {
            rest.insert(rest.len().min(1), "serve".to_owned());
            let names = |flag: &&str| rest.iter().any(|argument| argument.split('=').next() == Some(*flag));
            if !IDENTIFIED.iter().any(names) && IDENTIFIED_BY.iter().all(|name| variable(name).is_none()) {
                rest.extend(ANONYMOUS.map(ToOwned::to_owned));
            }
        }
        Self { broker, arguments: rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<String>, String) {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let variable = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
        let settings = Settings::new(arguments, variable);
        (settings.broker, settings.arguments.join(" "))
    }

    #[test]
    fn without_a_subcommand_it_serves_and_the_broker_is_its_own_option() {
        let serve = "auditor serve --actor user:anonymous";
        let broker = Some("nats://a".to_owned());
        let variable = |url| [("AUDITOR_BROKER", url)];
        assert_eq!(settings(&["auditor"], &[]), (None, serve.to_owned()));
        assert_eq!(settings(&["auditor"], &variable("")), (None, serve.to_owned()));
        assert_eq!(settings(&["auditor"], &variable("nats://a")), (broker.clone(), serve.to_owned()));
        let named = settings(&["auditor", "--broker", "nats://a"], &variable("nats://b"));
        assert_eq!(named, (broker.clone(), serve.to_owned()));
        let listening = "auditor serve --listen 127.0.0.1:0 --actor user:anonymous".to_owned();
        assert_eq!(
            settings(&["auditor", "--listen", "127.0.0.1:0", "--broker=nats://a"], &[]),
            (broker, listening)
        );
        for kept in [&["auditor", "audit", "--actor", "user:ann"][..], &["auditor", "--help"]] {
            assert_eq!(settings(kept, &[]), (None, kept.join(" ")));
        }
        // With keys, the token says who the actor is.
        assert_eq!(settings(&["auditor", "--jwks=keys"], &[]), (None, "auditor serve --jwks=keys".to_owned()));
        assert_eq!(settings(&["auditor"], &[("ANNALS_JWKS", "keys")]), (None, "auditor serve".to_owned()));
        assert_eq!(from_broker(crate::entries::intake(), "http://s3cret@a").unwrap_err(), NoBroker);
    }
}
