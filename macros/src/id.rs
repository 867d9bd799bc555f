//! `derive(Id)`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, LitStr, Member, Type};

use crate::attributes::{each, once, unknown, value, word};
use crate::errors::Errors;
use crate::{names, shape};

/// Generates the implementations of an id, or its errors with stubs.
pub fn derive(input: &DeriveInput) -> TokenStream {
    match read(input) {
        Ok(model) => implementations(input, &model),
        Err(error) => {
            let error = error.into_compile_error();
            let stubs = input.generics.params.is_empty().then(|| {
                let new = quote!(
                    pub fn new<T>(_: T) -> Self {
                        ::core::unreachable!()
                    }
                );
                let from_text = quote!({
                    let _ = text;
                    ::core::unreachable!()
                });
                around(input, "", &new, &quote!(::core::unreachable!()), &from_text)
            });
            quote!(#error #stubs)
        }
    }
}

struct Model {
    kind: String,
    member: Member,
    inner: Type,
}

fn read(input: &DeriveInput) -> syn::Result<Model> {
    let mut errors = Errors::default();
    if !input.generics.params.is_empty() {
        errors.at(input.generics.span(), "an id cannot be generic: it has one kind. Remove the generics");
    }
    let mut kind = None;
    let parsed = each(&input.attrs, "id", |input| {
        let word = word(input)?;
        match word.to_string().as_str() {
            "kind" => once(&mut kind, value::<LitStr>(input)?, &word),
            _ => Err(unknown(&word, "`kind = \"…\"`")),
        }
    });
    errors.take(parsed);
    let kind = match kind {
        Some(kind) => errors.take(names::checked(&kind)),
        None => Some(names::snake_case_without(&input.ident, "id")),
    };
    let field = match &input.data {
        Data::Struct(data) if data.fields.len() == 1 => {
            data.fields.members().next().zip(data.fields.iter().next().map(|field| field.ty.clone()))
        }
        _ => None,
    };
    if field.is_none() {
        let message = format!("an id is a struct of one field: write `struct {}(String);`", input.ident);
        errors.at(input.ident.span(), message);
    }
    let read = kind.zip(field).map(|(kind, (member, inner))| Model { kind, member, inner });
    let missing = || syn::Error::new(input.ident.span(), "not an id");
    errors.finish(read)?.ok_or_else(missing)
}

fn implementations(input: &DeriveInput, Model { kind, member, inner }: &Model) -> TokenStream {
    let new = quote! {
        /// Creates the id with this text.
        #[allow(dead_code)]
        pub fn new(id: impl ::annals::events::IntoId<#inner>) -> Self {
            Self { #member: ::annals::events::IntoId::into_id(id) }
        }
    };
    let text = match shape::is_called(inner, "String") {
        true => quote!(::std::borrow::Cow::Borrowed(&self.#member)),
        false => quote!(::std::borrow::Cow::Owned(::std::string::ToString::to_string(&self.#member))),
    };
    let from_text = quote! {
        match <#inner as ::core::str::FromStr>::from_str(text) {
            ::core::result::Result::Ok(id) => ::core::result::Result::Ok(Self { #member: id }),
            ::core::result::Result::Err(reason) => {
                ::core::result::Result::Err(::annals::events::InvalidRef::Malformed {
                    given: ::std::string::ToString::to_string(text),
                    kind: Self::KIND,
                    reason: ::std::string::ToString::to_string(&reason),
                })
            }
        }
    };
    around(input, kind, &new, &text, &from_text)
}

/// Generates the implementations that all ids share.
fn around(
    input: &DeriveInput,
    kind: &str,
    new: &TokenStream,
    text: &TokenStream,
    from_text: &TokenStream,
) -> TokenStream {
    let ident = &input.ident;
    let name = ident.to_string();
    quote! {
        #[automatically_derived]
        impl #ident {
            #new
        }

        #[automatically_derived]
        impl ::annals::events::Id for #ident {
            const KIND: &'static str = #kind;

            fn text(&self) -> ::std::borrow::Cow<'_, str> {
                #text
            }

            fn from_text(text: &str) -> ::core::result::Result<Self, ::annals::events::InvalidRef> {
                #from_text
            }
        }

        #[automatically_derived]
        impl ::annals::events::Target for #ident {
            fn add_to(&self, targets: &mut ::std::vec::Vec<::annals::events::Ref>) {
                targets.push(::annals::events::Id::reference(self));
            }
        }

        #[automatically_derived]
        impl ::annals::events::Source for #ident {
            fn add_to(&self, sources: &mut ::std::vec::Vec<::annals::events::Ref>) {
                sources.push(::annals::events::Id::reference(self));
            }
        }

        #[automatically_derived]
        impl ::core::convert::From<#ident> for ::annals::events::Ref {
            fn from(id: #ident) -> Self {
                ::annals::events::Id::reference(&id)
            }
        }

        #[automatically_derived]
        impl ::core::convert::From<&#ident> for ::annals::events::Ref {
            fn from(id: &#ident) -> Self {
                ::annals::events::Id::reference(id)
            }
        }

        #[automatically_derived]
        impl ::annals::events::IntoRef for #ident {
            fn into_ref(self) -> ::annals::events::Ref {
                ::annals::events::Id::reference(&self)
            }
        }

        #[automatically_derived]
        impl ::annals::events::IntoRef for &#ident {
            fn into_ref(self) -> ::annals::events::Ref {
                ::annals::events::Id::reference(self)
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Display for #ident {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::write!(
                    f, "{}:{}", <Self as ::annals::events::Id>::KIND, ::annals::events::Id::text(self),
                )
            }
        }

        #[automatically_derived]
        impl ::core::str::FromStr for #ident {
            type Err = ::annals::events::InvalidRef;

            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                ::annals::events::Id::from_reference(text)
            }
        }

        #[automatically_derived]
        impl ::annals::serde::Serialize for #ident {
            fn serialize<S: ::annals::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::annals::events::id_support::serialize(self, serializer)
            }
        }

        #[automatically_derived]
        impl<'de> ::annals::serde::Deserialize<'de> for #ident {
            fn deserialize<D: ::annals::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                ::annals::events::id_support::deserialize(deserializer)
            }
        }

        #[automatically_derived]
        impl ::annals::schemars::JsonSchema for #ident {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(#name)
            }

            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(::core::concat!(::core::module_path!(), "::", #name))
            }

            fn json_schema(_: &mut ::annals::schemars::SchemaGenerator) -> ::annals::schemars::Schema {
                ::annals::events::id_support::json_schema(#kind)
            }
        }
    }
}
