//! `execute`: the door for commands.

use clap::Args;
use uuid::Uuid;

use super::output::{self, Format};
use super::{Open, StoreArgs, actor};
use crate::BoxError;
use crate::app::App;
use crate::commands::Context;
use crate::events::{Origin, Ref};

/// Execute a command and print its receipt
#[derive(Args)]
#[command(
    after_help = "Example:\n  execute add_member '{\"project\":\"7\",\"user\":\"bob\",\"roles\":[\"developer\"]}' --actor user:alice\n\n\
    `commands` lists the commands with their fields. The same --command-id again has no second effect and prints the \
    first receipt again."
)]
pub(super) struct Execute {
    /// The command's name
    #[arg(value_name = "COMMAND")]
    name: String,
    /// The command's fields, as JSON
    #[arg(value_name = "JSON")]
    body: String,
    /// Who gives the command: a reference like user:alice
    #[arg(long, env = "ANNALS_ACTOR", value_name = "KIND:ID", value_parser = actor)]
    actor: Ref,
    /// For whom the actor acts
    #[arg(long, value_name = "KIND:ID", value_parser = actor)]
    on_behalf_of: Option<Ref>,
    /// What the command belongs to: a request, a ticket
    #[arg(long, value_name = "TEXT")]
    correlation: Option<String>,
    /// The command's id: give one to be able to try again without a second effect
    #[arg(long, value_name = "UUID")]
    command_id: Option<Uuid>,
    /// How the receipt is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Execute {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        // A command that cannot be read must not make a store.
        app.registry().parse(&self.name, &self.body)?;
        let mut context =
            Context::by(self.actor.clone()).origin(Origin { method: Some("cli".to_owned()), ..Origin::default() });
        if let Some(principal) = self.on_behalf_of.clone() {
            context = context.on_behalf_of(principal);
        }
        if let Some(correlation) = &self.correlation {
            context = context.correlation(correlation);
        }
        if let Some(id) = self.command_id {
            context = context.command_id(id);
        }
        let store = self.store.clone();
        app.with(&store, Open::ToWrite.flags(), |annals| async move {
            let receipt = annals.execute_json(&self.name, &self.body, &context).await??;
            if self.format == Format::Json {
                return output::json(&receipt);
            }
            let what = match (receipt.events, receipt.repeated) {
                (0, false) => "nothing changed".to_owned(),
                (events, repeated) => {
                    let last = receipt.head.position;
                    let again = if repeated { " (executed before)" } else { "" };
                    let span =
                        if events > 1 { format!("{}..{last}", receipt.first_position) } else { last.to_string() };
                    format!(
                        "{} at {span}{again}",
                        if events == 1 { "1 event".to_owned() } else { format!("{events} events") }
                    )
                }
            };
            output::line(&format!("{what}, command {}, {}", receipt.command_id, receipt.recorded_at))
        })
        .await
    }
}
