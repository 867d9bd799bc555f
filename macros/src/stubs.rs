//! Stubs of `derive(Event)`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// Generates stubs in place of the implementations, beside an error.
pub fn stubs(ident: &Ident) -> TokenStream {
    quote! {
        #[automatically_derived]
        impl ::annals::cqrs_es::DomainEvent for #ident {
            fn event_type(&self) -> ::std::string::String { ::core::unreachable!() }
            fn event_version(&self) -> ::std::string::String { ::core::unreachable!() }
        }

        #[automatically_derived]
        impl ::annals::events::Event for #ident {
            fn declarations() -> ::std::vec::Vec<&'static ::annals::events::Declaration> {
                ::core::unreachable!()
            }
            fn lookup(_: &str) -> ::core::option::Option<&'static ::annals::events::Declaration> {
                ::core::unreachable!()
            }
            fn declaration(&self) -> &'static ::annals::events::Declaration { ::core::unreachable!() }
            fn encode(&self) -> ::core::result::Result<::std::string::String, ::annals::serde_json::Error> {
                ::core::unreachable!()
            }
            fn decode(_: &str, _: &str) -> ::core::result::Result<Self, ::annals::serde_json::Error> {
                ::core::unreachable!()
            }
            fn facts(&self) -> ::core::result::Result<
                ::std::vec::Vec<(&'static str, ::annals::serde_json::Value)>,
                ::annals::serde_json::Error,
            > {
                ::core::unreachable!()
            }
            fn targets(&self) -> ::std::vec::Vec<::annals::events::Ref> { ::core::unreachable!() }
        }
    }
}
