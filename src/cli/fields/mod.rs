//! The fields of a command as options of the command line, from the command's JSON schema.
//!
//! ## Layout
//! - `kind`: the type of a field: its name, an example, and how a value is parsed

mod kind;

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value};

use self::kind::Kind;
use crate::commands::CommandInfo;

/// Options of `execute` itself. A field with such a name is given as `--field-NAME`.
const TAKEN: [&str; 9] =
    ["store", "as", "actor", "on-behalf-of", "correlation", "command-id", "format", "help", "version"];

/// A field of a command.
pub(super) struct Field {
    /// Name in JSON: `project_id`.
    pub(super) name: String,
    /// Name of the option, without the dashes: `project-id`.
    pub(super) flag: String,
    pub(super) required: bool,
    /// The description in the schema.
    pub(super) description: String,
    kind: Kind,
    example: Value,
}

/// A value that is missing or does not have the type of its field.
#[derive(Debug, thiserror::Error)]
pub(super) enum FieldError {
    #[error("`{command}`: missing field `{field}`, {type_name}; for example {example}")]
    Missing { command: &'static str, field: String, type_name: String, example: String },
    #[error("`{command}`: field `{field}`: {found} is not {type_name}; for example {example}")]
    WrongType { command: &'static str, field: String, found: String, type_name: String, example: String },
}

/// The fields of a command: required ones first.
pub(super) fn of_command(command: &CommandInfo) -> Vec<Field> {
    let schema = &command.schema;
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let position = |name: &str| required.iter().position(|required| *required == name);
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Vec<Field> = properties
        .map(|(name, property)| {
            let flag = name.replace('_', "-");
            Field {
                name: name.clone(),
                flag: if TAKEN.contains(&&*flag) { format!("field-{flag}") } else { flag },
                required: position(name).is_some(),
                description: property["description"].as_str().unwrap_or_default().to_owned(),
                kind: Kind::from_schema(property, schema),
                example: kind::example(property, schema, 0),
            }
        })
        .collect();
    fields.sort_by_key(|field| position(&field.name).unwrap_or(usize::MAX));
    fields
}

/// A command line that executes the command, with an example for each required field.
pub(super) fn example_line(program: &str, command: &CommandInfo) -> String {
    let fields = of_command(command);
    let options: String =
        fields.iter().filter(|field| field.required).map(|field| format!(" {}", field.example())).collect();
    format!("{program} execute {}{options} --actor user:alice", command.name)
}

/// The values of the options, as the JSON body of the command.
pub(super) fn body(command: &CommandInfo, matches: &ArgMatches) -> Result<Map<String, Value>, FieldError> {
    let mut body = Map::new();
    for field in of_command(command) {
        let Ok(Some(values)) = matches.try_get_many::<String>(&field.id()) else { continue };
        let values: Vec<&str> = values.map(String::as_str).collect();
        let value = field.kind.parse(&values).map_err(|found| field.wrong_type(command, found))?;
        body.insert(field.name, value);
    }
    Ok(body)
}

/// Returns the first field of a body that is missing or has the wrong type.
pub(super) fn find_mistake(command: &CommandInfo, body: &Map<String, Value>) -> Option<FieldError> {
    of_command(command).into_iter().find_map(|field| match body.get(&field.name) {
        None if field.required => Some(FieldError::Missing {
            command: command.name,
            example: field.example(),
            type_name: field.type_name(),
            field: field.name,
        }),
        Some(value) if !field.kind.accepts(value) && (!value.is_null() || field.required) => {
            Some(field.wrong_type(command, value.to_string()))
        }
        _ => None,
    })
}

impl Field {
    /// The field as an option.
    pub(super) fn option(&self) -> Arg {
        let option = Arg::new(self.id())
            .long(self.flag.clone())
            .help_heading("Fields")
            // The type names the choices.
            .hide_possible_values(true)
            .value_name(self.kind.value_name())
            .value_parser(Suggestions(self.kind.choices().to_vec()))
            .help(self.help());
        let option = if self.flag == self.name { option } else { option.alias(self.name.clone()) };
        match &self.kind {
            Kind::List(_) => option.action(ArgAction::Append),
            Kind::Boolean => option.num_args(0..=1).default_missing_value("true"),
            Kind::Integer | Kind::Number => option.allow_negative_numbers(true),
            _ => option,
        }
    }

    /// The description with the type: `Who joins (text, required)`.
    pub(super) fn help(&self) -> String {
        let required = if self.required { "required" } else { "optional" };
        format!("{} ({}; {required})", self.description, self.kind).trim_start().to_owned()
    }

    /// The type in words: `a list of developer or coordinator`.
    pub(super) fn type_name(&self) -> String {
        self.kind.to_string()
    }

    /// The option with a value: `--user bob`.
    pub(super) fn example(&self) -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = match &self.example {
            Value::Array(items)
                if !items.is_empty() && items.iter().all(|item| !text(item).contains([',', '['])) =>
            {
                items.iter().map(text).collect::<Vec<_>>().join(",")
            }
            value => text(value),
        };
        format!("--{} {}", self.flag, quoted(&value))
    }

    /// The id of the option. The prefix keeps it apart from the other options of `execute`.
    fn id(&self) -> String {
        format!("field:{}", self.name)
    }

    fn wrong_type(&self, command: &CommandInfo, found: String) -> FieldError {
        FieldError::WrongType {
            command: command.name,
            field: self.name.clone(),
            found,
            type_name: self.type_name(),
            example: self.example(),
        }
    }
}

/// Quotes a value for a POSIX shell if it needs it.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:@,+".contains(c);
    match !value.is_empty() && value.chars().all(plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

/// Accepts any text. Help and completions offer the choices.
#[derive(Clone)]
struct Suggestions(Vec<String>);

impl TypedValueParser for Suggestions {
    type Value = String;

    fn parse_ref(&self, cmd: &clap::Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(cmd, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        match self.0.is_empty() {
            true => None,
            false => Some(Box::new(self.0.iter().map(PossibleValue::new))),
        }
    }
}
