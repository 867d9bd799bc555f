//! `derive(Command)`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, ExprLit, Fields, Ident, Lit, LitInt, LitStr, Meta, Type};

use crate::attributes::{each, list, once, unknown, value, word};
use crate::errors::Errors;
use crate::{names, shape};

struct Model {
    name: String,
    summary: String,
    version: u32,
    error: Option<Type>,
    /// The services that `prepare` uses.
    needs: Vec<Type>,
    members: Vec<Member>,
    /// The personal fields, each with the field that names its subject.
    personal: Vec<(Ident, Ident)>,
}

/// A field marked `#[on(A)]`.
struct Member {
    field: Ident,
    ty: Type,
    aggregate: Type,
}

impl Member {
    fn is_list(&self) -> bool {
        shape::is_called(&self.ty, "Vec")
    }
}

/// Generates the implementation of a command, or its errors with a stub.
pub fn derive(input: &DeriveInput) -> TokenStream {
    match read(input) {
        Ok(model) => implementation(&input.ident, &model),
        Err(error) => stub(input, error),
    }
}

fn read(input: &DeriveInput) -> syn::Result<Model> {
    let ident = &input.ident;
    let mut errors = Errors::default();
    if !input.generics.params.is_empty() {
        errors.at(
            input.generics.span(),
            "a command cannot be generic: the command line must know every type. Remove the generics",
        );
    }
    let (mut name, mut version, mut error, mut needs) = (None, None, None, Vec::new());
    let parsed = each(&input.attrs, "command", |input| {
        let word = word(input)?;
        match word.to_string().as_str() {
            "name" => once(&mut name, value::<LitStr>(input)?, &word),
            "version" => once(&mut version, value::<LitInt>(input)?, &word),
            "error" => once(&mut error, value(input)?, &word),
            "needs" => {
                needs.extend(list::<Type>(input)?);
                Ok(())
            }
            _ => Err(unknown(&word, "`name = \"…\"`, `version = 2`, `error = Error` or `needs(Service)`")),
        }
    });
    errors.take(parsed);
    let name = match name {
        Some(name) => errors.take(names::checked(&name)).unwrap_or_default(),
        None => names::snake_case(ident),
    };
    let version = version.map_or(Some(1), |literal| errors.take(checked_version(&literal))).unwrap_or(1);
    let members = match &input.data {
        Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => members(&data.fields, &mut errors),
        _ => {
            let message = "a command is a struct with named fields: write `struct` and a field with the aggregate's id, marked `#[on(Aggregate)]`";
            errors.at(ident.span(), message);
            return errors.finish(Model {
                name,
                summary: String::new(),
                version,
                error,
                needs,
                members: Vec::new(),
                personal: Vec::new(),
            });
        }
    };
    let lists = members.iter().filter(|member| member.is_list()).count();
    if members.is_empty() {
        let message = format!(
            "`{ident}` has no aggregate: write `#[on(Aggregate)]` above the field with the \
             aggregate's id"
        );
        errors.at(ident.span(), message);
    } else if let Some(fourth) = members.get(3) {
        let message = "at most three fields can be marked `#[on(…)]`: put ids of one type into a `Vec`";
        errors.at(fourth.aggregate.span(), message);
    } else if let Some(other) = members.get(1).filter(|_| lists > 0) {
        let message = "a `Vec` of ids cannot be combined with another `#[on(…)]`: mark one field";
        errors.at(other.aggregate.span(), message);
    }
    let personal = personal(input, &members, &mut errors);
    errors.finish(Model { name, summary: summary(&input.attrs), version, error, needs, members, personal })
}

fn checked_version(literal: &LitInt) -> syn::Result<u32> {
    match literal.base10_parse::<u32>() {
        Ok(0) => Err(syn::Error::new(literal.span(), "versions start at 1")),
        Ok(version) => Ok(version),
        Err(_) => {
            let message = "a version is a whole number from 1 to 4294967295: write `version = 2`";
            Err(syn::Error::new(literal.span(), message))
        }
    }
}

fn members(fields: &Fields, errors: &mut Errors) -> Vec<Member> {
    let mut members = Vec::new();
    for field in fields {
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("on")) {
            if let (Some(aggregate), Some(name)) = (errors.take(attribute.parse_args()), &field.ident) {
                members.push(Member { field: name.clone(), ty: field.ty.clone(), aggregate });
            }
        }
    }
    members
}

