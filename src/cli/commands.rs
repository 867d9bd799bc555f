//! `commands`: what can be executed.

use clap::Args;
use serde_json::Value;

use super::output::{self, Format};
use crate::BoxError;
use crate::app::App;
use crate::commands::{CommandInfo, ParseError};

/// List the commands with their JSON schema
#[derive(Args)]
#[command(after_help = "Examples:\n  commands\n  commands add_member --format json")]
pub(super) struct Commands {
    /// Only this one
    #[arg(value_name = "COMMAND")]
    name: Option<String>,
    /// How they are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Commands {
    pub(super) fn run(self, app: &App) -> Result<(), BoxError> {
        app.check()?;
        let wanted = |info: &&CommandInfo| self.name.as_deref().is_none_or(|name| name == info.name);
        let infos: Vec<&CommandInfo> = app.commands().filter(wanted).collect();
        if let (Some(name), true) = (&self.name, infos.is_empty()) {
            let known = app.commands().map(|info| info.name).collect();
            return Err(ParseError::Unknown { name: name.clone(), known }.into());
        }
        if self.format == Format::Json {
            return output::json(&infos);
        }
        for info in infos {
            output::line(&format!("{}  {}", info.name, info.summary))?;
            let fields = info.schema.get("properties").and_then(Value::as_object);
            for (name, field) in fields.into_iter().flatten() {
                let text = |key| field.get(key).and_then(Value::as_str).unwrap_or_default();
                output::line(format!("    {name}  {} {}", text("type"), text("description")).trim_end())?;
            }
            if self.name.is_some() {
                output::line(&serde_json::to_string_pretty(&info.schema)?)?;
            }
        }
        Ok(())
    }
}
