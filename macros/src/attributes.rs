//! The grammar of `#[event(…)]` on an enum, a variant and a field.

use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, Ident, LitInt, LitStr, Token, Type, parenthesized};

/// The attribute of an enum.
#[derive(Default)]
pub struct OnEnum {
    /// The first part of the event types: the name in the log.
    pub name: Option<LitStr>,
    /// The topics of variants without topics.
    pub topics: Vec<LitStr>,
    /// The aggregate.
    pub aggregate: Option<Type>,
}

impl OnEnum {
    /// Parses the attributes.
    pub fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self::default();
        each(attributes, "event", |input| {
            let word = &word(input)?;
            match word.to_string().as_str() {
                "name" => once(&mut found.name, value(input)?, word)?,
                "topic" => topics(&mut found.topics, input)?,
                "on" => once(&mut found.aggregate, value(input)?, word)?,
                _ => return Err(unknown(word, "`name = \"…\"`, `topic = \"…\"` or `on = Aggregate`")),
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The attribute of a variant.
#[derive(Default)]
pub struct OnVariant {
    /// `create`, `update`, `delete`, `view` or `refuse`.
    pub action: Option<Ident>,
    /// The sentence template.
    pub sentence: Option<LitStr>,
    /// The version of the payload's shape.
    pub version: Option<LitInt>,
    /// The upcasters, by the version that they convert from.
    pub from: Vec<(LitInt, Expr)>,
    /// Former names.
    pub was: Vec<LitStr>,
    /// The topics.
    pub topics: Vec<LitStr>,
    /// The word `transparent`, if the variant contains another event enum.
    pub transparent: Option<Ident>,
}

impl OnVariant {
    /// Parses the attributes.
    pub fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self::default();
        each(attributes, "event", |input| {
            if input.peek(LitStr) {
                let sentence: LitStr = input.parse()?;
                return match found.sentence.replace(sentence.clone()) {
                    Some(_) => Err(Error::new(sentence.span(), "two sentences: write one")),
                    None => Ok(()),
                };
            }
            let word = &word(input)?;
            match word.to_string().as_str() {
                "create" | "update" | "delete" | "view" | "refuse" => match &found.action {
                    Some(first) => {
                        let message = format!("two actions, `{first}` and `{word}`: write one");
                        return Err(Error::new(word.span(), message));
                    }
                    None => found.action = Some(word.clone()),
                },
                "transparent" => once(&mut found.transparent, word.clone(), word)?,
                "version" => once(&mut found.version, value(input)?, word)?,
                "topic" => topics(&mut found.topics, input)?,
                "was" => found.was.extend(list::<LitStr>(input)?),
                "from" => {
                    let inner;
                    parenthesized!(inner in input);
                    let steps = Punctuated::<(LitInt, Expr), Token![,]>::parse_terminated_with(&inner, |step| {
                        let version = step.parse()?;
                        step.parse::<Token![=]>()?;
                        Ok((version, step.parse()?))
                    })?;
                    found.from.extend(steps);
                }
                "target" | "source" | "personal" => {
                    return Err(Error::new(word.span(), format!("write `#[event({word})]` on a field")));
                }
                _ => {
                    let known = "create, update, delete, view or refuse, then the sentence; `version`, `from`, `was` and \
                                 `topic` may follow";
                    return Err(unknown(word, known));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The attribute of a field.
#[derive(Default)]
pub struct OnField {
    /// The word `target`, if the event is also about the thing that the field names.
    pub target: Option<Ident>,
    /// The word `source`, if what came to be was derived from that thing.
    pub source: Option<Ident>,
    /// What more it is to that source: a variant of `SourceRole`.
    pub source_role: Option<Ident>,
    /// The word `personal`, if the field is personal.
    pub personal: Option<Ident>,
    /// The field that names whose it is; the aggregate if there is none.
    pub personal_of: Option<Ident>,
}

/// The roles of sources, as they are written, with the variants of `SourceRole`.
const ROLES: [(&str, &str); 3] =
    [("specialization", "Specialization"), ("alternate", "Alternate"), ("member", "Member")];

impl OnField {
    /// Parses the attributes.
    pub fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self::default();
        each(attributes, "event", |input| {
            let word = &word(input)?;
            match word.to_string().as_str() {
                "target" => once(&mut found.target, word.clone(), word),
                "source" => {
                    if input.peek(Token![=]) {
                        let role: LitStr = value(input)?;
                        let known = ROLES.iter().find(|(written, _)| *written == role.value());
                        let message = "write `source = \"specialization\"`, `\"alternate\"` or `\"member\"`, or `source` alone";
                        let (_, variant) = known.ok_or_else(|| Error::new(role.span(), message))?;
                        found.source_role = Some(Ident::new(variant, role.span()));
                    }
                    once(&mut found.source, word.clone(), word)
                }
                "personal" => {
                    if input.peek(Token![=]) {
                        input.parse::<Token![=]>()?;
                        found.personal_of = Some(self::word(input)?);
                    }
                    once(&mut found.personal, word.clone(), word)
                }
                _ => Err(unknown(word, "`target`, `source` or `personal`")),
            }
        })?;
        Ok(found)
    }
}

/// Calls `read` for each comma-separated item of the attributes called `name`.
pub fn each(
    attributes: &[Attribute],
    name: &str,
    mut read: impl FnMut(ParseStream) -> syn::Result<()>,
) -> syn::Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
        attribute.parse_args_with(|input: ParseStream| {
            while !input.is_empty() {
                read(input)?;
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Parses the keyword of an item.
pub fn word(input: ParseStream) -> syn::Result<Ident> {
    input.call(Ident::parse_any)
}

/// Parses the value of an item: `= value`.
pub fn value<T: syn::parse::Parse>(input: ParseStream) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Stores a value that may be given once.
pub fn once<T>(slot: &mut Option<T>, value: T, word: &Ident) -> syn::Result<()> {
    match slot.replace(value) {
        Some(_) => Err(Error::new(word.span(), format!("`{word}` is given twice: write it once"))),
        None => Ok(()),
    }
}

/// `= "a"` or `("a", "b")`.
fn topics(topics: &mut Vec<LitStr>, input: ParseStream) -> syn::Result<()> {
    if input.peek(Token![=]) {
        topics.push(value(input)?);
    } else {
        topics.extend(list::<LitStr>(input)?);
    }
    Ok(())
}

/// Parses the values of an item in parentheses: `(a, b)`.
pub fn list<T: syn::parse::Parse>(input: ParseStream) -> syn::Result<Punctuated<T, Token![,]>> {
    let inner;
    parenthesized!(inner in input);
    Punctuated::parse_terminated(&inner)
}

/// The error for an unknown keyword.
pub fn unknown(word: &Ident, known: &str) -> Error {
    Error::new(word.span(), format!("`{word}` is not known here: write {known}"))
}
