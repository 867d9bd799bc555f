//! `#[event(personal)]` and `#[event(personal = field)]`: whose the value of a field is.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{LitStr, Type};

use crate::attributes::OnField;
use crate::errors::Errors;
use crate::model::Field;
use crate::template;

/// Whose the value of a field is.
pub enum Whose {
    /// Of the aggregate.
    Aggregate,
    /// Of the thing that another field names.
    Field(Ident),
}

impl Whose {
    /// As the lock file has it, before the type of the field.
    pub fn text(&self) -> String {
        match self {
            Self::Aggregate => "#[personal] ".to_owned(),
            Self::Field(field) => format!("#[personal={field}] "),
        }
    }
}

/// Reads whose a field is. A field with a `Personal` has to say so.
pub fn whose(declared: &OnField, ty: &Type, errors: &mut Errors) -> Option<Whose> {
    let Some(word) = &declared.personal else {
        if mentions(ty) {
            let message = "a `Personal` field says whose it is: write `#[event(personal)]` if it is about the aggregate, or \
                           `#[event(personal = field)]` with the field that names the subject";
            errors.at(ty.span(), message);
        }
        return None;
    };
    if declared.target.is_some() || declared.source.is_some() {
        errors.at(word.span(), "a personal field is neither a target nor a source: references stay readable");
    }
    Some(match &declared.personal_of {
        Some(field) => Whose::Field(field.clone()),
        None => Whose::Aggregate,
    })
}

/// Whether a type has `Personal` in it.
fn mentions(ty: &Type) -> bool {
    fn inside(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Group(group) => inside(group.stream()),
            proc_macro2::TokenTree::Ident(ident) => ident == "Personal",
            _ => false,
        })
    }
    inside(ty.to_token_stream())
}

/// Checks that the subjects are fields, and not personal themselves.
pub fn check(fields: &[Field], errors: &mut Errors) {
    for subject in fields.iter().filter_map(|field| match &field.personal {
        Some(Whose::Field(subject)) => Some(subject),
        _ => None,
    }) {
        match fields.iter().find(|field| *subject == field.name) {
            None => errors.at(subject.span(), format!("`{subject}` is not a field of this variant")),
            Some(field) if field.personal.is_some() => {
                errors.at(subject.span(), format!("`{subject}` is personal itself: a subject stays readable"));
            }
            Some(_) => {}
        }
    }
}

/// Topics are stored readable.
pub fn check_topic(topic: &LitStr, fields: &[Field], errors: &mut Errors) {
    for placeholder in template::topic(&topic.value()).unwrap_or_default() {
        if fields.iter().any(|field| field.name == placeholder.name && field.personal.is_some()) {
            let name = placeholder.name;
            errors.at(topic.span(), format!("`{name}` is personal, and topics are stored readable: leave it out"));
        }
    }
}

/// Generates the sealing of a variant's personal fields: the pattern and the body of a match arm.
pub fn sealing(fields: &[Field], event_type: &str, binding: impl Fn(usize) -> Ident) -> (TokenStream, TokenStream) {
    let at = |name: &Ident| fields.iter().position(|field| *name == field.name);
    let mut used: Vec<usize> = Vec::new();
    let mut statements = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let (Some(whose), ty, name, value) = (&field.personal, &field.ty, &field.name, binding(index)) else {
            continue;
        };
        used.push(index);
        let seal = quote_spanned! {ty.span()=>
            <#ty as ::annals::events::personal::Seal>::seal(#value, subject, #event_type, #name)
        };
        statements.push(match whose {
            Whose::Aggregate => quote!({ let subject = aggregate; sealed = sealed.and(#seal); }),
            Whose::Field(subject) => {
                let Some(index) = at(subject) else { continue };
                used.push(index);
                let (named, message) = (binding(index), format!("`{subject}` does not name one subject of `{name}`"));
                quote! {
                    match ::annals::events::personal::subject_in(&*#named) {
                        ::core::option::Option::Some(subject) => { let subject = &subject; sealed = sealed.and(#seal); }
                        ::core::option::Option::None => {
                            return ::core::result::Result::Err(::annals::serde::ser::Error::custom(#message));
                        }
                    }
                }
            }
        });
    }
    if statements.is_empty() {
        return (quote!(..), quote!(::core::result::Result::Ok(())));
    }
    used.sort_unstable();
    used.dedup();
    let pattern = used.iter().filter_map(|index| {
        let (member, binding) = (&fields.get(*index)?.member, binding(*index));
        Some(quote!(#member: #binding,))
    });
    let sealed = format_ident!("sealed");
    let body = quote!({
        let mut #sealed = ::core::result::Result::Ok(());
        #(#statements)*
        #sealed
    });
    (quote!(#(#pattern)* ..), body)
}
