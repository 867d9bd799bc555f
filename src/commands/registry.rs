//! The registry of commands by name, for callers that have only JSON: the command line and HTTP.

use std::any::TypeId;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{AnyCommand, Command, ExecuteError, Handle, ParseError, Refusal, ServiceType};

/// A registered command.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CommandInfo {
    /// The command's name: `add_member`.
    pub name: &'static str,
    /// What the command does, in one line.
    pub summary: &'static str,
    /// The JSON schema of the command's body.
    pub schema: Value,
    #[serde(skip)]
    parse: fn(&str) -> Result<Box<dyn AnyCommand>, serde_json::Error>,
    #[serde(skip)]
    rust_type: (TypeId, &'static str),
    /// The services that its `prepare` uses.
    #[serde(skip)]
    pub(crate) services: Vec<ServiceType>,
    /// The names of its personal fields.
    #[serde(skip)]
    pub(crate) personal: &'static [&'static str],
}

/// The commands of an application, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry(BTreeMap<&'static str, CommandInfo>);

impl Registry {
    /// Adds a command.
    ///
    /// # Errors
    /// The name of the Rust type that already has the command's name.
    pub(crate) fn add<C: Command + Handle>(&mut self) -> Result<(), &'static str> {
        let info = CommandInfo {
            name: C::NAME,
            summary: C::SUMMARY,
            schema: schemars::schema_for!(C).to_value(),
            parse: |body| Ok(Box::new(serde_json::from_str::<C>(body)?)),
            rust_type: (TypeId::of::<C>(), std::any::type_name::<C>()),
            services: C::services(),
            personal: C::personal_fields(),
        };
        match self.0.insert(C::NAME, info) {
            Some(CommandInfo { rust_type: (id, name), .. }) if id != TypeId::of::<C>() => Err(name),
            _ => Ok(()),
        }
    }

    /// Checks that the command was added: projections do not know the events of other commands.
    pub(crate) fn check_registered(&self, command: &dyn AnyCommand) -> Result<(), ExecuteError<Refusal>> {
        let (id, rust_type) = command.rust_type();
        match self.0.get(command.name()) {
            Some(info) if info.rust_type.0 == id => Ok(()),
            _ => Err(ExecuteError::Unregistered { command: command.name(), rust_type }),
        }
    }

    pub(crate) fn list(&self) -> impl Iterator<Item = &CommandInfo> {
        self.0.values()
    }

    /// Parses the command with this name from a JSON body. Unknown fields are refused: they are most likely misspelt.
    pub(crate) fn parse(&self, name: &str, body: &str) -> Result<Box<dyn AnyCommand>, ParseError> {
        self.info(name)?.parse(body)
    }

    fn info(&self, name: &str) -> Result<&CommandInfo, ParseError> {
        self.0
            .get(name)
            .ok_or_else(|| ParseError::Unknown { name: name.to_owned(), known: self.0.keys().copied().collect() })
    }
}

impl CommandInfo {
    fn parse(&self, body: &str) -> Result<Box<dyn AnyCommand>, ParseError> {
        let wrong = |source| ParseError::Body { command: self.name, source };
        if let Some(known) = self.schema.get("properties").and_then(Value::as_object) {
            // Only the names: the values are parsed below, once.
            let fields = match serde_json::from_str::<BTreeMap<String, IgnoredAny>>(body) {
                Ok(fields) => fields,
                // Not an object: the command's own parser says what it needs.
                Err(error) if error.is_data() => BTreeMap::new(),
                Err(error) => return Err(wrong(error)),
            };
            if let Some(field) = fields.into_keys().find(|field| !known.contains_key(field)) {
                let known = known.keys().cloned().collect();
                return Err(ParseError::UnknownField { command: self.name, field, known });
            }
        }
        (self.parse)(body).map_err(wrong)
    }
}
