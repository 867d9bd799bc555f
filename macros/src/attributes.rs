//! The grammar of `#[event(…)]` on an enum, a variant and a field.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, Ident, LitInt, LitStr, Token, Type, parenthesized};

/// What stands on the enum.
#[derive(Default)]
pub struct OnEnum {
    /// Its name in the log.
    pub name: Option<LitStr>,
    /// The topics of variants that have none of their own.
    pub topics: Vec<LitStr>,
    /// The aggregate that it happens to.
    pub aggregate: Option<Type>,
}

impl OnEnum {
    /// Reads it.
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

/// What stands on a variant.
#[derive(Default)]
pub struct OnVariant {
    /// `create`, `update`, `delete`, `view` or `refuse`.
    pub action: Option<Ident>,
    /// The sentence about it.
    pub sentence: Option<LitStr>,
    /// The version of its shape.
    pub version: Option<LitInt>,
    /// What brings a payload of a version to the next one.
    pub from: Vec<(LitInt, Expr)>,
    /// Names that it had before.
    pub was: Vec<LitStr>,
    /// Its own topics.
    pub topics: Vec<LitStr>,
    /// Where it says that it holds another event enum.
    pub transparent: Option<Ident>,
}

impl OnVariant {
    /// Reads it.
    pub fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self::default();
        each(attributes, "event", |input| {
            if input.peek(LitStr) {
                let sentence: LitStr = input.parse()?;
                return match found.sentence.replace(sentence.clone()) {
                    Some(_) => Err(Error::new(sentence.span(), "a second sentence: write one")),
                    None => Ok(()),
                };
            }
            let word = &word(input)?;
            match word.to_string().as_str() {
                "create" | "update" | "delete" | "view" | "refuse" => match &found.action {
                    Some(first) => {
                        let message = format!("it cannot both {first} and {word}: write one of them");
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
                "target" => return Err(Error::new(word.span(), "write `#[event(target)]` on a field")),
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

/// Whether a field says that it is a target, and where.
pub fn target(attributes: &[Attribute]) -> syn::Result<Option<Span>> {
    let mut target = None;
    each(attributes, "event", |input| {
        let word = word(input)?;
        if word != "target" {
            return Err(unknown(&word, "`target`"));
        }
        target = Some(word.span());
        Ok(())
    })?;
    Ok(target)
}

/// Calls `read` for each item, between commas, of the attributes called `name`.
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

/// A word that says what an item is.
pub fn word(input: ParseStream) -> syn::Result<Ident> {
    input.call(Ident::parse_any)
}

/// The value after a word: `= value`.
pub fn value<T: syn::parse::Parse>(input: ParseStream) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Takes a value that may be given once.
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

fn list<T: syn::parse::Parse>(input: ParseStream) -> syn::Result<Punctuated<T, Token![,]>> {
    let inner;
    parenthesized!(inner in input);
    Punctuated::parse_terminated(&inner)
}

/// The error of a word that means nothing here.
pub fn unknown(word: &Ident, known: &str) -> Error {
    let message = match word.to_string().as_str() {
        "personal" => "`personal` is reserved, not yet: leave it out".to_owned(),
        other => format!("`{other}` means nothing here: write {known}"),
    };
    Error::new(word.span(), message)
}
