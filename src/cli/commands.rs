//! `commands`: lists the commands of the application.

use clap::Args;

use super::fields;
use super::output::{self, TextOrJson};
use crate::BoxError;
use crate::app::App;
use crate::commands::{CommandInfo, ParseError};

/// List the commands: their fields with types, and an example each
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ commands\n  $ commands add_member\n  $ commands add_member --format json\n\n\
    With --format json, each command has its JSON schema and the example line."
)]
pub(super) struct Commands {
    /// Only this command
    #[arg(value_name = "COMMAND")]
    name: Option<String>,
    #[command(flatten)]
    format: TextOrJson,
}

#[derive(serde::Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    info: &'a CommandInfo,
    example: String,
}

impl Commands {
    pub(super) fn run(self, app: &App) -> Result<(), BoxError> {
        app.check()?;
        let wanted = |info: &&CommandInfo| self.name.as_deref().is_none_or(|name| name == info.name);
        let listed: Vec<Listed<'_>> = app
            .commands()
            .filter(wanted)
            .map(|info| Listed { info, example: fields::example_line(app.name, info) })
            .collect();
        if let (Some(name), true) = (&self.name, listed.is_empty()) {
            let known = app.commands().map(|info| info.name).collect();
            return Err(ParseError::Unknown { name: name.clone(), known }.into());
        }
        match self.format.is_json() {
            true => output::json(&listed),
            false => listed.iter().try_for_each(print),
        }
    }
}

fn print(Listed { info, example }: &Listed<'_>) -> Result<(), BoxError> {
    output::line(&format!("{}  {}", info.name, info.summary))?;
    let fields = fields::of_command(info);
    let width = fields.iter().map(|field| field.flag.len()).max().unwrap_or_default();
    for field in &fields {
        output::line(&format!("    --{:<width$}  {}", field.flag, field.help()))?;
    }
    output::line(&format!("    example: {example}\n"))
}
