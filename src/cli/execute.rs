//! `execute`: executes a command.

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, FromArgMatches};
use serde_json::Value;
use uuid::Uuid;

use super::fields;
use super::output::{self, TextOrJson, counted};
use super::session::{OpenMode, actor, context};
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::commands::{CommandInfo, ParseError};
use crate::events::Ref;
use crate::store::Receipt;

/// The id of the argument with the whole body.
const JSON: &str = "json";

/// Execute a command and print its receipt
#[derive(Args)]
#[command(
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    allow_external_subcommands = true,
    after_help = "`commands` lists the commands with the types of their fields and an example each; `execute COMMAND --help` \
    describes one. Fields are options, or one JSON object as the first argument. A list is given as a,b or by repeating the \
    option, an empty one as ''.\n\nTo retry safely, repeat the same --command-id: the command has no second effect and its \
    first receipt is printed again."
)]
struct Options {
    /// Actor who gives the command, like user:alice; the same as --as
    #[arg(long, global = true, value_name = "KIND:ID", value_parser = actor)]
    actor: Option<Ref>,
    /// Principal on whose behalf the actor acts
    #[arg(long, global = true, value_name = "KIND:ID", value_parser = actor)]
    on_behalf_of: Option<Ref>,
    /// Correlation id: the request or ticket that the command belongs to
    #[arg(long, global = true, value_name = "TEXT")]
    correlation: Option<String>,
    /// Idempotency key: a command with the same id has no second effect
    #[arg(long, global = true, value_name = "UUID")]
    command_id: Option<Uuid>,
}

pub(super) struct Execute {
    options: Options,
    format: TextOrJson,
    command: String,
    arguments: ArgMatches,
}

impl Args for Execute {
    fn augment_args(cmd: clap::Command) -> clap::Command {
        // The description of the second one is that of the subcommand.
        Options::augment_args(TextOrJson::augment_args(cmd)).mut_arg("format", |format| format.global(true))
    }

    fn augment_args_for_update(cmd: clap::Command) -> clap::Command {
        Self::augment_args(cmd)
    }
}

impl FromArgMatches for Execute {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (command, arguments) =
            matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
        Ok(Self {
            options: Options::from_arg_matches(matches)?,
            format: TextOrJson::from_arg_matches(matches)?,
            command: command.to_owned(),
            arguments: arguments.clone(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Adds a subcommand for each command, with its fields as options.
pub(super) fn with_commands<'a>(
    execute: clap::Command,
    program: &'static str,
    commands: impl Iterator<Item = &'a CommandInfo>,
) -> clap::Command {
    execute.subcommands(commands.map(|info| {
        let json = Arg::new(JSON).value_name("JSON").help("All fields as one JSON object, in place of options");
        clap::Command::new(info.name)
            .about(info.summary)
            .arg(json)
            .args(fields::of_command(info).iter().map(fields::Field::option))
            .after_help(format!("Example:\n  {}", fields::example_line(program, info)))
    }))
}

impl Execute {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        // A mistake in the command must not create a store.
        let body = self.body(&app)?;
        let actor = self.options.actor.or_else(|| app.actor.clone());
        let actor = actor.ok_or("no actor: give --actor KIND:ID, like user:alice, or set ANNALS_ACTOR")?;
        let mut context = context(actor);
        if let Some(principal) = self.options.on_behalf_of {
            context = context.on_behalf_of(principal);
        }
        if let Some(correlation) = &self.options.correlation {
            context = context.correlation(correlation);
        }
        if let Some(id) = self.options.command_id {
            context = context.command_id(id);
        }
        app.with(OpenMode::Write, |session| async move {
            let receipt = session.annals.execute_json(&self.command, &body, &context)?.await?;
            match self.format.is_json() {
                true => output::json(&receipt),
                false => output::line(&text(&receipt)),
            }
        })
        .await
    }

    /// The body of the command as JSON, checked against its schema.
    fn body(&self, app: &UnopenedApp) -> Result<String, BoxError> {
        let registry = app.app.registry();
        let Some(info) = registry.list().find(|info| info.name == self.command) else {
            registry.parse(&self.command, "{}")?;
            return Err(format!("there is no command `{}`", self.command).into());
        };
        let fields = fields::body(info, &self.arguments)?;
        let body = match self.arguments.get_one::<String>(JSON) {
            Some(_) if !fields.is_empty() => {
                return Err(format!("`{}`: give the fields as JSON or as options, not both", info.name).into());
            }
            Some(json) => json.clone(),
            None => Value::Object(fields).to_string(),
        };
        match registry.parse(info.name, &body) {
            Ok(_) => Ok(body),
            Err(error @ ParseError::Body { .. }) => {
                let fields = serde_json::from_str(&body).ok();
                let mistake = fields.and_then(|fields| fields::find_mistake(info, &fields));
                let example = fields::example_line(app.app.name, info);
                Err(match mistake {
                    Some(mistake) => mistake.into(),
                    None => format!("{error}; for example {example}").into(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn text(receipt: &Receipt) -> String {
    let what = match (receipt.events, receipt.repeated) {
        (0, false) => "nothing changed".to_owned(),
        (events, repeated) => {
            let last = receipt.head.position;
            let span = if events > 1 { format!("{}..{last}", receipt.first_position) } else { last.to_string() };
            format!("{} at {span}{}", counted(events, "event"), if repeated { " (executed before)" } else { "" })
        }
    };
    format!("{what}, command {}, {:.6}", receipt.command_id, receipt.recorded_at)
}
