//! `derive(Event)`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Type};

use crate::errors::Errors;
use crate::model::{Field, Model, MustBeType, Own, Part, Variant};
use crate::names;
use crate::personal;
use crate::stubs::stubs;

/// Generates the implementations of an event enum, or its errors with stubs.
pub fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let model = Model::read(input, &mut errors);
    let conversions = conversions(&input.ident, &model.variants);
    let implementations = match errors.finish(()) {
        Ok(()) => implementations(&input.ident, &model),
        Err(error) => {
            let error = error.into_compile_error();
            let stubs = input.generics.params.is_empty().then(|| stubs(&input.ident));
            quote!(#error #stubs)
        }
    };
    quote!(#implementations #conversions)
}

fn implementations(ident: &Ident, model: &Model) -> TokenStream {
    let own: Vec<_> = model.variants.iter().filter_map(|variant| Some((variant, variant.own.as_ref()?))).collect();
    let nested: Vec<&Type> = model.variants.iter().filter_map(transparent).collect();
    let declarations = own.iter().map(|(variant, own)| declaration(variant, own));
    let count = own.len();
    let numbers = 0..count;
    let taken = own.iter().map(|(variant, own)| taken(variant, own));
    let types = model.aggregate.as_ref().map(|aggregate| types(aggregate, &model.types));

    let mut number = 0_usize..;
    let declared = arms(model, |variant, own| match own {
        Some(_) => {
            let at = number.next();
            (quote!(..), quote!(&DECLARATIONS[#at]))
        }
        None => inner(variant, "declaration"),
    });
    let encoded = arms(model, |variant, own| match own {
        Some(_) => (quote!(..), quote!(::annals::events::payload::encode(self))),
        None => inner(variant, "encode"),
    });
    let facts = arms(model, |variant, own| match own {
        Some(_) => facts(&variant.fields),
        None => inner(variant, "facts"),
    });
    let parts = arms(model, |variant, own| match own {
        Some(own) => parts(&variant.fields, &own.parts),
        None => inner(variant, "parts"),
    });
    let targets = arms(model, |variant, own| match own {
        Some(_) => references(&variant.fields, "Target", |field| field.target),
        None => inner(variant, "targets"),
    });
    let sources = arms(model, |variant, own| match own {
        Some(_) => references(&variant.fields, "Source", |field| field.source),
        None => inner(variant, "sources"),
    });
    let source_roles = arms(model, |variant, own| match own {
        Some(_) => source_roles(&variant.fields),
        None => inner(variant, "source_roles"),
    });
    let sealed = arms(model, |variant, own| match own {
        Some(own) => personal::sealing(&variant.fields, &own.event_type, binding),
        None => {
            let (binding, ty) = (binding(0), variant.fields.iter().map(|field| &field.ty));
            (quote!(0: #binding), quote!(#(<#ty as ::annals::events::Event>::seal)*(#binding, aggregate)))
        }
    });
    let looked_up = own.iter().zip(numbers.clone()).map(|((_, own), number)| {
        let (event_type, was) = (&own.event_type, own.was.iter().map(|(name, _)| name));
        quote!(#event_type #(| #was)* => ::core::option::Option::Some(&DECLARATIONS[#number]))
    });
    let decoded = model.variants.iter().zip(0_u32..).filter_map(|(variant, index)| {
        let event_type = &variant.own.as_ref()?.event_type;
        Some(quote!(#event_type => ::annals::events::payload::decode(#index, payload)))
    });
    let shapes = model.variants.iter().zip(0_u32..).filter_map(|(variant, index)| {
        let event_type = &variant.own.as_ref()?.event_type;
        let types = variant.fields.iter().map(|field| &field.ty);
        Some(quote!(#event_type => ::core::option::Option::Some(::annals::events::shape::VariantShape {
            payload: ::annals::events::shape::shape_of_variant::<Self>(#index),
            schemas: ::std::vec![#(|| (&::annals::events::shape::Probe::<#types>::new()).schema()),*],
        })))
    });
    let decoded_inside = model.variants.iter().filter_map(|variant| {
        let (ident, ty) = (&variant.ident, transparent(variant)?);
        Some(quote! {
            _ if <#ty as ::annals::events::Event>::lookup(event_type).is_some() => {
                <#ty as ::annals::events::Event>::decode(event_type, payload).map(Self::#ident)
            }
        })
    });

    quote! {
        #(#taken)*

        #[doc(hidden)]
        #[allow(non_local_definitions)]
        const _: () = {
            static DECLARATIONS: [::annals::events::Declaration; #count] = [#(#declarations),*];

            #types

            #[automatically_derived]
            impl ::annals::cqrs_es::DomainEvent for #ident {
                fn event_type(&self) -> ::std::string::String {
                    <::std::string::String as ::core::convert::From<&str>>::from(
                        ::annals::events::Event::declaration(self).event_type,
                    )
                }

                fn event_version(&self) -> ::std::string::String {
                    ::annals::events::Event::declaration(self).version_text()
                }
            }

            #[automatically_derived]
            impl ::annals::events::Event for #ident {
                fn declarations() -> ::std::vec::Vec<&'static ::annals::events::Declaration> {
                    DECLARATIONS
                        .iter()
                        #(.chain(<#nested as ::annals::events::Event>::declarations()))*
                        .collect()
                }

                fn lookup(event_type: &str) -> ::core::option::Option<&'static ::annals::events::Declaration> {
                    match event_type {
                        #(#looked_up,)*
                        _ => ::core::option::Option::None
                            #(.or_else(|| <#nested as ::annals::events::Event>::lookup(event_type)))*,
                    }
                }

                fn declaration(&self) -> &'static ::annals::events::Declaration {
                    match self { #declared }
                }

                fn encode(&self)
                    -> ::core::result::Result<::std::string::String, ::annals::serde_json::Error>
                {
                    match self { #encoded }
                }

                fn decode(event_type: &str, payload: &str)
                    -> ::core::result::Result<Self, ::annals::serde_json::Error>
                {
                    match event_type {
                        #(#decoded,)*
                        #(#decoded_inside)*
                        _ => ::core::result::Result::Err(::annals::serde::de::Error::custom(
                            ::core::format_args!("`{event_type}` is not an event of `{}`", ::core::stringify!(#ident)),
                        )),
                    }
                }

                fn facts(&self) -> ::core::result::Result<
                    ::std::vec::Vec<(&'static str, ::annals::serde_json::Value)>,
                    ::annals::serde_json::Error,
                > {
                    match self { #facts }
                }

                fn parts(&self) -> ::core::result::Result<
                    ::std::vec::Vec<(&'static str, ::annals::serde_json::Value)>,
                    ::annals::serde_json::Error,
                > {
                    match self { #parts }
                }

                fn targets(&self) -> ::std::vec::Vec<::annals::events::Ref> {
                    match self { #targets }
                }

                fn sources(&self) -> ::std::vec::Vec<::annals::events::Ref> {
                    match self { #sources }
                }

                fn source_roles(&self) -> ::std::vec::Vec<(::annals::events::SourceRole, ::annals::events::Ref)> {
                    match self { #source_roles }
                }

                #[allow(unused_variables)]
                fn seal(
                    &mut self,
                    aggregate: &::annals::events::Ref,
                ) -> ::core::result::Result<(), ::annals::serde_json::Error> {
                    match self { #sealed }
                }

                #[allow(unused_imports)]
                fn shape(event_type: &str) -> ::core::option::Option<::annals::events::shape::VariantShape> {
                    use ::annals::events::shape::{NoSchema as _, Schema as _};
                    match event_type {
                        #(#shapes,)*
                        _ => ::core::option::Option::None
                            #(.or_else(|| <#nested as ::annals::events::Event>::shape(event_type)))*,
                    }
                }
            }
        };
    }
}

/// Returns the event enum inside a transparent variant.
fn transparent(variant: &Variant) -> Option<&Type> {
    match (&variant.own, variant.fields.as_slice()) {
        (None, [field]) if variant.transparent => Some(&field.ty),
        _ => None,
    }
}

/// Generates a match arm for each variant: its pattern and its body.
fn arms(model: &Model, mut arm: impl FnMut(&Variant, Option<&Own>) -> (TokenStream, TokenStream)) -> TokenStream {
    let arms = model.variants.iter().map(|variant| {
        let ident = &variant.ident;
        let (pattern, body) = arm(variant, variant.own.as_ref());
        quote!(Self::#ident { #pattern } => #body,)
    });
    quote!(#(#arms)*)
}

/// Generates the arm of a transparent variant, which delegates to the event inside.
fn inner(variant: &Variant, method: &str) -> (TokenStream, TokenStream) {
    let (binding, method) = (binding(0), Ident::new(method, Span::call_site()));
    let ty = variant.fields.iter().map(|field| &field.ty);
    (quote!(0: #binding), quote!(#(<#ty as ::annals::events::Event>::#method)*(#binding)))
}

fn binding(number: usize) -> Ident {
    format_ident!("field_{number}", span = Span::mixed_site())
}

fn facts(fields: &[Field]) -> (TokenStream, TokenStream) {
    let bindings: Vec<Ident> = (0..fields.len()).map(binding).collect();
    let members = fields.iter().map(|field| &field.member);
    let facts =
        fields.iter().zip(&bindings).map(|(Field { name, written_by, personal, .. }, binding)| match written_by {
            _ if personal.is_some() => quote!((#name, ::annals::events::personal::Seal::fact(#binding)?)),
            None => quote!((#name, ::annals::events::payload::fact(#binding)?)),
            Some(write) => {
                quote!((#name, ::annals::events::payload::fact_or(#binding, |to| #write(#binding, to))?))
            }
        });
    let body = quote!(::core::result::Result::Ok(::std::vec![#(#facts),*]));
    (quote!(#(#members: #bindings),*), body)
}

/// Generates the parts of structs that the sentence names.
fn parts(fields: &[Field], parts: &[Part]) -> (TokenStream, TokenStream) {
    let mut used: Vec<usize> = parts.iter().map(|part| part.field).collect();
    used.sort_unstable();
    used.dedup();
    let pattern = used.iter().filter_map(|at| {
        let (member, binding) = (&fields.get(*at)?.member, binding(*at));
        Some(quote!(#member: #binding,))
    });
    let parts = parts.iter().map(|Part { written, field, path, optional }| {
        let (binding, inside) = (binding(*field), format_ident!("inside", span = Span::mixed_site()));
        match optional {
            false => quote!((#written, ::annals::events::payload::fact(&#binding.#(#path).*)?)),
            true => quote! {
                (#written, ::annals::events::payload::fact(&#binding.as_ref().map(|#inside| &#inside.#(#path).*))?)
            },
        }
    });
    (quote!(#(#pattern)* ..), quote!(::core::result::Result::Ok(::std::vec![#(#parts),*])))
}

/// Generates the references in the marked fields, by the trait of their types.
fn references(fields: &[Field], of: &str, is_marked: impl Fn(&Field) -> bool) -> (TokenStream, TokenStream) {
    let of = Ident::new(of, Span::call_site());
    let marked: Vec<(Ident, &Field)> = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| is_marked(field))
        .map(|(at, field)| (binding(at), field))
        .collect();
    if marked.is_empty() {
        return (quote!(..), quote!(::std::vec::Vec::new()));
    }
    let pattern = marked.iter().map(|(binding, Field { member, .. })| quote!(#member: #binding));
    let added = marked.iter().map(|(binding, Field { ty, .. })| {
        quote_spanned!(ty.span()=> <#ty as ::annals::events::#of>::add_to(#binding, &mut found);)
    });
    (quote!(#(#pattern,)* ..), quote!({ let mut found = ::std::vec::Vec::new(); #(#added)* found }))
}

/// Generates the references in the fields that are sources in a role, each with its role.
fn source_roles(fields: &[Field]) -> (TokenStream, TokenStream) {
    let marked =
        fields.iter().enumerate().filter_map(|(at, field)| Some((binding(at), field, field.source_role.as_ref()?)));
    let marked: Vec<(Ident, &Field, &Ident)> = marked.collect();
    if marked.is_empty() {
        return (quote!(..), quote!(::std::vec::Vec::new()));
    }
    let pattern = marked.iter().map(|(binding, Field { member, .. }, _)| quote!(#member: #binding));
    let added = marked.iter().map(|(binding, Field { ty, .. }, role)| {
        quote_spanned! {ty.span()=>
            let mut named = ::std::vec::Vec::new();
            <#ty as ::annals::events::Source>::add_to(#binding, &mut named);
            found.extend(named.into_iter().map(|source| (::annals::events::SourceRole::#role, source)));
        }
    });
    (quote!(#(#pattern,)* ..), quote!({ let mut found = ::std::vec::Vec::new(); #(#added)* found }))
}

fn declaration(variant: &Variant, own: &Own) -> TokenStream {
    let Own { event_type, version, action, sentence, topics, .. } = own;
    let fields = variant.fields.iter().map(|Field { name, shape, target, source, change, personal, .. }| {
        let personal = personal.is_some();
        quote! {
            ::annals::events::Field {
                name: #name, shape: #shape, target: #target, source: #source, change: #change, personal: #personal,
            }
        }
    });
    let was = own.was.iter().map(|(name, _)| name);
    let upcasts = own.upcasts.iter().map(|(from, function)| quote!((#from, #function)));
    quote! {
        ::annals::events::Declaration {
            event_type: #event_type,
            version: #version,
            action: ::annals::events::Action::#action,
            sentence: #sentence,
            topics: &[#(#topics),*],
            fields: &[#(#fields),*],
            was: &[#(#was),*],
            upcasts: &[#(#upcasts),*],
        }
    }
}

/// Makes a second event of this type in the crate a compile error. (Former names are compared when an application is put
/// together: a test may contain an older program beside the current one.)
fn taken(variant: &Variant, own: &Own) -> TokenStream {
    names::taken_once("event_type", &own.event_type, variant.ident.span())
}

/// Checks that the aggregate is one, and that placeholders that are not a field name its type.
fn types(aggregate: &Type, placeholders: &[MustBeType]) -> TokenStream {
    let checks = placeholders.iter().map(|MustBeType { name, span, message }| {
        let name = syn::LitByteStr::new(name.as_bytes(), *span);
        quote_spanned! {*span=>
            const _: () = if !::core::matches!(TYPE.as_bytes(), #name) { ::core::panic!("{}", #message) };
        }
    });
    quote! {
        #[allow(dead_code)]
        const TYPE: &str = <#aggregate as ::annals::aggregates::Aggregate>::TYPE;
        #(#checks)*
    }
}

/// Generates `From<Inner>` for each transparent variant whose type is unique.
fn conversions(ident: &Ident, variants: &[Variant]) -> TokenStream {
    let held = |ty: &Type| variants.iter().filter_map(transparent).filter(|other| *other == ty).count();
    let conversions = variants.iter().filter_map(|variant| {
        let (name, ty) = (&variant.ident, transparent(variant).filter(|ty| held(ty) == 1)?);
        Some(quote! {
            #[automatically_derived]
            impl ::core::convert::From<#ty> for #ident {
                fn from(event: #ty) -> Self {
                    Self::#name(event)
                }
            }
        })
    });
    quote!(#(#conversions)*)
}