/// The fields marked `#[personal]` or `#[personal(subject)]`.
fn personal(input: &DeriveInput, members: &[Member], errors: &mut Errors) -> Vec<(Ident, Ident)> {
    let Data::Struct(data) = &input.data else { return Vec::new() };
    let mut found = Vec::new();
    for field in &data.fields {
        let (Some(name), marked) =
            (&field.ident, field.attrs.iter().find(|marked| marked.path().is_ident("personal")))
        else {
            continue;
        };
        let Some(marked) = marked else { continue };
        if let Some(meta) = shape::serde(&field.attrs).iter().chain(&shape::serde(&input.attrs)).find(|meta| {
            ["rename", "rename_all", "flatten", "with", "serialize_with", "skip", "skip_serializing"]
                .iter()
                .any(|name| meta.path().is_ident(name))
        }) {
            errors
                .at(meta.span(), "serde's attribute is not supported in a command with personal fields: remove it");
        }
        let subject = match &marked.meta {
            Meta::Path(_) => members.first().filter(|first| !first.is_list()).map(|first| first.field.clone()),
            Meta::List(list) => list.parse_args().ok(),
            Meta::NameValue(_) => None,
        };
        match subject.filter(|subject| data.fields.iter().any(|field| field.ident.as_ref() == Some(subject))) {
            Some(subject) if subject != *name => found.push((name.clone(), subject)),
            _ => errors.at(
                marked.span(),
                "whose is it? Write `#[personal]` if it is about the first `#[on(…)]`, or `#[personal(field)]` with the field \
                 that names the subject",
            ),
        }
    }
    found
}

/// Returns the first line of the doc comment.
fn summary(attributes: &[Attribute]) -> String {
    let text = attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let text = text.unwrap_or_default();
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn implementation(ident: &Ident, model: &Model) -> TokenStream {
    let Model { name, summary, version, error, needs, members, personal } = model;
    let (personal, subjects): (Vec<&Ident>, Vec<&Ident>) =
        personal.iter().map(|(field, subject)| (field, subject)).unzip();
    let taken = names::taken_once("command", name, ident.span());
    let aggregates: Vec<&Type> = members.iter().map(|member| &member.aggregate).collect();
    let ids = members.iter().map(
        |Member { field, ty, .. }| quote_spanned!(ty.span()=> <#ty as ::core::clone::Clone>::clone(&self.#field)),
    );
    let (scope, ids) = match members.as_slice() {
        [one] if one.is_list() => (quote!(::std::vec::Vec<#(#aggregates)*>), quote!(#(#ids)*)),
        [_] => (quote!(#(#aggregates)*), quote!(#(#ids)*)),
        _ => (quote!((#(#aggregates),*)), quote!((#(#ids),*))),
    };
    let error = match (error, aggregates.first()) {
        (Some(error), _) => error.to_token_stream(),
        (None, first) => quote!(<#first as ::annals::aggregates::Aggregate>::Error),
    };
    quote! {
        #taken

        #[automatically_derived]
        impl ::annals::commands::Command for #ident {
            const NAME: &'static str = #name;
            const SUMMARY: &'static str = #summary;
            const VERSION: u32 = #version;
            type Scope = #scope;
            type Error = #error;

            fn ids(&self) -> <Self::Scope as ::annals::commands::Scope>::Ids {
                #ids
            }

            fn services() -> ::std::vec::Vec<::annals::commands::ServiceType> {
                ::std::vec![#(::annals::commands::ServiceType::of::<#needs>()),*]
            }

            fn personal_fields() -> &'static [&'static str] {
                &[#(::core::stringify!(#personal)),*]
            }

            fn personal_subjects(&self) -> ::std::vec::Vec<::core::option::Option<::annals::events::Ref>> {
                ::std::vec![#(::annals::events::personal::subject_in(&self.#subjects)),*]
            }
        }

        #(
            #[automatically_derived]
            impl ::annals::commands::Needs<#needs> for #ident {}
        )*
    }
}

/// Generates the errors, with the first one as the scope's type: so the compiler reports nothing else about the command.
fn stub(input: &DeriveInput, error: syn::Error) -> TokenStream {
    let ident = &input.ident;
    let mut errors = error.into_iter().map(syn::Error::into_compile_error);
    if !input.generics.params.is_empty() {
        return quote!(#(#errors)*);
    }
    let first = errors.next();
    quote! {
        #(#errors)*

        #[automatically_derived]
        impl ::annals::commands::Command for #ident {
            const NAME: &'static str = "";
            const SUMMARY: &'static str = "";
            type Scope = [(); #first];
            type Error = <Self::Scope as ::annals::aggregates::Aggregate>::Error;

            fn ids(&self) -> <Self::Scope as ::annals::commands::Scope>::Ids {
                ::core::unreachable!()
            }
        }
    }
}
